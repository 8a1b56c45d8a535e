"""The folder of a stage in a store, while its work is done: shards, each whole or absent, and a manifest written last.

A stage's key is the hash of its settings, its inputs' digests and its code version. Opened again, a
folder whose manifest is there is complete; one that has some shards gets the others.

    stages/<stage>/<key>/shard-00000.jsonl …  manifest.json  timing.json
    stages/<stage>/<key>/shard-00000.jsonl.entry   its hash: of what is not finished, only what has it counts
    runs/<run>/<round>.<arm>.<step>.json      which stage a run used where: {"ref": "stages/…"}

Example:
    folder = StageFolder.open(store, "sample", version=1, config=settings, inputs={"problems": problems})
    if folder.manifest is None:
        for shard, part in sharded(things, 1000):
            if not folder.has(shard):
                folder.write_records(shard, make(part))
        manifest = folder.finish(counts={"samples": n})
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mmst.core import disk, locks, private, sealed
from mmst.core.errors import DamagedError, StoreError
from mmst.core.manifest import ENTRY, FileEntry, Manifest, Place
from mmst.core.ports import Store
from mmst.core.records import digest, sha256, to_json
from mmst.core.stored import Pointer, lines, made, verified

log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")

AGAIN = "the same command makes it again"
"""The remedy for what a stage that is not finished finds damaged."""


class StageFolder:
    """One content-addressed unit of work, complete (`manifest` is there) or to be made."""

    def __init__(self, store: Store, name: str, key: str, inputs: Mapping[str, str]) -> None:
        self.store, self.name, self.key, self.inputs = store, name, key, dict(inputs)
        self.prefix = f"stages/{name}/{key}"
        self.manifest = made(store, self.prefix)
        self._entries: dict[str, FileEntry] = {}

    @classmethod
    def open(
        cls,
        store: Store,
        name: str,
        *,
        version: int,
        config: Any,
        inputs: Mapping[str, Manifest],
        place: Place | None = None,
    ) -> StageFolder:
        """The stage that this work has; `place` records it as part of a run.

        Raise `version` whenever the stage's code would make something else of the same inputs.
        """
        digests = {k: m.digest for k, m in sorted(inputs.items())}
        key = digest({"stage": name, "version": version, "config": config, "inputs": digests})[7:23]
        if place is not None:  # before it is looked at: `remove` leaves alone what a run points at
            pointer = Pointer(ref=f"stages/{name}/{key}", inputs={k: m.ref for k, m in inputs.items()})
            sealed.write(store, place.name, to_json(pointer))
        return cls(store, name, key, digests)

    def has(self, file: str) -> bool:
        """Whether a file of this stage is there, as it was written."""
        entry = self._entry(file)
        data = None if entry is None else self.store.read(f"{self.prefix}/{file}")
        if entry is None or data is None or sha256(data) != entry.sha256:
            return False
        self._entries[file] = entry
        return True

    def files(self) -> set[str]:
        """The names of all files that are there, as they were written; ask once before a loop over shards.

        Every one is read: what is damaged, or was cut off by a kill, is to be made again.
        """
        names = {name.removeprefix(f"{self.prefix}/") for name in self.store.names(f"{self.prefix}/")}
        entered = {name for name in names if f"{name}{ENTRY}" in names}
        whole = {name for name in entered if self.has(name)}
        if entered != whole:
            log.warning("damaged, and made again: %s", ", ".join(sorted(entered - whole)))
        return whole

    def write_records(self, file: str, records: Iterable[Any]) -> None:
        """Write a shard, whole or absent."""
        data = "".join(to_json(r) + "\n" for r in records).encode("utf-8", "surrogatepass")
        self.write(file, data)
        log.info("shard written", extra={"shard": file, "records": data.count(b"\n"), "bytes": len(data)})

    def read_records(self, file: str, kind: type[R]) -> Iterator[R]:
        """The records of a shard of this stage, complete or not; `DamagedError` when it is not what was written."""
        return lines(self.store, f"{self.prefix}/{file}", kind, self._read_back(file)[1], AGAIN)

    def read(self, file: str) -> bytes | None:
        """A file that `write` wrote; None when it is not there or is not what was written."""
        entry = self._entry(file)
        data = None if entry is None else self.store.read(f"{self.prefix}/{file}")
        return data if entry is not None and data is not None and sha256(data) == entry.sha256 else None

    def write(self, file: str, data: bytes) -> None:
        """Write a file, whole or absent, and beside it its entry."""
        entry = FileEntry(name=file, sha256=sha256(data), bytes=len(data), records=data.count(b"\n"))
        self.store.write(f"{self.prefix}/{file}", data)
        # After the file: killed between the two, it is made again; nothing is ever refused for good.
        beside = f"{self.prefix}/{file}{ENTRY}"
        self.store.write(beside, sealed.seal(beside, to_json(entry)))
        self._entries[file] = entry

    def put_file(self, file: str, path: Path) -> None:
        """Store a local file of any size."""
        self.store.put_file(f"{self.prefix}/{file}", path)

    @property
    def scratch(self) -> Path:
        """The local folder for its work in progress; survives a restart."""
        return self.store.scratch(self.prefix)

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[str], None] = lambda holder: None) -> Iterator[Path]:
        """The local folder for this stage's work in progress, for one process at a time; survives a restart.

        Two runs may come to the same stage at once: the second waits here, and then finds `manifest`. Meanwhile
        `waiting` is told, again and again, who works at it.
        The folder is cleared away when the stage is complete.
        """
        folder, lock = self.scratch, _lock(self.scratch)
        with disk.trouble("work in", folder), locks.held(lock, waiting):
            self.manifest = made(self.store, self.prefix)
            private.folder(folder)  # who was here before has cleared it away
            yield folder
            if self.manifest is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def finish(
        self,
        *,
        files: Iterable[FileEntry] = (),
        shards: Iterable[str] = (),
        counts: Mapping[str, int] | None = None,
        facts: Mapping[str, Any] | None = None,
        timing: Mapping[str, float] | None = None,
        location: str = "",
    ) -> Manifest:
        """Write the manifest, last. `shards` are hashed here; `files` were hashed by the caller.

        `timing` (seconds, tokens …) is stored beside the manifest, not in it: two runs of the
        same work have the same manifest.
        """
        entries = [*files, *(self._read_back(name)[0] for name in shards)]
        manifest = Manifest(
            stage=self.name,
            key=self.key,
            inputs=self.inputs,
            files=tuple(entries),
            counts=dict(counts or {}),
            facts=dict(facts or {}),
            location=location,
        )
        if timing is not None:
            sealed.write(self.store, f"{self.prefix}/timing.json", json.dumps(dict(timing)))
        sealed.write(self.store, f"{self.prefix}/manifest.json", to_json(manifest))
        self.manifest = manifest
        log.info("stage complete", extra={"ref": manifest.ref, "digest": manifest.digest, "counts": manifest.counts})
        return manifest

    def _read_back(self, file: str) -> tuple[FileEntry, bytes]:
        """A file with its entry; `DamagedError` unless it is what was written, here or by who began this stage."""
        name = f"{self.prefix}/{file}"
        entry = self._entries.get(file) or self._entry(file)
        if entry is None:
            raise sealed.damaged(self.store, name, "is not whole: nothing beside it says what was written", AGAIN)
        data = verified(self.store, name, entry, AGAIN)
        self._entries[file] = entry
        return entry, data

    def _entry(self, file: str) -> FileEntry | None:
        try:
            return sealed.read_as(self.store, f"{self.prefix}/{file}{ENTRY}", FileEntry, AGAIN)
        except DamagedError:
            return None


def remove(store: Store, prefix: str) -> bool:
    """Delete the stage at `stages/<stage>/<key>` with its work in progress; False where somebody is at it.

    Its manifest must be gone before, so that nobody takes what is being deleted for complete: False where there is one
    again. Killed on the way, what is left is a stage that is not complete. `StoreError` where a link leads to it.
    """
    scratch = store.scratch(prefix)
    lock = _lock(scratch)
    if disk.linked(scratch, scratch.parents[prefix.count("/")]):
        raise StoreError(f"{scratch} is not deleted: a link leads there", remedy="delete the link by hand")
    with disk.trouble("delete", scratch), locks.held_now(lock) as alone:
        if not alone or store.read(f"{prefix}/manifest.json") is not None:
            return False
        store.delete(list(store.names(f"{prefix}/")))
        shutil.rmtree(scratch, ignore_errors=True)
        lock.unlink(missing_ok=True)
    return True


def is_worked_at(store: Store, prefix: str) -> bool:
    """Whether a process of this machine is at the stage at `stages/<stage>/<key>`."""
    return locks.is_held(_lock(store.scratch(prefix)))


def _lock(scratch: Path) -> Path:
    return scratch.with_name(f"{scratch.name}.lock")


def shard_name(index: int, prefix: str = "shard") -> str:
    """`shard-00042.jsonl`."""
    return f"{prefix}-{index:05d}.jsonl"


def sharded(items: Iterable[T], size: int, prefix: str = "shard") -> Iterator[tuple[str, list[T]]]:
    """The items, `size` to a shard, each shard with its name.

    >>> [(name, part) for name, part in sharded("abc", 2)]
    [('shard-00000.jsonl', ['a', 'b']), ('shard-00001.jsonl', ['c'])]
    """
    iterator, index = iter(items), 0
    while part := list(itertools.islice(iterator, size)):
        yield shard_name(index, prefix), part
        index += 1
