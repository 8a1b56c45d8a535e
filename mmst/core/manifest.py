"""The manifest of a stage: all that travels between components, never the data themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from mmst.core.records import digest, from_data, to_data

R = TypeVar("R")
C = TypeVar("C", covariant=True)

ENTRY = ".entry"
"""`shard-00000.jsonl.entry` holds the `FileEntry` of the file beside it, from the moment that this is whole."""
LOSSES = "losses.json"
"""The loss by step, beside a train stage's manifest: only to be shown, as times are."""
BESIDE = {"manifest.json", "timing.json", LOSSES}
"""What a complete stage's folder holds besides the files that its manifest lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of a stage's output."""

    name: str
    sha256: str
    bytes: int
    records: int = 0


class Counted(Protocol[C]):
    """A kind of counts (`mmst.core.results`)."""

    def read(self, stored: Mapping[str, int]) -> C:
        """From a manifest's counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a complete stage made: all that travels between components.

    `digest` covers everything but `location`, so the same work has the same digest wherever it
    is stored. `location` is where the files are: "" for beside the manifest, else a folder that
    is used by reference (a large base model). `facts` holds the small results. `result` and `counted`
    read facts and counts as the stage's own records.
    """

    stage: str
    key: str
    inputs: Mapping[str, str]
    files: tuple[FileEntry, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    location: str = ""

    @property
    def ref(self) -> str:
        """The stage's place in its store: `stages/<stage>/<key>`."""
        return f"stages/{self.stage}/{self.key}"

    @property
    def digest(self) -> str:
        """The hash of what was made, of what, under which settings."""
        data = to_data(self)
        del data["location"]
        return digest(data)

    def result(self, kind: type[R]) -> R:
        """The small results as the record that they are (`mmst.core.results`); `DataError` when they are another's."""
        return from_data(kind, self.facts)

    def counted(self, kind: Counted[C]) -> C:
        """The counts as the record that they are."""
        return kind.read(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a run a stage stands. Its key is spelt `<round>.<arm>.<step>` in names, events and metrics alike.

    >>> Place.parse("demo-1", "01.mmst.verify").title
    'verify (round 1, mmst)'
    """

    run: str
    round: int
    arm: str
    step: str

    @classmethod
    def parse(cls, run: str, key: str) -> Place:
        """The place with this key; `ValueError` for what is no key."""
        found = re.fullmatch(r"([0-9]{2,9})\.([^.]+)\.([^.]+)", key)
        if not found:
            raise ValueError(f"{key!r} is no place in a run")
        return cls(run=run, round=int(found[1]), arm=found[2], step=found[3])

    @property
    def key(self) -> str:
        """Unique in the run."""
        return f"{self.round:02d}.{self.arm}.{self.step}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.step} (round {self.round}, {self.arm})"

    @property
    def name(self) -> str:
        """The name, in the store, of the pointer at the stage."""
        return f"runs/{self.run}/{self.key}.json"
