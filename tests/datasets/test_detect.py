"""The format of a problem file is found by what stands in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmst.core.errors import DataError, UserError
from mmst.datasets import export, import_file
from mmst.datasets.detect import detect

GSM8K = {"question": "What is 1 + 2?", "answer": "It is 1 + 2 = <<1+2=3>>3.\n#### 3"}
SVAMP = {"ID": "c-1", "Body": "Ann has 1.", "Question": "How many?", "Equation": "1", "Answer": 1.0, "Type": ""}
MATH = {"problem": "What is $1+2$?", "solution": r"It is $\boxed{3}$.", "level": "Level 1", "type": "Algebra"}
CHOICE = {
    "id": "x",
    "question": {"stem": "Where?", "choices": [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}]},
    "answerKey": "A",
}


def written(folder: Path, name: str, *rows: object, whole: bool = False) -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if whole else "\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("row", "format"), [(GSM8K, "gsm8k"), (SVAMP, "svamp"), (MATH, "math"), (CHOICE, "commonsenseqa")]
)
def test_published_sets_are_told_apart(tmp_path: Path, row: object, format: str) -> None:
    found = detect(written(tmp_path, "x.json", row, whole=True))
    assert (found.format, found.answers) == (format, True)


def test_a_table_whose_equations_one_format_alone_understands_is_of_that_one(tmp_path: Path) -> None:
    """MAWPS as CSV has SVAMP's columns, with placeholders for the numbers."""
    path = tmp_path / "fold.csv"
    path.write_text("Question,Numbers,Equation,Answer\nAnn has number0 and number1 .,3 4,+ number0 number1,7.0\n")
    assert detect(path).format in ("mawps", "mawps-csv")


def test_ours_is_ours_also_after_an_import(tmp_path: Path) -> None:
    export(import_file("gsm8k", written(tmp_path, "gsm8k.jsonl", GSM8K)), tmp_path / "ours.jsonl")
    found = detect(tmp_path / "ours.jsonl")
    assert (found.format, found.answers, found.solutions) == ("jsonl", True, ("text", "code"))
    plain = detect(written(tmp_path, "plain.jsonl", {"question": "What is 1 + 2?", "answer": "3"}))
    assert (plain.format, plain.solutions) == ("jsonl", ())


def test_questions_alone_are_without_answers(tmp_path: Path) -> None:
    found = detect(written(tmp_path, "x.jsonl", {"question": "What is 1 + 2?"}))
    assert (found.format, found.answers) == ("jsonl", False)


def test_what_no_format_reads_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no format reads .*x\.jsonl") as refused:
        detect(written(tmp_path, "x.jsonl", {"prompt": "What?", "completion": "3"}))
    assert "\n" not in str(refused.value)
    assert str(refused.value).count("Remedy") == 1
    with pytest.raises(UserError, match="no such problem file"):
        detect(tmp_path / "none.jsonl")
