"""Grading files: the lines that come out, and that a file is whole or not there."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmst import grading
from mmst.errors import DataError


class Refuses:
    """An algebra engine that decides nothing."""

    def decide(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        return [None] * len(pairs)


def lines(path: Path, *items: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(i) + "\n" for i in items))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_pair_is_judged_with_the_rule_that_did_it(tmp_path: Path) -> None:
    pairs = [("1/2", "0.5"), ("7", "8"), ("x^2=4", r"\pm 2")]
    source = lines(tmp_path / "in.jsonl", *({"id": str(i), "gold": g, "answer": a} for i, (g, a) in enumerate(pairs)))
    counts = grading.grade(source, tmp_path / "out.jsonl", Refuses())
    assert counts == {"equal": 1, "different": 1, "undecided": 1}
    assert read(tmp_path / "out.jsonl") == [
        {"id": "0", "equal": True, "how": "number"},
        {"id": "1", "equal": False, "how": "number"},
        {"id": "2", "equal": None, "how": "undecided"},
    ]


def test_a_row_may_carry_its_question_whose_words_are_units(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "gold": "7", "answer": "7 fizz", "question": "How much fizz?"},
        {"id": 2, "gold": "7", "answer": "7 fizz"},
        {"id": 3, "gold": "7", "answer": "7 plums", "question": "How many pears?"},
        {"id": 4, "gold": "7", "answer": "7 plums", "question": None},
    ]
    grading.grade(lines(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", Refuses())
    assert [line["equal"] for line in read(tmp_path / "out.jsonl")] == [True, False, False, True]


def test_answers_are_taken_out_by_the_method(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", {"id": 1, "solution": "Answer: D"}, {"id": 2, "solution": "3 + 4 = 7"})
    assert grading.extract(source, tmp_path / "out.jsonl", "text") == {"answers": 1, "no_answer": 1}
    assert read(tmp_path / "out.jsonl") == [{"id": 1, "answer": "D"}, {"id": 2, "answer": None}]


def test_the_answer_of_a_program_is_what_it_printed(tmp_path: Path) -> None:
    source = lines(
        tmp_path / "in.jsonl", {"id": 1, "solution": "print(7)", "stdout": "7\n"}, {"id": 2, "solution": "x"}
    )
    grading.extract(source, tmp_path / "out.jsonl", "code")
    assert [line["answer"] for line in read(tmp_path / "out.jsonl")] == ["7", None]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"id": "2", "gold": "7"}', "field 'answer': is missing"),
        ('{"id": "2", "gold": 7, "answer": "7"}', "field 'gold': must be a text, got 7"),
        ('{"gold": "7", "answer": "7"}', "field 'id': is missing"),
        ('{"id": 1, "gold": "7", "answer": "7", "question": 5}', "field 'question': must be a text, got 5"),
        ('{"id": "2", "gold": ', "not JSON"),
        ("[1]", "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, bad: str | bytes, said: str) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = b'{"id": "1", "gold": "7", "answer": "7"}\n' * 3000
    source.write_bytes(good + (bad if isinstance(bad, bytes) else bad.encode()) + b"\n")
    target.write_text("before")
    with pytest.raises(DataError, match=r"in\.jsonl, line 3001") as error:
        grading.grade(source, target, Refuses())
    assert said in str(error.value)
    assert "Remedy" in str(error.value)
    assert target.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        grading.grade(tmp_path / "none.jsonl", tmp_path / "out.jsonl", Refuses())


def test_a_lone_surrogate_goes_through(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "\\ud800", "solution": "The answer is \\ud800x"}\n')
    grading.extract(source, tmp_path / "out.jsonl", "text")
    assert read(tmp_path / "out.jsonl") == [{"id": "\ud800", "answer": "\ud800x"}]
