"""Evaluation: how a checkpoint does on held-out problems, per method and task.

The held-out problems were sampled and checked by the same stages as any others: the sample of
index 0 is greedy and gives pass@1; those from 1 on were drawn at a temperature and give pass@k
(unbiased) and the majority vote. What is kept is one `Outcome` per (problem, method), the item
of every later comparison. A sample whose request failed is no wrong answer: the problem is left out
of the figures that would need it, and counted as failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mmst.core import plugin_keys, stats
from mmst.core.config import Config, PromptConfig, identity
from mmst.core.errors import DataError, LeakError
from mmst.core.manifest import Manifest, Place
from mmst.core.method_files import MethodFile
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, Outcome, Problem, Report, Score, Verdict, digest
from mmst.core.results import EvaluateCounts, Measured
from mmst.core.stage import QUIET, Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.grading import normalise
from mmst.methods.prompts import asked
from mmst.stages import demonstrations
from mmst.stages.champion import ALL_METHODS, remember
from mmst.stages.reads import PROBLEMS, Checked, Checkpoint, Problems

SHARD = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the problems were put: only reports with the same one may be compared. Methods in alphabetical order."""

    methods: tuple[str, ...]
    prompt: PromptConfig
    max_tokens: int
    plugins: Mapping[str, Sequence[str]] | None = field(default=None, metadata=QUIET)
    """Whose code the methods are, where it is not ours."""
    method_files: tuple[MethodFile, ...] = field(default=(), metadata=QUIET)
    near: float | None = field(default=None, metadata=QUIET)
    shown: str = field(default="", metadata=QUIET)
    """Digest of the annotated problems, where they are demonstrated; known once they are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an evaluation depends on."""

    k: int
    protocol: Protocol
    round: int
    arm: str


class Evaluate(Stage[Settings]):
    """Measure a model: accuracy per method and task with 95 % intervals.

    Example:

      mmst evaluate -r demo --problems stages/prepare/3f… --checked stages/verify/f0… --checkpoint stages/train/b7…
    """

    name, version = "evaluate", 2
    writes: ClassVar = {"shard": Outcome}

    def settings(self, config: Config, place: Place) -> Settings:
        """Those of the place in the run, which stands in the report."""
        protocol = Protocol(
            methods=tuple(sorted(config.methods)),
            prompt=asked(config.prompt),
            max_tokens=config.sampling.max_tokens,
            plugins=plugin_keys.of_methods(config) or None,
            method_files=tuple(sorted(config.filed, key=lambda file: file.name)),
            near=config.near,
        )
        return Settings(k=config.evaluate.k, protocol=protocol, round=place.round, arm=place.arm)

    def work(self, job: Job[Settings], problems: Problems, checked: Checked, checkpoint: Checkpoint) -> Made:
        """Report on `checkpoint`, whose solutions of the held-out `problems` are `checked`.

        Raises `LeakError` when a held-out problem is also trained on, `DataError` when one lacks its greedy sample.
        """
        settings, store = job.settings, job.ports.store
        heldout = held_out(store, problems)
        protocol = settings.protocol
        if shown := demonstrations.stored(store, problems, protocol.prompt, protocol.near, protocol.methods):
            protocol = replace(protocol, shown=shown.digest)
        tallies: dict[tuple[str, str], Tally] = {}
        total = sum(e.records for e in checked.files)
        with job.ports.progress.task("evaluate", total, "samples") as task:
            for sample in records(store, checked, CheckedSample):
                tallies.setdefault((sample.sample.problem_id, sample.sample.method), Tally()).add(sample)
                task.advance()
        sampled = list(dict.fromkeys(method for _, method in tallies))  # in the recipe's order
        methods = [m for m in sampled if m in settings.protocol.methods]
        methods += [m for m in settings.protocol.methods if m not in sampled]
        results = list(outcomes(heldout, methods, tallies))
        shards = []
        for shard, part in sharded(results, SHARD):
            shards.append(shard)
            job.folder.write_records(shard, part)
        report = Report(
            checkpoint=checkpoint.digest,
            heldout=digest(sorted([p.id, p.answer, *p.methods] for p in heldout)),
            round=settings.round,
            arm=settings.arm,
            scores=tuple(scores(results)),
        )
        return Made(
            shards=shards,
            counts=EvaluateCounts(
                problems=len(heldout),
                outcomes=len(results),
                passed=sum(o.passed is True for o in results),
                failed=sum(o.passed is None for o in results),
            ),
            result=Measured(report=report, families=families(results), protocol=digest(identity(protocol))),
        )

    def afterwards(
        self, job: Job[Settings], made: Manifest, beside: Mapping[str, Manifest], **inputs: Manifest
    ) -> None:
        """Leave where later challengers find it: a run that was killed between the two writes mends itself."""
        remember(job.ports.store, made)


def held_out(store: Store, problems: Manifest) -> list[Problem]:
    """The held-out problems; `LeakError` when one is also trained on, `DataError` when there is none."""
    found = {p.id: p for p in records(store, problems, Problem, "heldout-")}
    if not found:
        raise DataError("no held-out problems", remedy="name some in problems.test")
    trained = records(store, problems, Problem, tuple(prefix for prefix in PROBLEMS if prefix != "heldout-"))
    leaked = sorted({p.id for p in trained} & found.keys())
    if leaked:
        raise LeakError(
            f"{len(leaked)} held-out problems are also trained on",
            value=found[leaked[0]].question,
            remedy="hold out a file, split or seed of its own in problems.test and problems.related",
        )
    return list(found.values())


@dataclass(slots=True)
class Tally:
    """What is kept of one (problem, method)'s samples: never the samples themselves."""

    greedy: bool | None = None
    drawn: dict[int, tuple[str | None, bool]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)

    def add(self, sample: CheckedSample) -> None:
        """Count a sample in."""
        if sample.verdict is Verdict.FAILED:
            self.failed.add(sample.sample.index)
        elif sample.sample.index == 0:
            self.greedy = sample.passed
        else:
            answer = None if sample.answer is None else normalise(sample.answer)
            self.drawn[sample.sample.index] = (answer, sample.passed)

    def majority(self) -> bool | None:
        """Whether the answer that most of the drawn samples give is right; None of no samples."""
        if not self.drawn:
            return None
        votes = [vote for _, vote in sorted(self.drawn.items())]
        winner = stats.majority([answer for answer, _ in votes])
        # Answers that are spelled alike but for a unit may differ in verdict; then most of them count.
        verdicts = [passed for answer, passed in votes if answer == winner and answer is not None]
        return 2 * sum(verdicts) > len(verdicts)


def outcomes(
    heldout: Iterable[Problem], methods: Sequence[str], tallies: Mapping[tuple[str, str], Tally]
) -> Iterator[Outcome]:
    """One outcome per held-out problem and method that it is measured by, in that order; none may be missing."""
    for problem, method in ((p, m) for p in heldout for m in p.by(methods)):
        tally = tallies.get((problem.id, method), Tally())
        if tally.greedy is None and 0 not in tally.failed:
            raise DataError(
                f"held-out problem {problem.id} has no greedy sample by {method}",
                value=problem.question,
                remedy="sample the held-out problems with the model that is evaluated",
            )
        yield Outcome(
            problem_id=problem.id,
            task=problem.task,
            family=problem.family,
            method=method,
            passed=tally.greedy,
            sampled=len(tally.drawn),
            correct=sum(passed for _, passed in tally.drawn.values()),
            majority=tally.majority(),
            failed=len(tally.failed),
        )


def scores(results: Sequence[Outcome]) -> Iterator[Score]:
    """A score per task and method, then one per task over all methods (`ALL_METHODS`): their mean.

    Tasks: `main` first; methods in the order of the outcomes.
    """
    for task in sorted({o.task for o in results}, key=lambda t: (t != "main", t)):
        by_method: dict[str, list[Outcome]] = {}
        for o in results:
            if o.task == task:
                by_method.setdefault(o.method, []).append(o)
        single = [_score(task, method, found) for method, found in by_method.items()]
        yield from single
        yield _mean(task, single)


def families(results: Iterable[Outcome]) -> dict[str, tuple[int, int]]:
    """{"task/method/family": (passed, problems)} of the greedy samples; where a request failed, it is in neither."""
    table: dict[str, tuple[int, int]] = {}
    for o in results:
        if o.passed is not None:
            name = f"{o.task}/{o.method}/{o.family}"
            passed, n = table.get(name, (0, 0))
            table[name] = passed + o.passed, n + 1
    return dict(sorted(table.items()))


def _score(task: str, method: str, found: Sequence[Outcome]) -> Score:
    verdicts = [o.passed for o in found if o.passed is not None]
    n = len(verdicts)
    rate = sum(verdicts) / n if n else 0.0
    low, high = stats.wilson(rate, n)
    drawn = [o for o in found if o.failed == (o.passed is None)]
    # Only as many as every problem has: an average over the better-sampled ones would mislead.
    k = min((o.sampled for o in drawn), default=0)
    ks = sorted({k} | {2**i for i in range(k.bit_length()) if 2**i <= k}) if k else []
    return Score(
        task=task,
        method=method,
        n=n,
        pass_at_1=rate,
        low=low,
        high=high,
        pass_at_k={str(j): sum(stats.pass_at_k(o.sampled, o.correct, j) for o in drawn) / len(drawn) for j in ks},
        majority=sum(bool(o.majority) for o in drawn) / len(drawn) if k else None,
        failed=len(found) - n,
    )


def _mean(task: str, single: Sequence[Score]) -> Score:
    m, n = len(single), min(s.n for s in single)
    rate = sum(s.pass_at_1 for s in single) / m
    low, high = stats.wilson(rate, n)
    ks = [k for k in single[0].pass_at_k if all(k in s.pass_at_k for s in single)]
    votes = [s.majority for s in single if s.majority is not None]
    return Score(
        task=task,
        method=ALL_METHODS,
        n=n,
        pass_at_1=rate,
        low=low,
        high=high,
        pass_at_k={k: sum(s.pass_at_k[k] for s in single) / m for k in ks},
        majority=sum(votes) / m if len(votes) == m else None,
        failed=max(s.failed for s in single),
    )
