"""One pipeline run per content: `mmst trigger`, as Git calls it, any number of times and at the same time.

Kubeflow's CreateRun has no idempotency key, so only the holder of a lease may create. The lease is
part of the record, which is changed by compare-and-set only:

    no record → leased by a holder → names its run

A holder that died is seen by its record: it has not changed for `LEASE` seconds of the onlooker's
own clock (as in Kubernetes' leader election; clocks of machines are never compared). Whoever takes
the lease first looks for a run of this name, since the dead holder may have made one. Should a
holder be frozen for longer than its lease and make a second run when it wakes, the record says
which run stands, and everybody who reads it ends the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mmst.core.config import Config, identity
from mmst.core.records import digest

LEASE = 60.0
"""Seconds without a change after which a record's holder counts as dead."""

HOLD = LEASE / 2
"""Seconds after taking the lease within which its holder may ask for a run."""

POLL = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is kept about one retraining: who is at it, and once it is made, its run.

    Example:
        {"name": "retrain-3fa9c2d1e0b4", "holder": "9d0c…", "run": ""}
    """

    name: str
    holder: str
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the pipeline server; `live` while it is neither finished nor being ended; `version` is its graph's."""

    id: str
    live: bool
    state: str = ""
    version: str = ""


class Records(Protocol):
    """Where records are kept, each with a version that changes whenever it is written."""

    def read(self, name: str) -> tuple[Record, str] | None:
        """The record and its version; None when there is none."""

    def create(self, record: Record) -> None:
        """Write a record unless there is one of this name."""

    def replace(self, record: Record, version: str) -> None:
        """Write a record if it still has this version."""


class Runs(Protocol):
    """The pipeline server."""

    def named(self, name: str) -> Sequence[Run]:
        """The runs of this display name, the oldest first."""

    def create(self, name: str) -> str:
        """Make a run of this name; its id. Answers or fails within `HOLD` seconds."""

    def terminate(self, run: str) -> None:
        """End a run; nothing happens when it has ended."""


class Clock(Protocol):
    """Time as this process sees it."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """The run that stands for a content; `made` when this process made it. `state` is empty if it was deleted."""

    name: str
    run: str
    state: str
    made: bool


def name_of(config: Config) -> str:
    """`retrain-<key>`: the same for the same recipe content and code, whatever else a commit changed.

    The code is that of the pipeline image, so name images by version or digest, never `latest`.
    """
    key = digest({"recipe": identity(config), "code": config.cluster.pipeline_image})[7:19]
    return f"retrain-{key}"


def ensure(name: str, records: Records, runs: Runs, clock: Clock) -> Triggered:
    """Exactly one run of this name, made now or found. Any error may be answered by calling it again."""
    me, leased, made = uuid.uuid4().hex, float("-inf"), ""
    seen, since = "", clock.monotonic()
    while True:
        kept = records.read(name)
        now = clock.monotonic()
        if kept is None:
            leased = now
            records.create(Record(name=name, holder=me))
            continue
        record, version = kept
        if version != seen:
            seen, since = version, now
        if record.run:
            return _settled(record, runs, made)
        if record.holder == me and now - leased <= HOLD:
            found = runs.named(name)
            if not found and clock.monotonic() - leased > HOLD:
                continue  # finding took too long: another may have taken the lease
            run = found[0].id if found else runs.create(name)
            made = made if found else run
            records.replace(Record(name=name, holder=me, run=run), version)
        elif record.holder == me or now - since >= LEASE:
            leased = now
            records.replace(Record(name=name, holder=me), version)
        else:
            clock.sleep(POLL)


def _settled(record: Record, runs: Runs, made: str) -> Triggered:
    """What the record says, with every other live run of that name ended."""
    state = ""
    for run in runs.named(record.name):
        if run.id == record.run:
            state = run.state
        elif run.live:
            runs.terminate(run.id)
    return Triggered(name=record.name, run=record.run, state=state, made=made == record.run)
