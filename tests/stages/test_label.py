"""The label stage: votes, labels, and samples judged by them."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import LabelConfig, parse
from mmst.core.errors import UserError
from mmst.core.manifest import Manifest, Place
from mmst.core.records import (
    CheckedSample,
    Label,
    Labelling,
    Problem,
    Sample,
    Split,
    Translation,
    Verdict,
    Votes,
    from_json,
    to_json,
)  # fmt: skip
from mmst.core.results import LabelCounts
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.core.stored import records
from mmst.grading import compare
from mmst.stages import label, verify
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes, Oracle

PLACE = Place(run="r", round=1, arm="mmst", step="label")
AGREE, MAJORITY = LabelConfig(), LabelConfig(rule="majority")
SOURCE = [{"format": "generated", "count": 1}]

Cast = list[tuple[str, str]]
"""Votes: (method, answer)."""
ANSWERS = st.sampled_from(["7", "7.0", "8", "25%", "0.25", "1/4", "x", "\ud800", "x^2 = 4"])
CAST: st.SearchStrategy[Cast] = st.lists(st.tuples(st.sampled_from(["text", "code", "third"]), ANSWERS), max_size=8)
RULES = st.builds(
    LabelConfig,
    rule=st.sampled_from(["methods-agree", "majority", "random"]),
    least=st.sampled_from([0.01, 0.5, 2 / 3, 1.0]),
)


def problem(i: int = 1, answer: str = "") -> Problem:
    return Problem(id=f"p-{i}", question=f"What is {i}?", answer=answer, source="t", split=Split.TRAIN)


def cast(votes: Cast, i: int = 1, verdict: Verdict = Verdict.UNLABELLED, **more: Any) -> list[CheckedSample]:
    return [
        CheckedSample(
            sample=Sample(
                id=f"s-{i}-{n}", problem_id=f"p-{i}", method=method, index=n, prompt="", completion=answer,
                finish="stop", prompt_tokens=1, tokens=1, seed=0, model="m",
            ),
            verdict=verdict, solution=answer, answer=answer, **more,
        )
        for n, (method, answer) in enumerate(votes)
    ]  # fmt: skip


def elected(votes: Cast, rule: LabelConfig = AGREE) -> label.Election:
    found = label.Given()
    for c in cast(votes):
        found.add(c)
    return label.elect(problem(), found, rule, Oracle().decide)


class Wired(Fakes):
    """Engines of which the label stage may use the store, the progress and the algebra."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        recipe: dict[str, Any] = {"problems": {"unlabelled": SOURCE}, "label": settings}
        super().__init__(parse(recipe), FolderStore(folder))

    def algebra(self) -> contextlib.AbstractContextManager[Oracle]:
        return contextlib.nullcontext(Oracle())

    def stage(self, name: str, shards: dict[str, Sequence[Any]]) -> Manifest:
        folder = StageFolder.open(self.store, name, version=1, config=0, inputs={})
        for shard, content in shards.items():
            folder.write_records(shard, content)
        return folder.finish(shards=list(shards))

    def label(self, problems: Mapping[str, Sequence[Problem]], checked: Sequence[CheckedSample]) -> Manifest:
        prepared = self.stage("prepare", {f"{role}-00000.jsonl": found for role, found in problems.items()})
        verified = self.stage("verify", {shard_name(0): checked})
        return label.LabelProblems().run(self, PLACE, {"problems": prepared, "checked": verified})


def labelled(engines: Wired, made: Manifest) -> dict[str, Label]:
    return {found.problem_id: found for found in records(engines.store, made, Label, "label-")}


@pytest.mark.parametrize(
    ("votes", "rule", "outcome", "answer"),
    [
        ([], AGREE, "none", ""),
        ([("text", "7")] * 3, AGREE, "one_sided", ""),
        ([("text", "7")] * 3, MAJORITY, "labelled", "7"),
        ([("text", "7"), ("code", "7.0")], AGREE, "labelled", "7"),
        ([("text", "5")] * 3 + [("text", "7"), ("code", "7")], AGREE, "below", ""),
        ([("text", "5")] * 3 + [("text", "7"), ("code", "7")], LabelConfig(least=0.4), "labelled", "7"),
        ([("text", "7"), ("code", "7"), ("text", "8"), ("code", "8")], AGREE, "tie", ""),
        ([("text", "7"), ("code", "8")], MAJORITY, "tie", ""),
        ([("text", "7"), ("code", "8"), ("code", "8")], MAJORITY, "labelled", "8"),
    ],
)
def test_a_vote_has_its_outcome(votes: Cast, rule: LabelConfig, outcome: str, answer: str) -> None:
    found = elected(votes, rule).label
    assert (found.outcome.value, found.answer) == (outcome, answer)


@given(votes=CAST, rule=RULES, order=st.randoms(use_true_random=False))
def test_a_label_depends_on_the_votes_and_not_on_their_order(
    votes: Cast, rule: LabelConfig, order: random.Random
) -> None:
    shuffled = list(votes)
    order.shuffle(shuffled)
    assert elected(shuffled, rule) == elected(votes, rule)


@given(votes=CAST, least=st.sampled_from([0.01, 0.5, 1.0]))
def test_what_methods_agree_on_at_least_two_of_them_gave(votes: Cast, least: float) -> None:
    found = elected(votes, LabelConfig(least=least)).label
    agreeing = {method for method, answer in votes if compare(found.answer, answer, problem().question).equal}
    assert found.outcome is not Labelling.LABELLED or (len(agreeing) >= 2 and found.share >= least)


@given(votes=CAST, rule=RULES)
def test_the_share_of_a_label_is_that_of_the_samples_that_it_calls_right(votes: Cast, rule: LabelConfig) -> None:
    election = elected(votes, rule)
    if election.label.outcome is Labelling.LABELLED:
        passed = [c for c in cast(votes) if label.judged(c, election).passed]
        assert election.label.share == len(passed) / len(votes)


@given(votes=CAST, rule=RULES)
def test_a_label_record_holds_all_votes_and_can_be_read_back(votes: Cast, rule: LabelConfig) -> None:
    found = elected(votes, rule).label
    assert from_json(Label, to_json(found)) == found
    counted = Counter({(m, v.answer): n for v in found.votes for m, n in v.by.items()})
    assert counted == Counter(votes)


def test_a_random_label_is_any_answer_of_a_problem_on_which_methods_agree() -> None:
    rule = LabelConfig(rule="random")
    votes = [("text", "7"), ("code", "7"), ("text", "8")]
    ballots = label.Given()
    for c in cast(votes):
        ballots.add(c)
    drawn = [label.elect(problem(i), ballots, rule, Oracle().decide).label.answer for i in range(40)]
    assert set(drawn) == {"7", "8"}
    assert elected([("text", "7"), ("text", "8")], rule).label.outcome is Labelling.ONE_SIDED


def test_an_answer_that_comes_out_differently_when_run_again_is_no_vote_but_is_judged() -> None:
    ballots = label.Given()
    steady, unsteady = cast([("text", "7"), ("text", "7")]), cast([("code", "7")], nondeterministic=True, detail="why")
    for c in (*steady, *unsteady):
        ballots.add(c)
    assert label.elect(problem(), ballots, AGREE, Oracle().decide).label.outcome is Labelling.ONE_SIDED
    election = label.elect(problem(), ballots, MAJORITY, Oracle().decide)
    assert election.label.votes == (Votes(answer="7", by={"text": 2}),)
    found = label.judged(unsteady[0], election)
    assert (found.passed, found.teaches, found.detail) == (True, False, "why")


@given(
    cases=st.lists(st.tuples(CAST, st.sampled_from(Verdict)), min_size=1, max_size=6),
    rule=RULES,
)
def test_outcomes_add_up_to_the_unlabelled_problems_and_verdicts_to_the_samples(
    cases: list[tuple[Cast, Verdict]], rule: LabelConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    engines = Wired(tmp_path_factory.mktemp("store"), rule=rule.rule, least=rule.least)
    checked = [c for i, (votes, verdict) in enumerate(cases) for c in cast(votes, i, verdict)]
    found = [problem(i) for i in range(len(cases))]
    made = engines.label({"train": [problem(99, "1")], "unlabelled": found}, checked).counted(LabelCounts)
    assert sum(made.outcomes.values()) == made.unlabelled == len(cases)
    assert sum(made.verify.total.verdicts.values()) == made.verify.total.asked == len(checked)


OFFERED = {"A": "36", "B": "38", "C": "40"}


def chosen(votes: Cast, rule: LabelConfig = AGREE, options: Mapping[str, str] = OFFERED) -> label.Election:
    found = label.Given()
    for c in cast(votes):
        found.add(c)
    return label.elect(replace(problem(), options=dict(options)), found, rule, Oracle().decide)


def test_the_label_of_a_question_with_options_is_that_of_an_option_however_it_was_named() -> None:
    made = chosen([("text", "B"), ("text", "B) 38"), ("code", "38"), ("code", "40")])
    assert (made.label.outcome, made.label.answer, made.label.share) == (Labelling.LABELLED, "B", 0.75)
    assert {a: v.value for a, v in made.verdicts.items()} == {
        "B": "passed", "B) 38": "passed", "38": "passed", "40": "wrong",
    }  # fmt: skip


@pytest.mark.parametrize("rule", [AGREE, MAJORITY, LabelConfig(rule="random")])
def test_what_names_no_option_cannot_win(rule: LabelConfig) -> None:
    assert chosen([("text", "42"), ("code", "42"), ("text", "A or B"), ("code", "A or B")], rule).label.answer == ""


def test_options_that_are_each_other_s_labels_get_no_label() -> None:
    assert chosen([("text", "A"), ("code", "A")], options={"A": "B", "B": "A"}).label.answer == ""


def test_algebra_is_asked_once_about_two_answers_and_of_the_most_frequent_ones_first() -> None:
    asked = list[tuple[str, str]]()

    def decide(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        asked.extend(pairs)
        return [None] * len(pairs)

    equations = [f"x^2 = {n}" for n in range(2, 12)]
    found = label.Given()
    for c in cast([(method, a) for method in ("text", "code") for a in [*equations, equations[-1]]]):
        found.add(c)
    label.elect(problem(), found, AGREE, decide)
    assert len({frozenset(pair) for pair in asked}) == len(asked) == label.MOST_ASKED
    assert equations[-1] in asked[0]


def test_annotated_problems_are_there_to_be_demonstrated_while_translating(tmp_path: Path) -> None:
    engines, annotated = Wired(tmp_path), [replace(problem(5, "4"), solutions={"text": "The answer is 4"})]
    agreed = cast([("text", "7"), ("code", "7")], 1)
    made = engines.label({"unlabelled": [problem(1)], "annotated": annotated}, agreed)
    assert list(records(engines.store, made, Problem, "annotated-")) == annotated


def test_a_problem_without_any_sample_is_counted(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    agreed = cast([("text", "7"), ("code", "7")], 1)
    made = engines.label({"unlabelled": [problem(1), problem(2)]}, agreed)
    assert {p: found.outcome.value for p, found in labelled(engines, made).items()} == {
        "p-1": "labelled", "p-2": "none",
    }  # fmt: skip


def test_samples_are_judged_by_the_label_and_marked_with_its_share(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    agreed = cast([("text", "7"), ("code", "7.0"), ("code", "8")])
    made = engines.label({"unlabelled": [problem()]}, agreed)
    found = list(records(engines.store, made, CheckedSample, "shard-"))
    assert [c.verdict.value for c in found] == ["passed", "passed", "wrong"]
    assert {c.share for c in found} == {2 / 3}
    assert found[2].detail == "answered 8, label 7"


def test_what_was_judged_by_a_gold_answer_or_ended_otherwise_stays_as_it_is(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    by_gold = cast([("text", "7")], 9, Verdict.PASSED)
    crashed = cast([("code", "")], 1, Verdict.CRASHED)
    agreed = cast([("text", "7"), ("code", "7")], 1)
    made = engines.label({"train": [problem(9, "7")], "unlabelled": [problem()]}, [*by_gold, *crashed, *agreed])
    found = list(records(engines.store, made, CheckedSample, "shard-"))
    assert found[:2] == [*by_gold, *crashed]


def test_translations_are_verified_against_the_label(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    made = engines.label({"unlabelled": [problem()]}, cast([("text", "7"), ("code", "7")]))
    translations = [
        Translation(
            id=f"t-{answer}", problem_id="p-1", method="text", index=0, prompt="", completion=f"The answer is {answer}",
            finish="stop", prompt_tokens=1, tokens=1, seed=0, model="m", source_sample="s-1-1", source_method="code",
        )
        for answer in ("7", "8")
    ]  # fmt: skip
    rewritten = engines.stage("translate", {shard_name(0): translations})
    place = Place(run="r", round=1, arm="mmst", step="verify-translations")
    again = verify.Verify().run(engines, place, {"problems": made, "samples": rewritten})
    assert [c.verdict.value for c in records(engines.store, again, CheckedSample)] == ["passed", "wrong"]


def test_the_problems_to_learn_from_are_all_there_with_what_is_known_of_them(tmp_path: Path) -> None:
    engines = Wired(tmp_path)
    agreed = cast([("text", "7"), ("code", "7")], 1)
    made = engines.label({"train": [problem(9, "3")], "unlabelled": [problem(1), problem(2)]}, agreed)
    assert {p.id: p.answer for p in records(engines.store, made, Problem, "train-")} == {
        "p-9": "3", "p-1": "7", "p-2": "",
    }  # fmt: skip


def test_without_any_label_and_any_answer_the_stage_stops_with_its_counts(tmp_path: Path) -> None:
    tie = cast([("text", "7"), ("code", "7"), ("text", "8"), ("code", "8")])
    with pytest.raises(UserError, match=r"none of the 2 unlabelled problems got a label.*1 tie, 1 none"):
        Wired(tmp_path).label({"unlabelled": [problem(1), problem(2)]}, tie)


def test_without_any_label_what_has_answers_is_still_learnt_from(tmp_path: Path) -> None:
    made = Wired(tmp_path).label({"train": [problem(9, "3")], "unlabelled": [problem()]}, [])
    assert made.counted(LabelCounts).outcomes["labelled"] == 0


def test_labels_do_not_depend_on_how_samples_are_spread_over_shards(tmp_path: Path) -> None:
    spread = list(itertools.chain.from_iterable(zip(
        cast([("text", "7"), ("code", "7")], 1), cast([("text", "8"), ("code", "8")], 2), strict=True,
    )))  # fmt: skip
    engines = Wired(tmp_path)
    made = engines.label({"unlabelled": [problem(1), problem(2)]}, spread)
    assert [found.answer for found in labelled(engines, made).values()] == ["7", "8"]


def test_a_stage_killed_between_its_shards_ends_with_the_same_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [c for i in range(9) for c in cast([("text", "7"), ("code", "7")], i)]
    problems = {"unlabelled": [problem(i) for i in range(9)]}
    monkeypatch.setattr(label, "SHARD", 4)
    monkeypatch.setattr(label, "ELECTED", 2)
    whole = Wired(tmp_path / "whole").label(problems, samples)
    write, killed = StageFolder.write_records, Wired(tmp_path / "killed")
    for written in range(len(whole.files)):
        left = iter(range(written))

        def dies(folder: StageFolder, file: str, found: Any, left: Any = left) -> None:
            if folder.name == "label" and next(left, None) is None:
                raise KeyboardInterrupt
            write(folder, file, found)

        monkeypatch.setattr(StageFolder, "write_records", dies)
        with pytest.raises(KeyboardInterrupt):
            killed.label(problems, samples)
    monkeypatch.setattr(StageFolder, "write_records", write)
    assert killed.label(problems, samples) == whole


def test_a_stage_killed_while_it_labels_does_not_label_again_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [c for i in range(8) for c in cast([("text", "7"), ("code", "7")], i)]
    engines, elect, asked = Wired(tmp_path), label.elect, list[str]()
    lives = iter([True] * 5 + [False])

    def dies_once(problem: Problem, *others: Any) -> label.Election:
        if not next(lives, True):
            raise KeyboardInterrupt
        asked.append(problem.id)
        return elect(problem, *others)

    monkeypatch.setattr(label, "ELECTED", 2)
    monkeypatch.setattr(label, "elect", dies_once)
    problems = {"unlabelled": [problem(i) for i in range(8)]}
    with pytest.raises(KeyboardInterrupt):
        engines.label(problems, samples)
    asked.clear()
    engines.label(problems, samples)
    assert asked == ["p-4", "p-5", "p-6", "p-7"]
