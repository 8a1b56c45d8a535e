"""Claims against outcomes: what is supported, contradicted, or not resolved. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmst.experiments.definition import BASE, COUNTS, Claim, Experiment
from mmst.experiments.inference import ALPHA, Array, Estimate, holm, mean_difference, rank_correlation
from mmst.experiments.outcomes import Outcomes


class Verdict(enum.StrEnum):
    """What an experiment says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_RESOLVED = "not resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim with our difference. `p` is Holm's over all claims that are tested; None where nothing is tested."""

    claim: Claim
    estimate: Estimate
    p: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """An arm's accuracy by one method on one task: a fraction, the mean over seeds."""

    arm: str
    task: str
    method: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """By how many methods the base solves a task's problems: fractions, together 1.

    What one method alone solves is what it can teach the others. `phi` is the correlation of their successes, as the
    mean of all pairs of methods.
    """

    task: str
    several: float
    only: Mapping[str, float]
    none: float
    phi: float | None = None


def findings(experiment: Experiment, outcomes: Outcomes) -> list[Finding]:
    """Every claim about arms that are run, in the experiment's order.

    Supported or contradicted: Holm's p below 0.05, and the difference above or below 0. Counts of
    examples are no sample of anything: there the verdict asks that all seeds agree. The correction counts claims that
    wait for their arms too, so that nothing is gained by running the promising ones alone.
    """
    claims = experiment.tested
    estimates = [_estimate(claim, outcomes) for claim in claims]
    tested = [i for i, claim in enumerate(claims) if claim.measure != COUNTS]
    waiting = sum(claim.measure != COUNTS for claim in experiment.waiting)
    adjusted = dict(zip(tested, holm([*(estimates[i].p for i in tested), *[1.0] * waiting]), strict=False))
    return [
        Finding(claim=claim, estimate=estimate, p=adjusted.get(i), verdict=_verdict(estimate, adjusted.get(i)))
        for i, (claim, estimate) in enumerate(zip(claims, estimates, strict=True))
    ]


def levels(outcomes: Outcomes) -> list[Level]:
    """Accuracy of every arm by task and method, and over all methods."""
    tasks = dict.fromkeys(item.task for item in outcomes.items)
    return [
        Level(arm=arm, task=task, method=method, estimate=mean_difference(outcomes.of(arm, task, method)))
        for arm in outcomes.passed
        for task in tasks
        for method in (*outcomes.measured(task), "all")
    ]


def overlaps(outcomes: Outcomes) -> list[Overlap]:
    """What the methods have in common at the base, by the tasks that all of them are measured on."""
    found = []
    for task in dict.fromkeys(item.task for item in outcomes.items):
        common = outcomes.common(task)
        if not common:
            continue
        solved = outcomes.passed[BASE][:, :, common].swapaxes(0, 1)
        by = solved.sum(axis=0)
        only = {m: float((mine * (by == 1)).mean()) for m, mine in zip(outcomes.methods, solved, strict=True)}
        several, none, phi = float((by > 1).mean()), float((by == 0).mean()), _phi(solved)
        found.append(Overlap(task=task, several=several, only=only, none=none, phi=phi))
    return found


def _phi(solved: Array) -> float | None:
    """The mean correlation of two methods' successes; None where a method solves all or nothing."""
    flat = solved.reshape(len(solved), -1)
    if len(flat) < 2 or (flat.std(axis=1) == 0).any():
        return None
    whole: Array = np.asarray(np.corrcoef(flat))
    return float(whole[np.triu_indices(len(flat), 1)].mean())


def by_family(claim: Claim, outcomes: Outcomes) -> tuple[list[str], Array, Array]:
    """Families with, per family and method [families, methods], the gain and the base's disagreement."""
    gains, apart, families = _apart(claim, outcomes)
    names = list(dict.fromkeys(families))
    at = {name: np.array([family == name for family in families]) for name in names}
    mean = gains.mean(axis=0)
    return (
        names,
        np.array([mean[:, at[name]].mean(axis=1) for name in names]),
        np.array([apart[:, at[name]].mean(axis=1) for name in names]),
    )


def _estimate(claim: Claim, outcomes: Outcomes) -> Estimate:
    if claim.measure == COUNTS:
        return _counted(claim, outcomes)
    if claim.measure == "disagreement":
        gains, apart, families = _apart(claim, outcomes)
        return rank_correlation(gains, apart, families)
    of, over = (outcomes.of(arm, claim.task, claim.method) for arm in (claim.of, claim.over))
    return mean_difference(of - over)


def _counted(claim: Claim, outcomes: Outcomes) -> Estimate:
    of, over = (
        [outcomes.examples[arm].get(seed, {}).get(claim.method, 0) for seed in outcomes.seeds]
        for arm in (claim.of, claim.over)
    )
    more = [float(a - b) for a, b in zip(of, over, strict=True)]
    return Estimate(value=sum(more) / len(more), low=min(more), high=max(more), p=1.0, seeds=tuple(more))


def _apart(claim: Claim, outcomes: Outcomes) -> tuple[Array, Array, Sequence[str]]:
    here = outcomes.common(claim.task)
    gains = (outcomes.passed[claim.of] - outcomes.passed[claim.over])[:, :, here]
    base = outcomes.passed[BASE][:, :, here].mean(axis=0)
    others = np.array([np.delete(base, m, axis=0).max(axis=0) for m in range(len(base))])
    return gains, others * (1 - base), [outcomes.items[i].family for i in here]


def _verdict(estimate: Estimate, p: float | None) -> Verdict:
    sure = p < ALPHA if p is not None else estimate.low > 0 or estimate.high < 0
    if not sure or not estimate.value:
        return Verdict.NOT_RESOLVED
    return Verdict.SUPPORTED if estimate.value > 0 else Verdict.CONTRADICTED
