"""Content-addressed stages over a `Store`: nothing is lost, nothing is done twice.

A stage's key is the hash of its config slice, its inputs' digests and its code version. Its
output is a set of shards and, written last, a manifest. Opened again, a stage whose manifest is
there is complete; one that has some shards makes the others.

    stages/<stage>/<key>/shard-00000.jsonl …  manifest.json  timing.json
    runs/<run>/<round>.<arm>.<step>.json      which stage a run used where: {"ref": "stages/…"}

Example:
    stage = Stage.open(store, "sample", version=1, config=slice_, inputs={"problems": problems})
    if stage.manifest is None:
        for shard, part in sharded(things, 1000):
            if not stage.has(shard):
                stage.write_records(shard, make(part))
        manifest = stage.finish(counts={"samples": n})
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mmst import metrics
from mmst.errors import StoreError, UserError
from mmst.manifest import FileEntry, Manifest, Place
from mmst.ports import Store
from mmst.records import digest, from_json, to_json

log = logging.getLogger(__name__)

R = TypeVar("R")
T = TypeVar("T")


class Stage:
    """One content-addressed unit of work, complete (`manifest` is there) or to be made."""

    def __init__(self, store: Store, name: str, key: str, inputs: Mapping[str, str]) -> None:
        self.store, self.name, self.key, self.inputs = store, name, key, dict(inputs)
        self.prefix = f"stages/{name}/{key}"
        self.manifest = self._made()

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
    ) -> Stage:
        """The stage that this work has; `place` records it as part of a run.

        Raise `version` whenever the stage's code would make something else of the same inputs.
        """
        digests = {k: m.digest for k, m in sorted(inputs.items())}
        key = digest({"stage": name, "version": version, "config": config, "inputs": digests})[7:23]
        stage = cls(store, name, key, digests)
        if place is not None:
            pointer = json.dumps({"ref": stage.prefix, "inputs": {k: m.ref for k, m in inputs.items()}})
            if store.read(place.name) != pointer.encode():
                store.write(place.name, pointer.encode())
        return stage

    def has(self, file: str) -> bool:
        """Whether a file of this stage is there (then it is whole)."""
        return f"{self.prefix}/{file}" in self.store.names(f"{self.prefix}/{file}")

    def files(self) -> set[str]:
        """The names of all files that are there; ask once before a loop over shards."""
        return {name.removeprefix(f"{self.prefix}/") for name in self.store.names(f"{self.prefix}/")}

    def write_records(self, file: str, records: Iterable[Any]) -> None:
        """Write a shard, whole or absent."""
        data = "".join(to_json(r) + "\n" for r in records).encode("utf-8", "surrogatepass")
        self.store.write(f"{self.prefix}/{file}", data)
        log.info("shard written", extra={"shard": file, "records": data.count(b"\n"), "bytes": len(data)})

    def read_records(self, file: str, kind: type[R]) -> Iterator[R]:
        """The records of a shard of this stage, complete or not."""
        data = self.store.read(f"{self.prefix}/{file}")
        if data is None:
            raise StoreError(f"{self.prefix}/{file} vanished while the stage was under way")
        return (from_json(kind, line) for line in data.split(b"\n") if line)

    def write(self, file: str, data: bytes) -> None:
        """Write a file, whole or absent."""
        self.store.write(f"{self.prefix}/{file}", data)

    def put_file(self, file: str, path: Path) -> None:
        """Store a local file of any size."""
        self.store.put_file(f"{self.prefix}/{file}", path)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Path]:
        """The local folder for this stage's work in progress, for one process at a time; survives a restart.

        Two runs may come to the same stage at once: the second waits here, and then finds `manifest`.
        The folder is cleared away when the stage is complete.
        """
        folder = self.store.scratch(self.prefix)
        lock = folder.with_name(f"{folder.name}.lock")
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.manifest = self._made()
            folder.mkdir(exist_ok=True)  # who was here before has cleared it away
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
        entries = [*files, *(self._entry(name) for name in shards)]
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
            self.store.write(f"{self.prefix}/timing.json", json.dumps(dict(timing)).encode())
        self.store.write(f"{self.prefix}/manifest.json", to_json(manifest).encode())
        self.manifest = manifest
        metrics.verdicts(manifest.counts if self.name == "check" else {})
        log.info("stage complete", extra={"ref": manifest.ref, "digest": manifest.digest, "counts": manifest.counts})
        return manifest

    def _made(self) -> Manifest | None:
        raw = self.store.read(f"{self.prefix}/manifest.json")
        return None if raw is None else from_json(Manifest, raw)

    def _entry(self, name: str) -> FileEntry:
        data = self.store.read(f"{self.prefix}/{name}")
        if data is None:
            raise StoreError(f"{self.prefix}/{name} vanished while the stage was being finished")
        return FileEntry(
            name=name, sha256="sha256:" + hashlib.sha256(data).hexdigest(), bytes=len(data), records=data.count(b"\n")
        )


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


def load(store: Store, ref: str) -> Manifest:
    """The manifest at a reference (`stages/sample/3fa9…`, a path or URI to it in this store)."""
    prefix = ref.removesuffix("/manifest.json").removesuffix("/")
    at = prefix.find("stages/")
    prefix = prefix[at:] if at >= 0 else prefix
    raw = store.read(f"{prefix}/manifest.json")
    if raw is None:
        raise UserError(
            f"no complete stage '{prefix}' in {store.uri}",
            remedy="see `mmst status`; a stage that was stopped is completed by the same command again",
        )
    return from_json(Manifest, raw)


def records(store: Store, manifest: Manifest, kind: type[R], prefix: str = "") -> Iterator[R]:
    """The records of a stage's shards whose names start with `prefix`, a shard at a time.

    Verifies each shard's hash; `StoreError` when one is missing or changed.
    """
    for entry in manifest.files:
        if not (entry.name.startswith(prefix) and entry.name.endswith(".jsonl")):
            continue
        data = store.read(f"{manifest.ref}/{entry.name}")
        if data is None:
            raise StoreError(f"{store.uri}/{manifest.ref}/{entry.name} is missing though its manifest is there")
        if "sha256:" + hashlib.sha256(data).hexdigest() != entry.sha256:
            raise StoreError(f"{store.uri}/{manifest.ref}/{entry.name} does not have the hash that its manifest states")
        yield from (from_json(kind, line) for line in data.split(b"\n") if line)


def pointers(store: Store, run: str) -> Iterator[tuple[Place, str, Mapping[str, str]]]:
    """Every stage of a run as (place, reference, input references); complete or not."""
    for name in store.names(f"runs/{run}/"):
        parts = name.removeprefix(f"runs/{run}/").removesuffix(".json").split(".")
        if len(parts) != 3 or not parts[0].isdigit():
            continue
        raw = store.read(name)
        if raw is not None:
            data = json.loads(raw)
            yield Place(run=run, round=int(parts[0]), arm=parts[1], step=parts[2]), data["ref"], data["inputs"]


def checkpoint_folder(store: Store, manifest: Manifest, fetch_to: Path | None = None) -> Path:
    """A local folder that holds a checkpoint's files; fetched (and verified) from a bucket."""
    if manifest.location:
        return Path(manifest.location)
    folder = store.folder(manifest.ref)
    if folder is not None:
        return folder
    target = fetch_to or store.scratch(manifest.ref) / "files"
    for entry in manifest.files:
        path = target / entry.name
        if not (path.exists() and file_sha256(path) == entry.sha256):
            store.get_file(f"{manifest.ref}/{entry.name}", path)
            if file_sha256(path) != entry.sha256:
                path.unlink()
                raise StoreError(f"{manifest.ref}/{entry.name} arrived with another hash than its manifest states")
    return target


def file_sha256(path: Path) -> str:
    """`sha256:<hex>` of a file, streamed."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return "sha256:" + h.hexdigest()


def file_entries(folder: Path) -> list[FileEntry]:
    """The entries of all files below a folder, sorted by name."""
    return [
        FileEntry(name=p.relative_to(folder).as_posix(), sha256=file_sha256(p), bytes=p.stat().st_size)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    ]


def checked_name(name: str) -> str:
    """`name` when any store can hold it; `StoreError` otherwise, above all for one that climbs out.

    Segments are separated by `/`, none is empty or starts with a dot, none is longer than 200 bytes.
    """
    try:
        segments = name.encode().split(b"/")
    except UnicodeEncodeError:
        segments = []
    if not all(s and len(s) <= 200 and s[:1] != b"." for s in segments) or not segments or len(name) > 800:
        raise StoreError(f"{name[:80]!r} cannot be a name in a store")
    if name.startswith("work/") or name == "work":
        raise StoreError(f"{name[:80]!r} cannot be a name in a store: work/ holds scratch folders")
    if not name.isprintable() or "\\" in name:
        raise StoreError(f"{name[:80]!r} cannot be a name in a store: control characters or backslashes")
    return name


def checked_prefix(prefix: str) -> str:
    """`prefix` when names can start with it; `StoreError` otherwise."""
    if prefix:
        checked_name(prefix.removesuffix("/"))
    return prefix
