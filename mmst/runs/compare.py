"""Two models of a store against each other: what their recipes differ in, and which held-out problems each solves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmst.core.config import what_counts
from mmst.core.errors import UserError
from mmst.core.ports import Store
from mmst.core.records import Outcome
from mmst.core.stats import mcnemar
from mmst.core.stored import records
from mmst.runs.summary import RunSummary, StageState, find_run, summarise

BASE = "base"
Key = tuple[str, str]
"""A task and a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A model that was measured: the checkpoint of an arm after a round of a run."""

    run: str
    round: int
    arm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A key of the recipe that has another value in each run; None where it is not set."""

    key: str
    first: Any
    second: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The problems that both were measured on, by a task and method: how many each solves, and what changed.

    `gained` are the ids of those that only the second solves, `lost` of those that only the first does; `p` is of
    McNemar's exact test.
    """

    task: str
    method: str
    n: int
    first: int
    second: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The second model beside the first."""

    first: Side
    second: Side
    recipe: tuple[Difference, ...]
    paired: tuple[Paired, ...]


def compare(store: Store, first: str, second: str) -> Comparison:
    """Compare two models, each given as RUN or RUN/ARM: its last round that was measured, by the run's own arm.

    `UserError` where there is no such run, or the arm was not measured.
    """
    (one, state), (other, further) = (_measured(store, name) for name in (first, second))
    before, after = _outcomes(store, state), _outcomes(store, further)
    return Comparison(
        first=_side(one, state),
        second=_side(other, further),
        recipe=tuple(_differences(one, other)),
        paired=tuple(_paired(key, before[key], after[key]) for key in before if key in after),
    )


def measured(run: RunSummary) -> dict[str, StageState]:
    """The last evaluation of each arm that was measured, the base among them."""
    return {
        s.place.arm if r.round else BASE: s
        for r in run.rounds
        for s in r.stages
        if s.place.step == "evaluate" and s.complete
    }


def _measured(store: Store, name: str) -> tuple[RunSummary, StageState]:
    """The run, and the last evaluation of the arm that is named."""
    name, _, arm = name.partition("/")
    run = summarise(store, find_run(store, name))
    found = measured(run)
    own = next((r.main_arm for r in reversed(run.rounds) if r.main_arm in found), BASE)
    if (arm or own) not in found:
        remedy = f"one of {', '.join(found)}" if found else "wait until the run has measured a model (`mmst status`)"
        raise UserError(f"run {run.run} has measured no such arm", value=arm or own, remedy=remedy)
    return run, found[arm or own]


def _side(run: RunSummary, state: StageState) -> Side:
    return Side(run=run.run, round=state.place.round, arm=state.place.arm)


def _outcomes(store: Store, state: StageState) -> dict[Key, dict[str, bool]]:
    """Whether each problem was solved, by task and method; those whose requests failed are left out."""
    found = dict[Key, dict[str, bool]]()
    assert state.manifest is not None
    for o in records(store, state.manifest, Outcome):
        if o.passed is not None:
            found.setdefault((o.task, o.method), {})[o.problem_id] = o.passed
    return found


def _paired(key: Key, before: Mapping[str, bool], after: Mapping[str, bool]) -> Paired:
    common = [id for id in before if id in after]
    gained = tuple(id for id in common if after[id] and not before[id])
    lost = tuple(id for id in common if before[id] and not after[id])
    return Paired(
        task=key[0],
        method=key[1],
        n=len(common),
        first=sum(before[id] for id in common),
        second=sum(after[id] for id in common),
        gained=gained,
        lost=lost,
        p=mcnemar(len(gained), len(lost)),
    )


def _differences(one: RunSummary, other: RunSummary) -> Iterator[Difference]:
    """The keys that can change results and differ; none where a run's recipe was not recorded."""
    if one.config is None or other.config is None:
        return
    first, second = dict(flat(what_counts(one.config))), dict(flat(what_counts(other.config)))
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            yield Difference(key=key, first=first.get(key), second=second.get(key))


def flat(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings and lists of mappings, by their paths."""
    if isinstance(data, Mapping):
        parts: Sequence[tuple[Any, Any]] = list(data.items())
    elif isinstance(data, list | tuple) and any(isinstance(part, Mapping) for part in data):
        parts = list(enumerate(data))
    else:
        yield path, data
        return
    for name, value in parts:
        yield from flat(value, f"{path}.{name}" if path else str(name))
