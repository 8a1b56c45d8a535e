"""Resumable checkpoints of the fine-tuning worker, written atomically.

    <scratch>/step-00000050/   files of the engine, progress.json, hashes.json
    <scratch>/aside/           the one being written
    <scratch>/figures.json     when training is over, with out.json: the hashes of what came out

A checkpoint is written to a temporary folder, hashed, flushed to disk and renamed. The last two are kept, so that
the earlier one can replace one that the disk has damaged.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from mmst.core.hashes import file_entries, file_sha256

KEEP = 2
HASHES = "hashes.json"
PROGRESS = "progress.json"
FIGURES = "figures.json"
OUT = "out.json"

log = logging.getLogger(__name__)


def write(
    folder: Path, step: int, progress: str, save: Callable[[Path], None], *, first: bool, wait: Callable[[], None]
) -> None:
    """Write the checkpoint of `step`: every rank calls `save`, the `first` rank does the rest."""
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
    """Step and folder of the newest checkpoint that is intact."""
    for path in reversed(_found(folder)):
        if _whole(path):
            return int(path.name.removeprefix("step-")), path
        log.warning("%s is damaged; the checkpoint before it is used instead", path.name)
    return None


def finish(folder: Path, aside: Path, out: Path, figures: str) -> None:
    """Move the trained model from `aside` to `out`, with its metrics and the hashes that `finished` compares."""
    (folder / FIGURES).write_text(figures)
    (folder / OUT).write_text(json.dumps(_hashes(folder, aside)))
    for path in (*aside.rglob("*"), aside, folder / FIGURES, folder / OUT):
        sync(path)
    aside.rename(out)
    sync(out.parent)


def finished(folder: Path, out: Path) -> bool:
    """Whether the trained model at `out` is intact. A damaged one is deleted, to be made again."""
    if not out.exists():
        return False
    try:
        whole = bool(json.loads((folder / OUT).read_text()) == _hashes(folder, out))
    except (OSError, ValueError, RecursionError):
        whole = False
    if not whole:
        log.warning("%s is damaged; it is made again from the last checkpoint", out.name)
        shutil.rmtree(out)
    return whole


def sync(path: Path) -> None:
    """Flush a file or folder to disk before the next step."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hashes(folder: Path, out: Path) -> dict[str, str]:
    return {FIGURES: file_sha256(folder / FIGURES)} | {f"out/{e.name}": e.sha256 for e in file_entries(out)}


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _found(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _whole(path: Path) -> bool:
    try:
        hashes = json.loads((path / HASHES).read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return bool(hashes == {e.name: e.sha256 for e in file_entries(path) if e.name != HASHES})
