"""One problem's way through a run: every sample, verdict, translation, training example and later outcome."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mmst.core.config import Config
from mmst.core.errors import UserError
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, Example, Label, MeasuredLabel, Outcome, Problem, from_json
from mmst.core.stored import records, shard
from mmst.runs.summary import StageState, recorded_config, stages
from mmst.stages.reads import CHECKED, LEARNT, PROBLEMS

R = TypeVar("R")


class Lines(Protocol):
    """What reads a stage's records of one problem; `lines_about` is one."""

    def __call__(
        self, store: Store, manifest: Manifest | None, kind: type[R], problem_id: str, prefix: str = ""
    ) -> Iterator[R]:
        """The records in shards whose names start with `prefix`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStory:
    """What one round did with the problem.

    `samples` and `translations` are checked; `trained` holds, per arm, the examples taken from it;
    `outcomes`, per arm, how the round's model does on it when it is held out. An unlabelled problem has a `label`,
    which is `measured` where its answer was kept aside.
    """

    round: int
    samples: tuple[CheckedSample, ...]
    translations: tuple[CheckedSample, ...]
    trained: dict[str, tuple[Example, ...]]
    heldout: dict[str, tuple[CheckedSample, ...]]
    outcomes: dict[str, tuple[Outcome, ...]]
    label: Label | None = field(default=None, metadata={"if_any": True})
    measured: MeasuredLabel | None = field(default=None, metadata={"if_any": True})

    def source_of(self, translation: CheckedSample) -> CheckedSample | None:
        """The solution that a translation rewrites."""
        return next((s for s in self.samples if s.sample.id == translation.sample.source_sample), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A problem and its rounds."""

    run: str
    problem: Problem
    part: str
    rounds: tuple[RoundStory, ...]


def lines_about(
    store: Store, manifest: Manifest | None, kind: type[R], problem_id: str, prefix: str = ""
) -> Iterator[R]:
    """A stage's records of one problem, in shards whose names start with `prefix`.

    Other lines are skipped unread, so it is quick for millions.
    """
    return _lines(store, manifest, kind, json.dumps(problem_id).encode(), prefix)


def story(store: Store, run: str, problem_id: str = "", index: int | None = None, lines: Lines = lines_about) -> Story:
    """The story of a problem by id, by its place among the problems sampled for training, or of a telling one.

    Without either, it is one that a translation taught; else the first. Complete stages only.
    """
    found = [s for s in stages(store, run) if s.manifest is not None]
    prepared = next((s.manifest for s in found if s.place.step == "prepare"), None)
    if prepared is None:
        raise UserError(f"run {run} has no problems yet", remedy=f"mmst status {run}")
    wanted = problem_id or ("" if index is not None else _telling(store, found))
    part, problem = _problem(store, prepared, wanted, index or 0, lines)
    by_round = itertools.groupby(found, key=lambda s: s.place.round)
    rounds = [_round(store, number, list(states), problem.id, lines) for number, states in by_round]
    told = tuple(r for r in rounds if r.samples or r.outcomes)
    return Story(run=run, problem=problem, part=part, rounds=told)


def find_sample(store: Store, run: str, sample_id: str) -> tuple[CheckedSample, Config]:
    """A checked sample or translation of a run by its id (its beginning is enough), with the run's recipe."""
    recorded = recorded_config(store, run)
    checks = [s.manifest for s in stages(store, run) if s.place.step.startswith("verify")]
    found = {
        c.sample.id: c
        for manifest in checks
        for c in _lines(store, manifest, CheckedSample, sample_id.encode())
        if c.sample.id.startswith(sample_id)
    }
    if len(found) != 1 or recorded is None:
        what = f"{len(found)} samples of run {run} have such ids" if found else f"run {run} has no such sample"
        raise UserError(what, value=sample_id, remedy=f"mmst show {run} shows the ids")
    return next(iter(found.values())), recorded


def _lines(store: Store, manifest: Manifest | None, kind: type[R], needle: bytes, prefix: str = "") -> Iterator[R]:
    if manifest is None:
        return
    for entry in manifest.files:
        if entry.name.startswith(prefix) and entry.name.endswith(".jsonl"):
            data = shard(store, manifest, entry)
            yield from (from_json(kind, line) for line in data.split(b"\n") if needle in line)


def _problem(store: Store, prepared: Manifest, problem_id: str, index: int, lines: Lines) -> tuple[str, Problem]:
    if problem_id:
        for prefix in PROBLEMS:
            for problem in lines(store, prepared, Problem, problem_id, prefix):
                if problem.id == problem_id:
                    return prefix.removesuffix("-"), problem
        raise UserError("no problem of the run has this id", value=problem_id, remedy="mmst show RUN --index 0")
    learnt = ((prefix, p) for prefix in LEARNT for p in records(store, prepared, Problem, prefix))
    chosen = next(itertools.islice(learnt, index, None), None)
    if chosen is None:
        n = sum(e.records for e in prepared.files if e.name.startswith(LEARNT))
        raise UserError("--index is beyond the problems of the run", value=index, remedy=f"0 to {n - 1}")
    return chosen[0].removesuffix("-"), chosen[1]


def _telling(store: Store, found: list[StageState]) -> str:
    for state in found:
        if state.place.step == "build_trainset" and state.manifest is not None:
            for example in records(store, state.manifest, Example, "new-"):
                if example.origin == "translation":
                    return example.problem_id
    return ""


def _round(store: Store, number: int, states: list[StageState], problem_id: str, lines: Lines) -> RoundStory:
    def about(step: str, kind: type[R], prefix: str = "") -> dict[str, tuple[R, ...]]:
        by_arm = {
            s.place.arm: tuple(lines(store, s.manifest, kind, problem_id, prefix))
            for s in states
            if s.place.step == step
        }
        return {arm: found for arm, found in by_arm.items() if found}

    def main(step: str, kind: type[R], prefix: str = "") -> tuple[R, ...]:
        return next(iter(about(step, kind, prefix).values()), ())

    def written(step: str) -> tuple[CheckedSample, ...]:
        return tuple(itertools.chain.from_iterable(about(step, CheckedSample).values()))

    return RoundStory(
        round=number,
        samples=main("label", CheckedSample, CHECKED) or written("verify"),
        label=next(iter(main("label", Label, "label-")), None),
        measured=next(iter(main("measure_labels", MeasuredLabel)), None),
        translations=written("verify-translations"),
        trained=about("build_trainset", Example),
        heldout=about("verify-heldout", CheckedSample),
        outcomes=about("evaluate", Outcome),
    )
