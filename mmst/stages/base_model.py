"""The stage before the first round: the model that everything starts from, as a checkpoint.

The shipped model and small folders are copied into the store; a larger folder, or one in a
bucket, is used where it is, by reference, with its files' hashes in the manifest.
"""

from __future__ import annotations

from mmst.core.hashes import files_of
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines
from mmst.core.stage import Stage
from mmst.models import model_folder

VERSION = 1
COPY_BELOW = 2 << 30
STORED = "base"
"""The name that it is stored under. The ids of samples follow from it, and from these what translations are drawn."""


def run(engines: Engines, place: Place) -> Manifest:
    """The starting checkpoint; `ModelError` when `model.base` cannot be one."""
    name = engines.config.model.base
    folder = model_folder(name)
    entries = files_of(folder)
    config = {"files": {e.name: e.sha256 for e in entries}}
    stage = Stage.open(engines.store, STORED, version=VERSION, config=config, inputs={}, place=place)
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
