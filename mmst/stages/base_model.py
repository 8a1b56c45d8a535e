"""The stage before the first round: the model that everything starts from, as a checkpoint.

The shipped model and small folders are copied into the store; a larger folder, or one in a
bucket, is used where it is, by reference, with its files' hashes in the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from mmst.core.config import Config
from mmst.core.hashes import files_of
from mmst.core.manifest import FileEntry, Place
from mmst.core.results import Base
from mmst.core.stage import QUIET, WHERE, Job, Made, Stage
from mmst.models.sources import model_files

COPY_BELOW = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A checkpoint is its files. `name` is a shipped model's; where any other lies does not count."""

    files: Mapping[str, str]
    name: str = field(default="mmst:tiny", metadata=QUIET)
    folder: Path = field(metadata=WHERE)
    entries: tuple[FileEntry, ...] = field(metadata=WHERE)
    origin: Mapping[str, str] = field(metadata=WHERE)


class BaseModel(Stage[Settings]):
    """Put the model that everything starts from into the store.

    Example:

      mmst base-model --recipe demo --set model.base=/models/bloom-560m
    """

    name, version = "base_model", 1
    # The ids of samples follow from the name that it is stored under, and from these what translations are drawn.
    stored: ClassVar = "base"

    def settings(self, config: Config, place: Place) -> Settings:
        """The files' hashes; `ModelError` when `model.base` cannot be a checkpoint."""
        name = config.model.base
        given = model_files(name)
        entries = tuple(files_of(given.folder))
        return Settings(
            files={e.name: e.sha256 for e in entries},
            name=name if name.startswith("mmst:") else "",
            folder=given.folder,
            entries=entries,
            origin=given.origin,
        )

    def work(self, job: Job[Settings]) -> Made:
        """Copy the files, or refer to them."""
        given = job.settings
        copied = sum(e.bytes for e in given.entries) < COPY_BELOW
        if copied:
            with job.ports.progress.task("base model", len(given.entries), "files") as task:
                for entry in given.entries:
                    job.folder.put_file(entry.name, given.folder / entry.name)
                    task.advance()
        location = "" if copied else str(given.folder.absolute())
        return Made(files=given.entries, result=Base(name=given.name, origin=given.origin), location=location)
