"""How good labels by vote are, by every rule, on the samples that a run has drawn of problems whose answers are known.

    python -m bench.labels STORE RUN            e.g. mmst-out labels-de84de64

Purity is the share of the labels that are right, yield the share of the problems that have one. The run's training
problems are labelled as if their answers were not known, and its unlabelled ones, if their files hold answers. Rules
differ in yield, and a stricter one is purer. So each is also cut to the yield of `methods-agree`: to that many labels
with the largest shares, and of those with the share at which it is cut a part, as many right ones among them as in all.
Intervals: Wilson's for a share; of differences, a bootstrap over problems (2,000), paired.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mmst.core.config import LabelConfig
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, Labelling, Problem
from mmst.core.stats import wilson
from mmst.core.stored import records
from mmst.datasets import load
from mmst.grading import settle
from mmst.grading.algebra.processes import SympyAlgebra
from mmst.runs.summary import find_run, recorded_config, summarise
from mmst.stages.label import Decide, Given, elect
from mmst.stages.reads import CHECKED, LEARNT
from mmst.wiring import open_store

RESAMPLES = 2000
LEAST = 0.5
RANDOM = "random, where methods agree"
BUCKETS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Labels:
    """A rule's labels: per problem its share of the votes (0 where there is no label), and whether it is right."""

    name: str
    shares: Numbers
    right: Numbers

    def at(self, least: float) -> Labels:
        """The labels with at least this share."""
        kept = self.shares >= least
        return Labels(self.name, np.where(kept, self.shares, 0.0), np.where(kept, self.right, 0.0))

    @property
    def count(self) -> int:
        """How many problems have one."""
        return int((self.shares > 0).sum())

    def top(self, n: float, chosen: npt.NDArray[np.int64] | None = None) -> float:
        """The purity of the `n` labels with the largest shares, of the problems that are chosen."""
        chosen = np.arange(len(self.shares)) if chosen is None else chosen
        shares, right = self.shares[chosen], self.right[chosen]
        order = np.argsort(-shares, kind="stable")
        shares, right = shares[order], right[order]
        n = min(n, float((shares > 0).sum()))
        if not n:
            return float("nan")
        last = shares[int(np.ceil(n)) - 1]
        above, level = shares > last, shares == last
        return float((right[above].sum() + (n - above.sum()) * right[level].mean()) / n)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("run")
    given = parser.parse_args()
    store = open_store(given.store)
    problems, answers, methods = voted(store, find_run(store, given.run))
    with SympyAlgebra(workers=1) as algebra:
        rules = list(labelled(problems, answers, methods, algebra.decide))
        solved = sum(_any_right(p, answers[p.id], algebra.decide) for p in problems)
    print(f"{len(problems)} problems; at least one sample is right for {solved} ({solved / len(problems):.1%})\n")
    for line in (*table(rules), "", *buckets(rules)):
        print(line)


def voted(store: Store, run: str) -> tuple[list[Problem], dict[str, Given], list[str]]:
    """The problems of a run whose answers are known, the votes of its first round, and its methods."""
    summary, config = summarise(store, run), recorded_config(store, run)
    if config is None:
        raise SystemExit(f"{run} has no recipe")
    prepared, verified = summary.rounds[0].stage("prepare", "base"), None
    for r in summary.rounds:
        verified = verified or (r.stage("verify") or r.stage("verify", config.loop.arm))
    if prepared is None or prepared.manifest is None or verified is None or verified.manifest is None:
        raise SystemExit(f"{run} has no verified samples yet")
    hidden = {p.id: p.answer for source in config.problems.unlabelled for p in load(source, unlabelled=True)}
    found = records(store, prepared.manifest, Problem, LEARNT)
    problems = [p if p.answer else replace(p, answer=hidden.get(p.id, "")) for p in found]
    answers = {p.id: Given() for p in problems}
    for c in records(store, verified.manifest, CheckedSample, CHECKED):
        answers[c.sample.problem_id].add(c)
    return [p for p in problems if p.answer], answers, list(config.methods)


def labelled(
    problems: Sequence[Problem], answers: Mapping[str, Given], methods: Sequence[str], decide: Decide
) -> Iterator[Labels]:
    """The labels by every rule, whatever their share."""
    any_share = 0.01
    for rule in ("methods-agree", "majority"):
        yield by_rule(rule, LabelConfig(rule=rule, least=any_share), problems, answers, decide)
    for name in methods:
        alone = {id: Given(votes={name: given.votes[name]}) for id, given in answers.items() if name in given.votes}
        yield by_rule(f"majority of {name}", LabelConfig(rule="majority", least=any_share), problems, alone, decide)
    yield by_rule(RANDOM, LabelConfig(rule="random", least=LEAST), problems, answers, decide)


def by_rule(
    name: str, rule: LabelConfig, problems: Sequence[Problem], answers: Mapping[str, Given], decide: Decide
) -> Labels:
    """The labels by one rule."""
    shares, right = np.zeros(len(problems)), np.zeros(len(problems))
    for i, p in enumerate(problems):
        label = elect(p, answers.get(p.id, Given()), rule, decide).label
        if label.outcome is Labelling.LABELLED:
            shares[i], right[i] = label.share, _right(p, [label.answer], decide)[0]
    return Labels(name, shares, right)


def table(rules: Sequence[Labels]) -> Iterator[str]:
    """Purity and yield of each rule: with half of the votes, with any share, and at the yield of the first."""
    agree, problems = rules[0].at(LEAST), len(rules[0].shares)
    heads = (
        "rule", f"labels (share ≥ {LEAST:g})", "yield %", "purity %", "labels, any share", "purity %",
        "purity at equal yield %", "agree − rule, points",
    )  # fmt: skip
    yield f"| {' | '.join(heads)} |"
    yield "| --- " * len(heads) + "|"
    for whole in rules:
        half, n = whole if whole.name == RANDOM else whole.at(LEAST), float(agree.count)
        top = whole.top(n)
        short = "" if whole.count >= n else f" (only {whole.count})"
        cells = [
            whole.name, half.count, _percent(half.count, problems), _percent(half.right.sum(), half.count),
            whole.count, _percent(whole.right.sum(), whole.count), f"{100 * top:.1f}{short}", difference(agree, whole),
        ]  # fmt: skip
        yield "| " + " | ".join(map(str, cells)) + " |"


def difference(agree: Labels, rule: Labels) -> str:
    """By how many points agreement is purer at equal yield, with the 95 % interval."""
    if agree.name == rule.name:
        return "·"
    rng, problems = np.random.default_rng(1), len(agree.shares)

    def once(chosen: npt.NDArray[np.int64]) -> float:
        n = float((agree.shares[chosen] > 0).sum())
        return agree.top(n, chosen) - rule.top(n, chosen)

    found = [once(rng.integers(0, problems, problems)) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return f"{100 * once(np.arange(problems)):+.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def buckets(rules: Sequence[Labels]) -> Iterator[str]:
    """How often a label is right, by its share of the votes."""
    yield "| share of the votes | " + " | ".join(f"{rule.name}: right of labels, %" for rule in rules[:2]) + " |"
    yield "| --- | --- | --- |"
    for low, high in zip(BUCKETS, (*BUCKETS[1:], 2.0), strict=True):
        cells = []
        for rule in rules[:2]:
            here = (rule.shares >= low) & (rule.shares < high) & (rule.shares > 0)
            n, right = int(here.sum()), int(rule.right[here].sum())
            cells.append(f"{right} of {n}: {_percent(right, n)}" if n else "·")
        name = "1 (all agree)" if low == 1 else f"{low:g} to {high:g}"
        yield f"| {name} | {' | '.join(cells)} |"


def _percent(part: float, whole: float) -> str:
    if not whole:
        return "·"
    low, high = wilson(part / whole, int(whole))
    return f"{100 * part / whole:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _right(p: Problem, answers: Iterable[str], decide: Decide) -> list[bool]:
    pairs = [(p.answer, answer) for answer in answers]
    return [c.equal is True for c in settle(pairs, decide, [p.question] * len(pairs))]


def _any_right(p: Problem, given: Given, decide: Decide) -> bool:
    return any(_right(p, {a for votes in given.votes.values() for a in votes}, decide))


if __name__ == "__main__":
    main()
