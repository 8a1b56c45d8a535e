"""One pipeline run for each content: `mmst trigger` and `mmst submit`, called any number of times, also at once.

Kubeflow's CreateRun has no idempotency key, so only the holder of a lease may create. The lease is
part of the record, which is changed by compare-and-set only:

    no record → leased by a holder → names its run

Both commands keep one record for a content, and take each other's runs for their own. `trigger` makes one run and
never a second (`ensure`); `submit` leases the record again when its run has failed, and makes another (`attach`).

A holder counts as dead if its record has not changed for `LEASE` seconds of the observer's own clock (as in
Kubernetes' leader election; clocks of machines are never compared). The next holder first looks for a run of this
name, because the dead one may have created it. If a holder is frozen for longer than its lease and creates a second
run when it wakes, the record says which run is valid, and every reader of the record ends the others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mmst.core.config import Config, what_counts
from mmst.core.records import digest

LEASE = 60.0
"""Seconds without a change after which the holder of a record counts as dead."""

HOLD = LEASE / 2
"""Seconds after taking the lease within which its holder may request a run."""

POLL = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The record of one retraining: which process works on it and, once created, its run.

    Example:
        {"name": "retrain-3fa9c2d1e0b4", "holder": "9d0c…", "run": ""}
    """

    name: str
    holder: str
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the pipeline server; `live` until it is finished or being ended; `version` is that of its graph."""

    id: str
    live: bool
    state: str = ""
    version: str = ""


class Records(Protocol):
    """A store of records, each with a version that changes with every write."""

    def read(self, name: str) -> tuple[Record, str] | None:
        """The record and its version; None if there is none."""

    def create(self, record: Record) -> None:
        """Write a record if there is none of this name."""

    def replace(self, record: Record, version: str) -> None:
        """Write a record if it still has this version."""


class Runs(Protocol):
    """The pipeline server."""

    def named(self, name: str) -> Sequence[Run]:
        """The runs of this display name, the oldest first."""

    def create(self, name: str) -> str:
        """Create a run of this name; returns its id. Answers or fails within `HOLD` seconds."""

    def terminate(self, run: str) -> None:
        """End a run; does nothing if it has ended."""


class Clock(Protocol):
    """The clock of this process."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """The run for a content; `made` if this process created it. `state` is empty if the run was deleted."""

    name: str
    run: str
    state: str
    made: bool


def name_of(config: Config) -> str:
    """`retrain-<key>`: equal for equal recipe content and code, whatever else a commit changed.

    The code is that of the pipeline image, so name images by version or digest, never `latest`.
    """
    key = digest({"recipe": what_counts(config), "code": config.cluster.pipeline_image})[7:19]
    return f"retrain-{key}"


def standing(runs: Sequence[Run], version: str) -> Run | None:
    """The run to attach to: one in progress, else the last that succeeded with this very graph."""
    live = [r for r in runs if r.live]
    return next(reversed(live or [r for r in runs if r.state == "SUCCEEDED" and r.version == version]), None)


def ensure(
    name: str, records: Records, runs: Runs, clock: Clock, *, submitted: str = "", version: str = ""
) -> Triggered:
    """Exactly one run of this name, created or found. After any error, call it again.

    A run that was `submitted` under that name, and stands (`standing`), is found too.
    """

    def beside() -> Sequence[Run]:
        return runs.named(submitted) if submitted else ()

    def find() -> Run | None:
        return next(iter(runs.named(name)), None) or standing(beside(), version)

    run, made = _agreed(name, records, clock, find, lambda: runs.create(name), lambda run: True)
    state = ""
    for each in runs.named(name):
        if each.id == run:
            state = each.state
        elif each.live:
            runs.terminate(each.id)
    state = state or next((r.state for r in beside() if r.id == run), "")
    return Triggered(name=name, run=run, state=state, made=made)


def attach(name: str, records: Records, runs: Runs, clock: Clock, *, submitted: str, version: str) -> Triggered:
    """The run that stands, `submitted` under that name or triggered under `name`, or a new one."""

    def find() -> Run | None:
        return standing([*runs.named(name), *runs.named(submitted)], version)

    def stands(run: str) -> bool:
        found = find()
        return found is not None and found.id == run

    run, made = _agreed(name, records, clock, find, lambda: runs.create(submitted), stands)
    there = find()
    return Triggered(name=name, run=run, state=there.state if there else "", made=made)


def _agreed(
    name: str,
    records: Records,
    clock: Clock,
    find: Callable[[], Run | None],
    create: Callable[[], str],
    stands: Callable[[str], bool],
) -> tuple[str, bool]:
    """The run in the record, found or created under its lease, and whether it was created here.

    A recorded run that no longer `stands` is replaced.
    """
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
        if record.run and (record.run == made or stands(record.run)):
            return record.run, record.run == made
        if record.run:
            leased = clock.monotonic()
            records.replace(Record(name=name, holder=me), version)
        elif record.holder == me and now - leased <= HOLD:
            found = find()
            if not found and clock.monotonic() - leased > HOLD:
                continue  # finding took too long: another may have taken the lease
            run = found.id if found else create()
            made = made if found else run
            records.replace(Record(name=name, holder=me, run=run), version)
        elif record.holder == me or now - since >= LEASE:
            leased = now
            records.replace(Record(name=name, holder=me), version)
        else:
            clock.sleep(POLL)
