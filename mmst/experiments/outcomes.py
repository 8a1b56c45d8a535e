"""What an experiment's runs found, read from the store: outcomes by arm, seed, method and problem."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmst.core.config import run_id
from mmst.core.errors import DataError
from mmst.core.manifest import Manifest
from mmst.core.method_files import MethodFile
from mmst.core.ports import Store
from mmst.core.records import Example, Outcome
from mmst.core.results import TrainsetCounts
from mmst.core.stored import records
from mmst.experiments.definition import Experiment
from mmst.experiments.inference import Array
from mmst.methods import method
from mmst.methods.soundness import false_equations
from mmst.runs.summary import StageState, stages

UNSOUND = "false equation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A held-out problem; `only` are the methods that it is measured by, none named: all."""

    problem: str
    task: str
    family: str
    only: tuple[str, ...] = ()

    def by(self, method: str) -> bool:
        """Whether it is measured by a method."""
        return not self.only or method in self.only


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """`passed[arm]` is [seeds, methods, items] of 0 and 1, for the seeds that are complete.

    It is NaN where an item isn't measured by a method.

    `examples[arm][seed]` are the new examples that were trained on: in all ("all"), by method, and those in words that
    state a false equation (`UNSOUND`).
    `seconds` is the sum of what the stages took when they were made, each counted once. `left_out`
    more problems are in none of this, since a request for them failed in some arm or seed.
    """

    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    items: tuple[Item, ...]
    passed: Mapping[str, Array]
    examples: Mapping[str, Mapping[int, Mapping[str, int]]]
    seconds: float
    left_out: int = 0

    def of(self, arm: str, task: str, method: str = "all") -> Array:
        """An arm's passes [seeds, items] on a task, by a method or as the mean over all that an item is measured by."""
        if method == "all":
            here = self.passed[arm][:, :, [i for i, item in enumerate(self.items) if item.task == task]]
            mean: Array = np.nanmean(here, axis=1) if np.isnan(here).any() else here.mean(axis=1)
            return mean
        m = self.methods.index(method)
        return self.passed[arm][:, m, [i for i, x in enumerate(self.items) if x.task == task and x.by(method)]]

    def common(self, task: str) -> list[int]:
        """The items of a task that every method is measured on."""
        return [i for i, item in enumerate(self.items) if item.task == task and not item.only]

    def measured(self, task: str) -> list[str]:
        """The methods that a task is measured by."""
        return [m for m in self.methods if any(item.task == task and item.by(m) for item in self.items)]


def read(experiment: Experiment, store: Store, seeds: Sequence[int]) -> Outcomes:
    """The outcomes of those seeds whose arms are all there; `DataError` when held-out problems differ."""
    rows: dict[str, list[Array]] = {arm: [] for arm in experiment.arms}
    examples: dict[str, dict[int, Mapping[str, int]]] = {arm: {} for arm in experiment.arms}
    items: tuple[Item, ...] = ()
    complete, timings = [], dict[str, float]()
    methods: tuple[str, ...] = ()
    for seed in seeds:
        found, counted = dict[str, Manifest](), dict[str, Mapping[str, int]]()
        for config, arms in experiment.runs(seed):
            methods = config.methods
            states = list(stages(store, run_id(config)))
            found |= measured(states, arms)
            chosen = measured(states, arms, "build_trainset")
            filed = config.filed
            counted |= {name: _counts(m, methods) | _unsound(store, m, filed) for name, m in chosen.items()}
            timings |= {state.ref: state.timing.get("seconds", 0.0) for state in states}
        if found.keys() != experiment.arms.keys():
            continue
        complete.append(seed)
        for name, manifest in found.items():
            outcomes = list(records(store, manifest, Outcome))
            here, passes = _matrix(outcomes, methods)
            if items and here != items:
                what = f"seed {seed}, arm '{name}': measured on other held-out problems than the arms before"
                raise DataError(what, remedy="vary only keys that do not change problems.test and problems.related")
            items = here
            rows[name].append(passes)
            examples[name][seed] = counted.get(name, {})
    passed = {arm: np.array(found) for arm, found in rows.items()}
    known = np.ones(len(items), dtype=bool)
    for found_ in passed.values():
        if found_.size:
            asked = np.array([[item.by(m) for item in items] for m in methods])
            known &= ~(np.isnan(found_) & asked).any(axis=(0, 1))
    return Outcomes(
        seeds=tuple(complete),
        methods=methods,
        items=tuple(item for item, kept in zip(items, known, strict=True) if kept),
        passed={arm: made[:, :, known] if made.size else made for arm, made in passed.items()},
        left_out=int((~known).sum()),
        examples=examples,
        seconds=sum(timings.values()),
    )


def measured(
    states: Iterable[StageState], arms: Mapping[str, tuple[int, str]], step: str = "evaluate"
) -> dict[str, Manifest]:
    """What a run has of its arms (name → round and arm in the run): the manifests of a step that are complete."""
    there = {(s.place.round, s.place.arm): s.manifest for s in states if s.place.step == step}
    return {name: manifest for name, at in arms.items() if (manifest := there.get(at)) is not None}


def _unsound(store: Store, trainset: Manifest, files: Sequence[MethodFile]) -> dict[str, int]:
    """How many of a training set's new examples state a false equation."""
    new = records(store, trainset, Example, "new-")
    return {UNSOUND: sum(bool(false_equations(e.completion)) for e in new if not method(e.method, files).executes)}


def table(outcomes: Outcomes) -> bytes:
    """Every outcome as gzipped CSV: seed, arm, task, family, method, problem, passed (0 or 1)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("seed", "arm", "task", "family", "method", "problem", "passed"))
    writer.writerows(_rows(outcomes))
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _rows(outcomes: Outcomes) -> Iterator[tuple[object, ...]]:
    for arm, passed in outcomes.passed.items():
        for s, seed in enumerate(outcomes.seeds):
            for m, by in enumerate(outcomes.methods):
                for i, item in ((i, item) for i, item in enumerate(outcomes.items) if item.by(by)):
                    yield seed, arm, item.task, item.family, by, item.problem, int(passed[s, m, i])


def _matrix(outcomes: Sequence[Outcome], methods: Sequence[str]) -> tuple[tuple[Item, ...], Array]:
    found: dict[tuple[str, str, str], dict[str, bool | None]] = {}
    for o in outcomes:
        found.setdefault((o.task, o.problem_id, o.family), {})[o.method] = o.passed
    ordered = sorted(found)
    items = []
    for task, problem, family in ordered:
        by = tuple(m for m in methods if m in found[task, problem, family])
        items.append(Item(problem=problem, task=task, family=family, only=by if len(by) < len(methods) else ()))
    table = [[found[at].get(m) for at in ordered] for m in methods]
    return tuple(items), np.array([[np.nan if v is None else float(v) for v in row] for row in table])


def _counts(trainset: Manifest, methods: Sequence[str]) -> dict[str, int]:
    counts = trainset.counted(TrainsetCounts)
    return {"all": counts.new, **{m: counts.new_by(m) for m in methods}}
