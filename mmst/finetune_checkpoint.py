"""Resumable checkpoints of the fine-tuning worker: whole or absent.

    <scratch>/step-00000050/   files of the engine, progress.json, hashes.json
    <scratch>/aside/           the one being written

A checkpoint is written aside, hashed, brought to the disk and renamed; the last two are kept, so
that one that the disk has spoilt since is passed over for the one before.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mmst.store import file_entries

KEEP = 2
HASHES = "hashes.json"
PROGRESS = "progress.json"

log = logging.getLogger(__name__)


def write(
    folder: Path, step: int, progress: str, save: Callable[[Path], None], *, first: bool, wait: Callable[[], None]
) -> None:
    """Write the checkpoint of `step`: every rank calls `save`, the `first` does the rest."""
    aside = folder / "aside"
    if first:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    wait()
    save(aside)
    wait()
    if first:
        (aside / PROGRESS).write_text(progress)
        entries = {e.name: e.sha256 for e in file_entries(aside)}
        (aside / HASHES).write_text(json.dumps(entries))
        for path in (*aside.rglob("*"), aside):
            sync(path)
        shutil.rmtree(_path(folder, step), ignore_errors=True)
        aside.rename(_path(folder, step))
        sync(folder)
        for old in _found(folder)[:-KEEP]:
            shutil.rmtree(old)
    wait()


def latest(folder: Path) -> tuple[int, Path] | None:
    """Step and folder of the newest checkpoint that is as it was written."""
    for path in reversed(_found(folder)):
        if _whole(path):
            return int(path.name.removeprefix("step-")), path
        log.warning("%s is damaged: passed over for the checkpoint before it", path.name)
    return None


def sync(path: Path) -> None:
    """Have the disk hold a file or folder before what comes next."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _found(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _whole(path: Path) -> bool:
    try:
        hashes = json.loads((path / HASHES).read_text())
    except (OSError, ValueError):
        return False
    return bool(hashes == {e.name: e.sha256 for e in file_entries(path) if e.name != HASHES})
