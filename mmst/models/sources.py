"""Where a model comes from: its name in a recipe → a folder on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmst.models import description, gguf, hub, model_folder, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """A model's folder, and its origin: `hub` and `commit`, or the hash of the `gguf` file; empty for a folder."""

    folder: Path
    origin: Mapping[str, str] = field(default_factory=dict)


def model_files(name: str) -> ModelFiles:
    """The folder of a model by its name in a recipe, fetched or converted first if it must be.

    `mmst:NAME`, a folder, a `.gguf` file, or `hub:OWNER/NAME@REVISION`. `ModelError` when it cannot be used.
    """
    if name.startswith("hub:"):
        folder, repository, commit = hub.snapshot(name)
        return ModelFiles(folder=model_folder(str(folder)), origin={"hub": repository, "commit": commit})
    if file := _gguf(name):
        folder, sha256 = gguf.folder_of(file)
        return ModelFiles(folder=model_folder(str(folder)), origin={"gguf": sha256})
    return ModelFiles(folder=model_folder(name))


def describe(name: str) -> tuple[description.Description, Mapping[str, str]]:
    """What a model's files say of it, and its origin. A model of the hub is fetched first."""
    if file := _gguf(name):
        return gguf.describe(file), {}
    files = model_files(name)
    whole.check(files.folder)
    return description.describe(files.folder), files.origin


def _gguf(name: str) -> Path | None:
    """The file that the name is, if it is one of this kind."""
    path = Path(name).expanduser()
    return path if name.endswith(gguf.ENDING) and not path.is_dir() else None
