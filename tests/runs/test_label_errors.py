"""Gold answers that the samples of all methods speak against."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from mmst.core.records import CheckedSample, Problem, Split, Verdict
from mmst.core.stage_folder import shard_name
from mmst.runs import label_errors
from tests.support.runs import PROBLEMS, Made, sample_of

PROBLEM = Problem(id="p-0", question="What is 6 times 7?", answer="41", source="made", split=Split.TRAIN)


def test_a_gold_answer_against_which_all_methods_speak_is_disputed() -> None:
    found = label_errors.dispute(PROBLEM, {"text": {"42": 3, "41": 1}, "code": {"42": 4}})
    assert found is not None
    assert (found.other, found.votes) == ("42", {"code": (4, 0, 4), "text": (3, 1, 4)})
    assert found.share == 7 / 8


@pytest.mark.parametrize(
    ("votes", "why"),
    [
        ({"text": {"41": 4}, "code": {"41": 4}}, "they say the gold one"),
        ({"text": {"42": 4}, "code": {"43": 4}}, "they say different things"),
        ({"text": {"42": 8}}, "one method alone"),
        ({"text": {"42": 2}, "code": {"42": 2}}, "too few samples"),
        ({"text": {"42": 3, "41": 3}, "code": {"42": 4}}, "one method is of two minds"),
        ({"text": {"42": 3, "1": 2, "2": 2}, "code": {"42": 2, "3": 1, "4": 1, "5": 1}}, "no majority"),
        ({}, "no samples"),
    ],
)
def test_no_gold_answer_is_disputed_when(votes: Mapping[str, Mapping[str, int]], why: str) -> None:
    assert label_errors.dispute(PROBLEM, votes) is None, why


def test_equal_answers_in_other_words_vote_together() -> None:
    found = label_errors.dispute(PROBLEM, {"text": {r"\frac{84}{2}": 2, "42": 2}, "code": {"42": 3, "2*21": 1}})
    assert found is not None
    assert found.share == 1


def test_the_samples_of_a_run_are_counted(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS}, counts={"train": 3})
    checked = [
        CheckedSample(sample=sample_of(PROBLEMS[2], method, "…"), verdict=Verdict.WRONG, solution="…", answer="5")
        for method in ("text", "code")
        for _ in range(3)
    ]
    made.stage(1, "mmst", "verify", {shard_name(0): checked}, counts={"asked": 6})
    assert [(d.problem_id, d.gold, d.other) for d in label_errors.of_run(made.store, made.run)] == [("p-2", "4", "5")]
