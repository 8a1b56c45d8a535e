"""What stages have made, read back from a store: manifests, records, times, and which stage a run used where.

Whatever is read is what was written: shards by their entries and manifests, these and all other small
files by the hash at their own end (`mmst.core.sealed`). `DamagedError` names what is not, and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mmst.core import sealed
from mmst.core.errors import UserError
from mmst.core.manifest import LOSSES, FileEntry, Manifest, Place
from mmst.core.ports import Store
from mmst.core.records import sha256

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The steps that were seen, and the loss of each."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """A run's file about one of its stages: where it is, and where its inputs are."""

    ref: str
    inputs: Mapping[str, str]


def load(store: Store, ref: str) -> Manifest:
    """The manifest at a reference (`stages/sample/3fa9…`, a path or URI to it in this store)."""
    prefix = ref.removesuffix("/manifest.json").removesuffix("/")
    at = prefix.find("stages/")
    prefix = prefix[at:] if at >= 0 else prefix
    found = made(store, prefix)
    if found is None:
        raise UserError(
            f"no complete stage '{prefix}' in {store.uri}",
            remedy="see `mmst status`; a stage that was stopped is completed by the same command again",
        )
    return found


def made(store: Store, prefix: str) -> Manifest | None:
    """The manifest of the stage at `stages/<stage>/<key>`, None while it is not complete; checked."""
    name = f"{prefix}/manifest.json"
    remedy = "delete it: the same run then makes the stage again, and keeps those of its shards that are whole"
    return sealed.read_as(store, name, Manifest, remedy)


def timing(store: Store, prefix: str) -> Mapping[str, float]:
    """What the stage at `stages/<stage>/<key>` measured when it was made; empty where it did not.

    One without a hash, from before there were any, is taken as it is: it is only shown.
    """
    name, remedy = f"{prefix}/timing.json", "delete it: only the times that are shown are lost"
    text = store.read(name)
    if text is None or b'"sha256"' in text or len(text) < 3 or not text.startswith(b"{"):
        text = sealed.read(store, name, remedy)
        if text is None:
            return {}
    found: Mapping[str, Any] = sealed.parsed(store, name, Mapping[str, Any], text, remedy)  # type: ignore[type-abstract]
    if not all(type(v) in (int, float) and 0 <= v < 1e15 for v in found.values()):
        raise sealed.damaged(store, name, "holds what is no number of seconds or tokens", remedy)
    return found


def losses(store: Store, prefix: str) -> Mapping[int, float]:
    """The loss by step of the train stage at `stages/train/<key>`; empty where it was not kept."""
    name, remedy = f"{prefix}/{LOSSES}", "delete it: only the curve that is shown is lost"
    found = sealed.read_as(store, name, Losses, remedy)
    return dict(zip(found.steps, found.losses, strict=False)) if found else {}


def records(store: Store, manifest: Manifest, kind: type[R], prefix: str | tuple[str, ...] = "") -> Iterator[R]:
    """The records of a stage's shards whose names start with `prefix`, or one of several, a shard at a time.

    Verifies each shard's hash; `DamagedError` when one is missing or changed.
    """
    for entry in manifest.files:
        if entry.name.startswith(prefix) and entry.name.endswith(".jsonl"):
            data = shard(store, manifest, entry)
            yield from lines(store, f"{manifest.ref}/{entry.name}", kind, data, _remedy(store, manifest))


def shard(store: Store, manifest: Manifest, entry: FileEntry) -> bytes:
    """The content of one of a complete stage's files; `DamagedError` when it is missing or changed."""
    return verified(store, f"{manifest.ref}/{entry.name}", entry, _remedy(store, manifest))


def verified(store: Store, name: str, entry: FileEntry, remedy: str) -> bytes:
    """The content of a file that has the hash of its entry; else `DamagedError`, with what to do."""
    data: bytes | None = None
    for _ in range(sealed.READS):
        data = store.read(name)
        if data is not None and sha256(data) == entry.sha256:
            return data
    if data is None:
        raise sealed.damaged(store, name, "is missing though its manifest or entry is there", remedy)
    what = "does not have the hash that its manifest or entry states"
    raise sealed.damaged(store, name, f"{what} ({len(data)} bytes, of {entry.bytes})", remedy)


def pointers(store: Store, run: str) -> Iterator[tuple[Place, str, Mapping[str, str]]]:
    """Every stage of a run as (place, reference, input references); complete or not."""
    remedy = "delete it: the same run writes it again"
    for name in store.names(f"runs/{run}/"):
        key = name.removeprefix(f"runs/{run}/").removesuffix(".json")
        try:
            place = Place.parse(run, key)
        except ValueError:
            continue  # a run's other files, such as its page
        if place.name == name and (found := sealed.read_as(store, name, Pointer, remedy)):
            yield place, found.ref, found.inputs


def lines(store: Store, name: str, kind: type[R], data: bytes, remedy: str) -> Iterator[R]:
    """The records of a file whose content was verified."""
    return (sealed.parsed(store, name, kind, line, remedy) for line in data.split(b"\n") if line)


def _remedy(store: Store, manifest: Manifest) -> str:
    at = f"{store.uri}/{manifest.ref}/manifest.json"
    return f"delete {at}: the same run then makes again what is damaged, and keeps the shards that are whole"
