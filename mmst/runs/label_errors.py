"""Gold answers that are probably wrong, because the samples of every method agree on another answer.

Data sets contain wrong labels, and every right solution of such a problem counts as wrong. A problem is disputed if

1. it has at least `FEWEST` samples that gave an answer, by at least two methods;
2. for each of these methods, one and the same other answer was given more often than any other answer, the gold one
   included;
3. that other answer has more than half of all answers.

Two methods seldom fail alike, because they make different mistakes. But a model that misreads a question may do so in
both, so a person must check this list; nothing is corrected automatically.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mmst.core.errors import UserError
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, Problem
from mmst.core.stored import records
from mmst.grading import equal, normalise
from mmst.runs.summary import stages

FEWEST = 6
"""Answers that it takes to dispute a gold one."""
STEPS = ("verify", "verify-heldout")
"""The steps whose samples solve problems anew; translations start from a solution that was called right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputed:
    """A problem and the answer that the samples agree on; `votes` is, per method, (for it, for the gold one, all)."""

    problem_id: str
    question: str
    gold: str
    other: str
    votes: Mapping[str, tuple[int, int, int]]

    @property
    def share(self) -> float:
        """How large a part of all answers is the other one."""
        return sum(v[0] for v in self.votes.values()) / sum(v[2] for v in self.votes.values())


def of_run(store: Store, run: str) -> list[Disputed]:
    """The disputed problems of a run, by all samples that it has checked; the clearest first."""
    found = [s for s in stages(store, run) if s.manifest is not None]
    prepared = next((s.manifest for s in found if s.place.step == "prepare"), None)
    if prepared is None:
        raise UserError(f"run {run} has no problems yet", remedy=f"mmst status {run}")
    checked = (
        sample
        for state in found
        if state.place.step in STEPS and state.manifest is not None
        for sample in records(store, state.manifest, CheckedSample)
    )
    counted = count(checked)
    problems = {p.id: p for part in ("train-", "heldout-") for p in records(store, prepared, Problem, part)}
    disputed = [d for name, votes in counted.items() if name in problems and (d := dispute(problems[name], votes))]
    return sorted(disputed, key=lambda d: (-d.share, d.problem_id))


Votes = Mapping[str, Mapping[str, int]]
"""Per method, how many samples gave each answer."""


def count(checked: Iterable[CheckedSample]) -> dict[str, dict[str, Counter[str]]]:
    """Problem → method → answer → samples; answers in one spelling, samples without one left out."""
    counted: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for c in checked:
        if c.answer is not None:
            counted[c.sample.problem_id][c.sample.method][normalise(c.answer)] += 1
    return counted


def dispute(problem: Problem, votes: Votes) -> Disputed | None:
    """The problem as disputed, if it is; see above."""
    if len(votes) < 2 or sum(sum(v.values()) for v in votes.values()) < FEWEST:
        return None
    tallies = {name: Counter(dict(_merged(problem.answer, given))) for name, given in votes.items()}
    leaders = [_leader(tally) for tally in tallies.values()]
    other = leaders[0]
    if other is None or other == problem.answer or any(o is None or not equal(other, o) for o in leaders[1:]):
        return None
    table = {
        name: (max(tally.values()), tally[problem.answer], sum(tally.values()))
        for name, tally in sorted(tallies.items())
    }
    found = Disputed(problem_id=problem.id, question=problem.question, gold=problem.answer, other=other, votes=table)
    return found if found.share > 0.5 else None


def _merged(gold: str, given: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The votes with equal answers added up under one spelling; those for the gold one under its own."""
    merged: dict[str, int] = {gold: 0}
    for answer, n in given.items():
        name = next((known for known in merged if equal(known, answer)), answer)
        merged[name] = merged.get(name, 0) + n
    yield from merged.items()


def _leader(tally: Counter[str]) -> str | None:
    """The answer with the most votes, if it is one alone."""
    first, *rest = tally.most_common(2)
    return first[0] if not rest or first[1] > rest[0][1] else None
