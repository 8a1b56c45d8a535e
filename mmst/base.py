"""The stage before the first round: the model that everything starts from, as a checkpoint.

The shipped model and small folders are copied into the store; a larger folder, or one in a
bucket, is used where it is, by reference, with its files' hashes in the manifest.
"""

from __future__ import annotations

from pathlib import Path

from mmst import disk
from mmst.errors import ModelError
from mmst.hashes import known_sha256s
from mmst.manifest import BESIDE, ENTRY, FileEntry, Manifest, Place
from mmst.ports import Engines
from mmst.store import Stage

VERSION = 1
COPY_BELOW = 2 << 30
TRAINED_BY = {"word-base": "make word-base"}
"""Base models of shipped recipes that are not shipped with them, and the command that trains each."""
SHIPPED = Path(__file__).parent / "models"


def run(engines: Engines, place: Place) -> Manifest:
    """The starting checkpoint; `ModelError` when `model.base` cannot be one."""
    name = engines.config.model.base
    folder = model_folder(name)
    entries = files_of(folder)
    config = {"files": {e.name: e.sha256 for e in entries}}
    stage = Stage.open(engines.store, "base", version=VERSION, config=config, inputs={}, place=place)
    if stage.manifest is not None:
        return stage.manifest
    copied = sum(e.bytes for e in entries) < COPY_BELOW
    if copied:
        with engines.progress.task("base model", len(entries), "files") as task:
            for entry in entries:
                stage.put_file(entry.name, folder / entry.name)
                task.advance()
    return stage.finish(
        files=entries,
        facts={"name": name.rstrip("/").rsplit("/", 1)[-1]},
        location="" if copied else str(folder.absolute()),
    )


def files_of(folder: Path) -> list[FileEntry]:
    """The entries of a model folder's files; those below it, hidden ones and names of the store's own are no part.

    A file that was read before and is the same still is not read again (`mmst.hashes`).
    """
    with disk.trouble("list", folder):
        paths = [p for p in sorted(folder.iterdir()) if p.name[:1] != "." and p.is_file()]
    paths = [p for p in paths if p.name not in BESIDE and not p.name.endswith(ENTRY)]
    hashes = known_sha256s(paths)
    return [
        FileEntry(name=p.name, sha256=sha256, bytes=p.stat().st_size) for p, sha256 in zip(paths, hashes, strict=True)
    ]


def model_folder(name: str) -> Path:
    """The folder of a model by its name in a recipe, with all that is needed in it.

    `mmst:NAME` is a shipped model. Checked here, before anything is loaded: configuration,
    safetensors weights (pickled weights are refused: loading one runs its code), tokenizer.
    """
    if name.startswith("mmst:"):
        folder = SHIPPED / name.removeprefix("mmst:")
        if not folder.is_dir():
            shipped = ", ".join(f"mmst:{p.name}" for p in sorted(SHIPPED.iterdir()) if p.is_dir())
            raise ModelError("no such shipped model", value=name, remedy=f"shipped: {shipped}")
    else:
        folder = Path(name).expanduser()
    remedy = "set model.base to a folder that `save_pretrained` wrote, for model and tokenizer"
    if name in TRAINED_BY:
        remedy = f"train it with `{TRAINED_BY[name]}`, or {remedy}"
    if not folder.is_dir():
        raise ModelError("model.base is not a folder", value=name, remedy=remedy)
    if not (folder / "config.json").is_file():
        raise ModelError(f"model folder {folder} has no config.json", remedy=remedy)
    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"model folder {folder} has no .safetensors weights",
            remedy=(
                "save it again with model.save_pretrained(folder, safe_serialization=True); pickled weights run code"
            ),
        )
    if not any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelError(f"model folder {folder} has no tokenizer", remedy="tokenizer.save_pretrained(folder)")
    return folder
