"""Labels for problems without gold answers: their samples vote, and each is judged by the label that wins.

A vote is an answer that a sample gave; one whose program printed something else when it was run again has none.
The votes for an answer are those of all samples that the grader would call right if it were the gold one. Where a
question offers options, only these can win, and the label is theirs.

    methods-agree  the answer with the most votes among those that samples of at least two methods gave
    majority       the answer with the most votes
    random         a control: any answer that was given, of the problems that methods-agree labels

It is the label if it has at least `label.least` of all votes. Two different answers with the same number of votes
are none, since a wrong label is worse than none. Labels depend on nothing but the votes, and are made anew each round.

Work in progress: `elected-…`, the label of some problems each and the verdicts that it gives.

Shards: `shard-…`, all checked samples, those of labelled problems judged by the label (`share` says by how large a
vote); `train-…`, the problems to learn from, with the labels as their answers, by which translations are verified;
`label-…`, what became of each problem; `annotated-…`, those problems as they were. A gold answer that a file may
hold is not known here (`measure_labels`).
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mmst.core import metrics
from mmst.core.config import Config, LabelConfig
from mmst.core.errors import UserError
from mmst.core.manifest import Place
from mmst.core.records import CheckedSample, Label, Labelling, Problem, Verdict, Votes, seed_of
from mmst.core.results import LabelCounts
from mmst.core.stage import Job, Made, Stage, effective
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.grading import choice, compare
from mmst.stages.counting import Counting
from mmst.stages.reads import CHECKED, Checked, Problems

SHARD = 2048
ELECTED = 256
"""Problems after which a stage that is stopped goes on: algebra may take a minute for one."""
AGREE = 2
"""Methods that must give an answer for them to agree on it."""
MOST_ASKED = 12
"""Pairs of answers of a problem that algebra is asked about."""
MAJORITY, RANDOM = "majority", "random"
_GRADES = {True: Verdict.PASSED, False: Verdict.WRONG, None: Verdict.UNDECIDED}

Decide = Callable[[Sequence[tuple[str, str]]], list[bool | None]]
"""`ports.Algebra.decide`."""
Same = Mapping[tuple[str, str], bool | None]
"""Whether an answer is right if another one is: by (that one, the answer)."""


@dataclass(slots=True)
class Given:
    """The answers of a problem's samples: the votes by method, and those that do not count as votes."""

    votes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    others: set[str] = field(default_factory=set)

    def add(self, c: CheckedSample) -> None:
        """Count a sample's answer in."""
        if c.answer is not None and c.nondeterministic:
            self.others.add(c.answer)
        elif c.answer is not None:
            self.votes[c.sample.method][c.answer] += 1

    @property
    def answers(self) -> list[str]:
        """All different ones, in an order that does not depend on the samples'."""
        return sorted(self.others.union(*self.votes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """A problem's label, and the verdict that it gives on each answer."""

    label: Label
    verdicts: Mapping[str, Verdict]


class LabelProblems(Stage[LabelConfig]):
    """Label problems without gold answers by the votes of their samples, and judge the samples by the labels.

    Example:

      mmst label -r my.yaml --problems stages/prepare/3f… --checked stages/verify/c1…
    """

    name, version = "label", 2
    writes: ClassVar = {"shard": CheckedSample, "train": Problem, "label": Label, "annotated": Problem}

    def settings(self, config: Config, place: Place) -> LabelConfig:
        """The rule, and what it asks for."""
        return effective(config.label or LabelConfig())

    def work(self, job: Job[LabelConfig], problems: Problems, checked: Checked) -> Made:
        """Label the unlabelled ones of `problems` by their samples in `checked`.

        `UserError` when there is nothing to learn from: no label, and no problem with an answer.
        """
        store, folder = job.ports.store, job.folder
        train = list(records(store, problems, Problem, "train-"))
        unlabelled = list(records(store, problems, Problem, "unlabelled-"))
        given = {p.id: Given() for p in unlabelled}
        for c in records(store, checked, CheckedSample, CHECKED):
            if c.verdict is Verdict.UNLABELLED:
                given[c.sample.problem_id].add(c)
        elections: dict[str, Election] = {}
        there = folder.files()
        with job.ports.algebra() as algebra, job.ports.progress.task("label", len(unlabelled), "problems") as task:
            for name, voted in sharded(unlabelled, ELECTED, "elected"):
                if name in there:
                    found = list(folder.read_records(name, Election))
                    task.found(len(found))
                else:
                    found = []
                    for p in voted:
                        found.append(elect(p, given[p.id], job.settings, algebra.decide))
                        task.advance()
                    folder.write_records(name, found)
                elections |= {e.label.problem_id: e for e in found}
        labels = [election.label for election in elections.values()]
        outcomes = Counter(label.outcome for label in labels)
        if unlabelled and not train and not outcomes[Labelling.LABELLED]:
            raise _nothing(job.settings, len(unlabelled), outcomes)
        counting, shards = Counting(), []

        def samples() -> Iterator[CheckedSample]:
            for c in records(store, checked, CheckedSample, CHECKED):
                yield judged(c, elections[c.sample.problem_id]) if c.verdict is Verdict.UNLABELLED else c

        for shard, part in sharded(samples(), SHARD):
            counting.add(part)
            folder.write_records(shard, part)
            shards.append(shard)
        known = (*train, *(replace(p, answer=elections[p.id].label.answer) for p in unlabelled))
        annotated = records(store, problems, Problem, "annotated-")  # to be demonstrated while translating
        for prefix, made in (("train", known), ("label", labels), ("annotated", annotated)):
            for shard, items in sharded(made, SHARD, prefix):
                folder.write_records(shard, items)
                shards.append(shard)
        counts = LabelCounts(
            unlabelled=len(unlabelled), outcomes={o.value: n for o, n in outcomes.items()}, verify=counting.counts()
        )
        return Made(shards=shards, counts=counts)

    def publish(self, counts: LabelCounts) -> None:
        """What became of the problems."""
        for outcome, n in counts.outcomes.items():
            metrics.count("mmst_labels_total", n, outcome=outcome)


def elect(problem: Problem, given: Given, rule: LabelConfig, decide: Decide) -> Election:
    """What the samples' answers make of a problem. Order-free: it depends on the votes alone."""
    total = sum(given.votes.values(), Counter[str]())
    answers, named = given.answers, {a: a for a in given.answers}
    same: dict[tuple[str, str], bool | None]
    if problem.options:
        chosen = {a: choice(problem.options, a, problem.question) for a in answers}
        same = {(a, b): _same_choice(chosen[a], chosen[b]) for a in answers for b in answers}
        named = {a: label or a for a, label in chosen.items()}
    else:
        ranked = sorted(answers, key=lambda a: (-total[a], a))
        same = {**equal(ranked, problem.question, decide), **{(a, a): True for a in answers}}
    outcome, answer, share = winner(problem.id, given.votes, same, rule)
    votes = tuple(
        Votes(answer=a, by={name: votes[a] for name, votes in sorted(given.votes.items()) if votes[a]})
        for a in sorted(total, key=lambda a: (-total[a], a))
    )
    labelled = outcome is Labelling.LABELLED
    written = named[answer] if labelled else ""
    label = Label(problem_id=problem.id, outcome=outcome, answer=written, share=share, votes=votes)
    return Election(label=label, verdicts={a: _GRADES[same[answer, a]] for a in answers} if labelled else {})


def _same_choice(one: str | None, other: str | None) -> bool | None:
    """Whether two answers name the same option; None where it isn't known which, or none of them is meant."""
    return one == other if one and other is not None else None


def equal(answers: Sequence[str], question: str, decide: Decide) -> dict[tuple[str, str], bool | None]:
    """Whether the second of any two answers is right if the first is; those with the most votes go first.

    Algebra, which may take seconds, is asked about `MOST_ASKED` pairs, once for both orders; others stay unknown.
    """
    pairs = list(itertools.permutations(answers, 2))
    found = {pair: compare(*pair, question).equal for pair in pairs}
    undecided = [pair for pair in itertools.combinations(answers, 2) if None in (found[pair], found[pair[::-1]])]
    for pair, verdict in zip(undecided, decide(undecided[:MOST_ASKED]) if undecided else (), strict=False):
        for order in (pair, pair[::-1]):
            if found[order] is None:
                found[order] = verdict
    return found


def winner(
    problem_id: str, votes: Mapping[str, Counter[str]], same: Same, rule: LabelConfig
) -> tuple[Labelling, str, float]:
    """The outcome, the best answer and its share of the votes. Pure."""
    given = sum(votes.values(), Counter[str]())
    if not given:
        return Labelling.NONE, "", 0.0
    backers = {a: frozenset(b for b in given if same[a, b]) for a in given if same[a, a]}
    count = {a: sum(given[b] for b in backers[a]) for a in backers}
    if not count:
        return Labelling.NONE, "", 0.0

    def best_first(answers: Iterable[str]) -> list[str]:
        return sorted(answers, key=lambda a: (-count[a], -given[a], len(a), a))

    agreed = (a for a in count if sum(any(b in by for b in backers[a]) for by in votes.values()) >= AGREE)
    ranked = best_first(count if rule.rule == MAJORITY else agreed)
    if not ranked:
        return Labelling.ONE_SIDED, "", 0.0
    best, share = ranked[0], count[ranked[0]] / given.total()
    if any(count[a] == count[best] and not (same[best, a] or same[a, best]) for a in ranked[1:]):
        return Labelling.TIE, "", share
    if share < rule.least:
        return Labelling.BELOW, "", share
    if rule.rule == RANDOM:
        different = {backers[a]: a for a in reversed(best_first(count))}.values()
        best = min(different, key=lambda a: (seed_of(problem_id, "label", a), a))
        share = count[best] / given.total()
    return Labelling.LABELLED, best, share


def judged(c: CheckedSample, election: Election) -> CheckedSample:
    """An unlabelled sample as its problem's label has it; as it is where there is none."""
    label = election.label
    if label.outcome is not Labelling.LABELLED or c.answer is None:
        return c
    verdict = election.verdicts[c.answer]
    passed = verdict is Verdict.PASSED
    return replace(
        c,
        verdict=verdict,
        share=label.share,
        nondeterministic=c.nondeterministic and passed,
        detail=c.detail if passed else f"answered {c.answer[:80]}, label {label.answer[:80]}",
    )


def _nothing(rule: LabelConfig, problems: int, outcomes: Mapping[Labelling, int]) -> UserError:
    said = ", ".join(f"{outcomes[o]} {o.value}" for o in Labelling if outcomes.get(o))
    return UserError(
        f"none of the {problems} unlabelled problems got a label, and no other problem is there to learn from ({said})",
        value=f"label.rule={rule.rule}, label.least={rule.least:g}",
        remedy="raise sampling.k, lower label.least, or --set label.rule=majority; or add problems to problems.train",
    )
