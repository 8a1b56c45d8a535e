"""Problem sets of multiple choice and of yes or no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import DataError
from mmst.core.records import Problem
from mmst.datasets import export, import_file

COMMONSENSE = {
    "answerKey": "B",
    "id": "70701f5d",
    "question": {
        "question_concept": "sitting quietly",
        "choices": [{"label": "A", "text": "bunk"}, {"label": "B", "text": "reading"}, {"label": "C", "text": "think"}],
        "stem": "What is someone doing who sits quietly?",
    },
}
COLUMNS = {
    "answerKey": "B",
    "id": "70701f5d",
    "question": "What is someone doing who sits quietly?",
    "question_concept": "sitting quietly",
    "choices": {"label": ["A", "B", "C"], "text": ["bunk", "reading", "think"]},
}
STRATEGY = {"qid": "b8", "term": "Otter", "question": "Can otters count?", "answer": False, "facts": ["One.", "Two."]}
MATHQA = {
    "Problem": "? % of 360 = 1,080",
    "Rationale": '"108 x 100 / 360 answer : c"',
    "options": "a ) 3 , b ) 1 , 030 , c ) rs . 300 , d ) none of these",
    "correct": "c",
    "category": "gain",
    "linear_formula": "divide(n1,n0)|",
}


def imported(folder: Path, format: str, *rows: Any) -> list[Problem]:
    path = folder / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return import_file(format, path)


def test_commonsenseqa_in_both_published_forms_is_one_problem(tmp_path: Path) -> None:
    (one,), (two,) = imported(tmp_path, "commonsenseqa", COMMONSENSE), imported(tmp_path, "commonsenseqa", COLUMNS)
    assert (one.id, one.answer, one.options, one.family) == (two.id, two.answer, two.options, two.family)
    assert one.question == "What is someone doing who sits quietly?\n(A) bunk\n(B) reading\n(C) think"
    assert (one.answer, one.family, one.options["B"]) == ("B", "sitting quietly", "reading")


def test_strategyqa_answers_yes_or_no_and_its_facts_are_a_solution(tmp_path: Path) -> None:
    no, yes = imported(tmp_path, "strategyqa", STRATEGY, {"question": "Can otters swim?", "answer": True})
    assert (no.answer, yes.answer, yes.solutions) == ("no", "yes", {})
    assert no.solutions == {"text": "One. Two.\nThe answer is no"}
    assert no.further == {"qid": "b8", "term": "Otter"}


def test_mathqa_has_its_options_from_one_text(tmp_path: Path) -> None:
    (problem,) = imported(tmp_path, "mathqa", MATHQA)
    assert problem.options == {"A": "3", "B": "1,030", "C": "rs . 300", "D": "none of these"}
    assert (problem.answer, problem.family) == ("C", "gain")
    assert problem.solutions["text"].endswith("\nThe answer is C")


@pytest.mark.parametrize(
    "options",
    [
        {"A": "36", "B": 38},
        {"a": 36, "b": 38},
        ["36", "38"],
        [{"label": "A", "text": "36"}, {"label": "B", "text": "38"}],
    ],
)
@pytest.mark.parametrize("answer", ["B", "b", "38", "(B) 38", 38])
def test_jsonl_takes_options_in_several_forms_and_the_answer_by_label_or_text(
    tmp_path: Path, options: Any, answer: Any
) -> None:
    (problem,) = imported(tmp_path, "jsonl", {"question": "How many?", "answer": answer, "options": options})
    assert (problem.question, problem.answer) == ("How many?\n(A) 36\n(B) 38", "B")
    assert problem.options == {"A": "36", "B": "38"}


def test_a_question_that_shows_its_options_is_left_as_it_is(tmp_path: Path) -> None:
    question = "How many? a) 36 b) 38"
    (problem,) = imported(tmp_path, "jsonl", {"question": question, "answer": "b", "options": ["36", "38"]})
    assert problem.question == question


@pytest.mark.parametrize(
    ("format", "row"), [("commonsenseqa", COMMONSENSE), ("mathqa", MATHQA), ("strategyqa", STRATEGY)]
)
def test_what_was_imported_reads_back_as_it_is(tmp_path: Path, format: str, row: Any) -> None:
    problems = imported(tmp_path, format, row)
    export(problems, tmp_path / "out.jsonl")
    assert import_file("jsonl", tmp_path / "out.jsonl") == problems


@pytest.mark.parametrize(
    ("format", "row", "says"),
    [
        ("commonsenseqa", {k: v for k, v in COMMONSENSE.items() if k != "answerKey"}, "published without answers"),
        ("commonsenseqa", COMMONSENSE | {"answerKey": "E"}, "names none of the options A, B, C"),
        ("commonsenseqa", COLUMNS | {"choices": {"label": ["A"], "text": ["bunk"]}}, "must be two options or more"),
        ("strategyqa", {"question": "Can otters swim?"}, "'answer': is missing.*published without answers"),
        ("strategyqa", STRATEGY | {"answer": "perhaps"}, "must be true or false, got 'perhaps'"),
        ("mathqa", MATHQA | {"options": "24 , 120"}, "must be written as: a \\) 24"),
        ("mathqa", MATHQA | {"options": "a ) 3 , c ) 4"}, "must be written as"),
        ("mathqa", MATHQA | {"correct": "e"}, "names none of the options"),
        ("jsonl", {"question": "x?", "answer": "39", "options": ["36", "38"]}, "names none of the options A, B"),
        ("jsonl", {"question": "x?", "answer": "A", "options": {"first": "36", "second": "38"}}, "must be two options"),
        ("jsonl", {"question": "x?", "answer": "A", "options": {"A": "36", "a": "38"}}, "must be two options"),
        ("jsonl", {"question": "x?", "answer": "A", "options": {"A": "36", "B": ""}}, "must be two options"),
        ("jsonl", {"question": "x?", "answer": "5", "options": ["5", "5"]}, "names none of the options"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, format: str, row: Any, says: str) -> None:
    with pytest.raises(DataError, match=rf"problems\.jsonl, line 1.*{says}"):
        imported(tmp_path, format, row)
