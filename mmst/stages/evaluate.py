"""Evaluation: how a checkpoint does on held-out problems, per method and task.

The held-out problems were sampled and checked by the same stages as any others: the sample of
index 0 is greedy and gives pass@1; those from 1 on were drawn at a temperature and give pass@k
(unbiased) and the majority vote. What is kept is one `Outcome` per (problem, method), the item
of every later comparison. A sample whose request failed is no wrong answer: the problem is left out
of the figures that would need it, and counted as failed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmst.core import plugin_keys, stats
from mmst.core.errors import DataError, LeakError
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines, Store
from mmst.core.records import CheckedSample, Outcome, Problem, Report, Score, Verdict, digest, to_data
from mmst.core.stage import Stage, records, shard_name
from mmst.grading import normalise
from mmst.methods.prompts import prompt_identity
from mmst.stages.champion import ALL_METHODS, report_name

VERSION = 2
SHARD = 8192


def run(engines: Engines, place: Place, problems: Manifest, checked: Manifest, checkpoint: Manifest) -> Manifest:
    """Report on `checkpoint`, whose solutions of the held-out `problems` are `checked`.

    Shards hold `Outcome`. facts: `report` (a `Report`), `families` ({"task/method/family":
    [passed, problems]}), `protocol` (the digest of how the problems were put). Raises `LeakError`
    when a held-out problem is also trained on, `DataError` when one lacks its greedy sample.
    """
    config = engines.config
    protocol = {
        "methods": sorted(config.methods),
        "prompt": prompt_identity(config.prompt),
        "max_tokens": config.sampling.max_tokens,
        **plugin_keys.in_key(plugin_keys.of_methods(config)),
    }
    slice_ = {"k": config.evaluate.k, "protocol": protocol, "round": place.round, "arm": place.arm}
    inputs = {"problems": problems, "checked": checked, "checkpoint": checkpoint}
    stage = Stage.open(engines.store, "evaluate", version=VERSION, config=slice_, inputs=inputs, place=place)
    if stage.manifest is None:
        _evaluate(engines, stage, place, problems, checked, checkpoint, digest(protocol))
    assert stage.manifest is not None
    # Outside the condition: a run that was killed between the two writes mends itself.
    report = stage.manifest.facts["report"]
    name = report_name(report["heldout"], stage.manifest.facts["protocol"], checkpoint.digest)
    if engines.store.read(name) != stage.prefix.encode():
        engines.store.write(name, stage.prefix.encode())
    return stage.manifest


def _evaluate(
    engines: Engines,
    stage: Stage,
    place: Place,
    problems: Manifest,
    checked: Manifest,
    checkpoint: Manifest,
    protocol: str,
) -> None:
    started = time.monotonic()
    heldout = held_out(engines.store, problems)
    tallies: dict[tuple[str, str], Tally] = {}
    with engines.progress.task("evaluate", checked.counts.get("samples", 0), "samples") as task:
        for sample in records(engines.store, checked, CheckedSample):
            tallies.setdefault((sample.sample.problem_id, sample.sample.method), Tally()).add(sample)
            task.advance()
    results = list(outcomes(heldout, engines.config.methods, tallies))
    shards = []
    for i in range(0, len(results), SHARD):
        shards.append(shard_name(i // SHARD))
        stage.write_records(shards[-1], results[i : i + SHARD])
    report = Report(
        checkpoint=checkpoint.digest,
        heldout=digest(sorted([p.id, p.answer] for p in heldout)),
        round=place.round,
        arm=place.arm,
        scores=tuple(scores(results)),
    )
    stage.finish(
        shards=shards,
        counts={
            "problems": len(heldout),
            "outcomes": len(results),
            "passed": sum(o.passed is True for o in results),
            "failed": sum(o.passed is None for o in results),
        },
        facts={"report": to_data(report), "families": families(results), "protocol": protocol},
        timing={"seconds": time.monotonic() - started},
    )


def held_out(store: Store, problems: Manifest) -> list[Problem]:
    """The held-out problems; `LeakError` when one is also trained on, `DataError` when there is none."""
    found = {p.id: p for p in records(store, problems, Problem, "heldout-")}
    if not found:
        raise DataError("no held-out problems", remedy="name some in problems.test")
    trained = itertools.chain.from_iterable(records(store, problems, Problem, p) for p in ("train-", "annotated-"))
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
    """One outcome per held-out problem and method, in that order; none may be missing."""
    for problem, method in itertools.product(heldout, methods):
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


def families(results: Iterable[Outcome]) -> dict[str, list[int]]:
    """{"task/method/family": [passed, problems]} of the greedy samples; where a request failed, it is in neither."""
    table: dict[str, list[int]] = {}
    for o in results:
        if o.passed is None:
            continue
        cell = table.setdefault(f"{o.task}/{o.method}/{o.family}", [0, 0])
        cell[0] += o.passed
        cell[1] += 1
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
