"""What a run has done so far, read from the store alone: for `mmst status`, the final tables and the report.

Nothing here computes a result; it follows the run's pointers (`runs/<run>/…`) to the manifests.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mmst.core import sealed
from mmst.core.config import NAME, Config, parse_stored, run_id, to_text
from mmst.core.errors import DamagedError, MmstError, UserError, did_you_mean
from mmst.core.manifest import ENTRY, Manifest, Place
from mmst.core.ports import Store
from mmst.core.records import Decision, Report
from mmst.core.redaction import redacted_json
from mmst.core.results import (
    Calibration,
    LabelCounts,
    Measured,
    MeasuredLabelsCounts,
    Next,
    Promoted,
    ShareBucket,
    Tally,
    TrainsetCounts,
    VerifyCounts,
)
from mmst.core.served import Served
from mmst.core.stored import made, pointers, timing
from mmst.core.teachers import writer_at
from mmst.stages import STEPS
from mmst.stages.champion import ALL_METHODS

MAIN_ONLY = ("prepare", "sample", "enough")
"""Steps that only a run's own arm has, never a control; teachers sample too."""

SAMPLING = ("sample", "translate")
"""Stages that ask a model; their only result is who answered in its place, if another did."""

FUNNEL = ("asked", "passed", "translated", "passed_again", "kept")
"""From problems to training examples: samples asked for, correct ones, translations, correct ones, examples kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """One stage of a run: complete (`manifest` is there) or under way with `shards` written.

    `timing` is what the stage measured when it was made: seconds and, where it has them, tokens.
    """

    place: Place
    ref: str
    inputs: Mapping[str, str]
    manifest: Manifest | None
    shards: int
    timing: Mapping[str, float]

    @property
    def complete(self) -> bool:
        """Whether the stage's manifest is written."""
        return self.manifest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSummary:
    """What became of a round's unlabelled problems; how good the labels are, where their answers were kept aside."""

    counts: LabelCounts
    measured: MeasuredLabelsCounts | None = None
    calibration: tuple[ShareBucket, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSummary:
    """One round (0: the base model): a report per arm, the way to the training set, the decision.

    `funnel` has the keys of `FUNNEL`; `funnels` the same per method, where the stages counted so, and `writers`
    per writer ("" for the model itself), where there are teachers;
    `families` is {arm: {"task/method/family": (passed, n)}}; `timings` {step: {"seconds": …}}. `labels` are there
    where the run has unlabelled problems.
    """

    round: int
    arms: Mapping[str, Report]
    funnel: Mapping[str, int]
    funnels: Mapping[str, Mapping[str, int]]
    verdicts: Mapping[str, int]
    families: Mapping[str, Mapping[str, tuple[int, int]]]
    decision: Decision | None
    stopped: str
    timings: Mapping[str, Mapping[str, float]]
    stages: tuple[StageState, ...]
    labels: LabelSummary | None = field(default=None, metadata={"if_any": True})
    writers: Mapping[str, Mapping[str, int]] = field(default_factory=dict, metadata={"if_any": True})

    @property
    def checked(self) -> list[StageState]:
        """The stages with its checked samples, of all who write: where there are labels, as these judge them."""
        label = self.stage("label")
        return [label] if label is not None and label.complete else self.written("verify")

    @property
    def main_arm(self) -> str:
        """The arm that the run itself follows: the one that samples; all others are controls."""
        return _main_arm(self.stages) or "mmst"

    def written(self, step: str) -> list[StageState]:
        """The stages of a step of all who write: the main arm's, and the teachers'."""
        main = self.main_arm
        return [s for s in self.stages if s.place.step == step and (s.place.arm == main or writer_at(s.place.arm))]

    def stage(self, step: str, arm: str = "") -> StageState | None:
        """The stage of a step; of the main arm unless named."""
        wanted = arm or self.main_arm
        return next((s for s in self.stages if s.place.step == step and s.place.arm == wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run: its rounds so far and, when it was started by `mmst run`, its recipe."""

    run: str
    config: Config | None
    rounds: tuple[RoundSummary, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def served(self) -> tuple[Served, ...]:
        """The servers that answered in the base's place, by name and revision."""
        stages = [state.manifest for r in self.rounds for state in r.stages if state.manifest]
        return tuple(dict.fromkeys(m.result(Served) for m in stages if m.stage in SAMPLING and m.facts))

    @property
    def decision(self) -> Decision | None:
        """The last decision that was made."""
        return next((r.decision for r in reversed(self.rounds) if r.decision is not None), None)


def record_config(store: Store, config: Config) -> None:
    """Write a run's recipe beside its pointers, so that it can be read without the recipe's file."""
    sealed.write(store, _recipe(run_id(config)), to_text(config))


def recorded_config(store: Store, run: str) -> Config | None:
    """The recipe that was written beside a run's pointers, if it was; `DamagedError` when it is not as it was."""
    remedy = "delete it: `mmst run` with the same recipe writes it again"
    text = sealed.read(store, _recipe(run), remedy)
    try:
        return None if text is None else parse_stored(json.loads(redacted_json(text.decode("utf-8", "surrogatepass"))))
    except UserError as e:  # its hash is right
        what = f"holds a recipe that this version of MMST cannot read ({e})"
        raise sealed.damaged(store, _recipe(run), what, remedy) from e


def _recipe(run: str) -> str:
    return f"runs/{run}/config.json"


def runs(store: Store) -> list[str]:
    """The names of all runs in a store, sorted; without folders whose names no run can have."""
    found = {name.split("/")[1] for name in store.names("runs/") if name.count("/") >= 2}
    return sorted(filter(NAME.fullmatch, found))


def find_run(store: Store, name: str) -> str:
    """The run of this name or beginning; `UserError` lists those that there are."""
    known = runs(store)
    matching = [name] if name in known else [r for r in known if r.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    what = "several runs begin with that name" if matching else f"no such run in {store.uri}"
    listed = ", ".join(matching or known) or "none; `mmst run --recipe demo` starts one, on a cluster `mmst submit`"
    near = "" if matching else did_you_mean(name, {r.rpartition("-")[0] for r in known})
    raise UserError(what, value=name, remedy=f"{near}--out selects the store; runs: {listed}")


def stages(store: Store, run: str) -> Iterator[StageState]:
    """Every stage that a run opened, in reading order."""
    known = {step: i for i, step in enumerate(STEPS)}
    found = sorted(
        pointers(store, run),
        key=lambda p: (p[0].round, p[0].arm not in ("base", "mmst"), p[0].arm, known.get(p[0].step, len(known))),
    )
    for place, ref, inputs in found:
        manifest = made(store, ref)
        yield StageState(
            place=place,
            ref=ref,
            inputs=inputs,
            manifest=manifest,
            shards=len(manifest.files) if manifest else sum(not n.endswith(ENTRY) for n in store.names(f"{ref}/")),
            timing=timing(store, ref),
        )


def summarise(store: Store, run: str) -> RunSummary:
    """The whole run, complete or not. Reads manifests only, so it is quick for any amount of data."""
    config = recorded_config(store, run)
    by_round: dict[int, list[StageState]] = {}
    for state in stages(store, run):
        by_round.setdefault(state.place.round, []).append(state)
    rounds = tuple(_round(number, tuple(found)) for number, found in sorted(by_round.items()))
    found = RunSummary(run=run, config=config, rounds=rounds)
    return replace(found, notes=tuple(_notes(found)))


def summaries(store: Store) -> tuple[list[RunSummary], dict[str, MmstError]]:
    """All runs of a store, and why some of them cannot be read, by name; `StoreError` if the store itself cannot."""
    found, broken = list[RunSummary](), dict[str, MmstError]()
    for name in runs(store):
        try:
            found.append(summarise(store, name))
        except (UserError, DamagedError) as e:
            broken[name] = e
    return found, broken


def _round(number: int, found: tuple[StageState, ...]) -> RoundSummary:
    made = {(s.place.arm, s.place.step): s.manifest for s in found if s.manifest is not None}
    main = _main_arm(found)
    measured = {arm: m.result(Measured) for (arm, step), m in made.items() if step == "evaluate"}
    decisions = [m.result(Promoted).decision for (_, step), m in made.items() if step == "promote"]
    stops = [m.result(Next).reason for (_, step), m in made.items() if step in ("enough", "another")]
    labels = _labels(made.get((main, "label")), made.get((main, "measure_labels")))
    first, second = (_by_writer(found, main, step) for step in ("verify", "verify-translations"))
    verified, again = (functools.reduce(operator.add, w.values()) if w else None for w in (first, second))
    verified = labels.counts.verify if labels else verified
    chosen = m.counted(TrainsetCounts) if (m := made.get((main, "build_trainset"))) else None
    return RoundSummary(
        round=number,
        arms={arm: m.report for arm, m in measured.items()},
        funnel=_funnel(verified, again, chosen),
        funnels={m: _funnel(verified, again, chosen, m) for m in (verified.methods if verified else ())},
        verdicts=verified.overall() if verified else {},
        families={arm: {name: (f[0], f[1]) for name, f in m.families.items()} for arm, m in measured.items()},
        decision=decisions[-1] if decisions else None,
        stopped=next((reason for reason in reversed(stops) if reason), ""),
        timings={
            s.place.step if s.place.arm == main else f"{s.place.arm}/{s.place.step}": s.timing
            for s in found
            if s.timing
        },
        stages=found,
        labels=labels,
        writers={
            w: _funnel(first.get(w), second.get(w), None) | ({"kept": chosen.new_of(w)} if chosen else {})
            for w in sorted({*first, *second})
        }
        if any({*first, *second})
        else {},
    )


def _labels(label: Manifest | None, measured: Manifest | None) -> LabelSummary | None:
    if label is None:
        return None
    return LabelSummary(
        counts=label.counted(LabelCounts),
        measured=measured.counted(MeasuredLabelsCounts) if measured else None,
        calibration=measured.result(Calibration).buckets if measured else (),
    )


def _main_arm(found: Iterable[StageState]) -> str:
    arms = (s.place.arm for s in found if s.place.step in MAIN_ONLY)
    return next((arm for arm in arms if not writer_at(arm)), "")


def _by_writer(found: Iterable[StageState], main: str, step: str) -> dict[str, VerifyCounts]:
    """What was verified of each writer's."""
    return {
        writer: s.manifest.counted(VerifyCounts)
        for s in found
        if s.place.step == step and s.manifest
        if (writer := writer_at(s.place.arm)) or s.place.arm == main
    }


def _funnel(
    verified: VerifyCounts | None, again: VerifyCounts | None, chosen: TrainsetCounts | None, method: str = ""
) -> dict[str, int]:
    """The counts along the way, of one method or all; only of the steps that are complete."""
    funnel = dict[str, int]()
    for counts, asked, passed in ((verified, "asked", "passed"), (again, "translated", "passed_again")):
        if counts:
            tally = counts.methods.get(method, Tally()) if method else counts.total
            funnel |= {asked: tally.asked, passed: tally.passed}
    if chosen:
        funnel["kept"] = chosen.new_by(method) if method else chosen.new
    return funnel


def _notes(run: RunSummary) -> Iterator[str]:
    """What a reader must know before believing the tables."""
    config, rounds = run.config, run.rounds
    for server in run.served:
        yield (
            f"{server} answered in the base model's place: a server that states no digest, by the name and the "
            "revision that the recipe gives it."
        )
    scores = [(r, s) for r in rounds for report in r.arms.values() for s in report.scores if s.failed]
    for r, s in scores:
        if s.method != ALL_METHODS:
            yield (
                f"Round {r.round}, {s.task} by {s.method}: {s.failed} of {s.n + s.failed} problems are left out, "
                "because the model server did not complete their requests. They count neither as right nor as wrong."
            )
    if config is None:
        return
    yield (
        f"One seed (sampling.seed={config.sampling.seed}): the intervals cover the held-out problems, not the "
        "luck of sampling and training. Run more seeds before believing a difference."
    )
    if config.problems.unlabelled:
        yield (
            "Problems without gold answers were labelled by the votes of the model's own samples: there, `passed` says "
            "that a sample agrees with its label, not that it is right."
        )
    sources = (*config.problems.train, *config.problems.annotated, *config.problems.unlabelled)
    if any(s.format == "generated" for s in sources):
        yield (
            "Generated problems: the generator sets which families are annotated for which method, so that "
            "the methods' strengths differ on purpose. This shows the mechanism, not an effect on real problems."
        )
    for name, teacher in config.teachers.items():
        if teacher.base and teacher.base == config.model.base:
            yield f"The teacher {name} is the model itself (model.base): what it writes is self-training."
    if rounds and not config.loop.controls and config.loop.arm == "mmst":
        yield "No controls were trained beside it (loop.controls): a gain may come from the extra training steps alone."
