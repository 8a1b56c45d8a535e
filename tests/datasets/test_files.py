"""Problem files as they are published: the shapes, the encodings, and what is said of a file that is wrong."""

import decimal
import gzip
import json
import math
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmst.core.errors import DataError, SetupError, UserError
from mmst.core.records import Problem
from mmst.datasets import export, files, formats, import_file, read_file

GSM8K = [
    {"question": "Ann bakes 3 rows of 8. How many?", "answer": "It is 3*8=<<3*8=24>>24.\n#### 24"},
    {"question": "Bo has 1,200 of 7. How many?", "answer": "No marks.\n#### 1,200"},
]
SVAMP = [
    {"ID": "chal-1", "Body": "Each pack costs 76 dollars.", "Question": "How much at 25 off?",
     "Equation": "( 76.0 - 25.0 )", "Answer": 51.0, "Type": "Subtraction"},
]  # fmt: skip
ASDIV = [
    {"body": "Seven apples and two are there.", "question": "How many?", "solution_type": "Addition",
     "answer": "9 (apples)", "formula": "7+2=9"},
]  # fmt: skip
MAWPS = [{"original_text": "Tom has 4 cats and 5 dogs . How many ?", "equation": "x=4+5", "ans": "9"}]
CSV = [{"Question": "Mary has number0 cups , gives number1 .", "Numbers": "8.0 2.0", "Equation": "- number0 number1",
        "Answer": 6}]  # fmt: skip
MATH = [
    {"problem": "What is $\\frac12+\\frac13$?", "solution": "It is $\\boxed{\\frac{5}{6}}$.", "level": "Level 1",
     "type": "Prealgebra"},
    {"problem": "And $1+1$?", "solution": "$\\boxed 2$", "level": "Level 1", "type": "Algebra"},
]  # fmt: skip
PLAIN = [{"question": "What is 3 + 4?", "answer": 7, "id": 1}, {"question": "And 4 + 4?", "answer": 8, "id": 2}]
SETS: dict[str, list[dict[str, Any]]] = {
    "gsm8k": GSM8K, "svamp": SVAMP, "asdiv": ASDIV, "mawps": MAWPS, "mawps-csv": CSV, "math": MATH, "jsonl": PLAIN,
}  # fmt: skip


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


SHAPES: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "lines": lambda rows: lines(rows).encode(),
    "lines without a last end": lambda rows: lines(rows).rstrip().encode(),
    "CRLF": lambda rows: lines(rows).replace("\n", "\r\n").encode(),
    "blank lines": lambda rows: ("\n \n" + lines(rows).replace("\n", "\n\n\t\n")).encode(),
    "byte-order mark": lambda rows: lines(rows).encode("utf-8-sig"),
    "UTF-16": lambda rows: lines(rows).encode("utf-16"),
    "UTF-16, big end first": lambda rows: ("\ufeff" + lines(rows)).encode("utf-16-be"),
    "list": lambda rows: json.dumps(rows).encode(),
    "spread list": lambda rows: json.dumps(rows, indent=2).encode(),
    "list in UTF-16": lambda rows: json.dumps(rows, indent=1).encode("utf-16"),
    "list behind blank lines": lambda rows: ("\n\n  " + json.dumps(rows)).encode(),
    "spread objects": lambda rows: "\n".join(json.dumps(row, indent=4) for row in rows).encode(),
    "objects in one line": lambda rows: lines(rows).replace("\n", " ").encode(),
    "old Macintosh lines": lambda rows: lines(rows).replace("\n", "\r").encode(),
    "gzip of lines": lambda rows: gzip.compress(lines(rows).encode()),
    "gzip of a list": lambda rows: gzip.compress(json.dumps(rows).encode()),
    "two gzips in one": lambda rows: b"".join(gzip.compress(lines([row]).encode()) for row in rows),
    "Parquet": parquet,
}


def imported(folder: Path, format: str, data: bytes, name: str = "set") -> list[Problem]:
    path = folder / name
    path.write_bytes(data)
    return import_file(format, path)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("format", SETS)
def test_every_format_is_read_in_every_shape(tmp_path: Path, format: str, shape: str) -> None:
    rows = SETS[format]
    as_lines = imported(tmp_path, format, lines(rows).encode())
    assert len(as_lines) == len(rows)
    assert imported(tmp_path, format, SHAPES[shape](rows)) == as_lines


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("format", ["gsm8k", "math", "jsonl", "svamp"])
def test_tables_of_texts_are_read_by_every_format(tmp_path: Path, format: str, separator: str) -> None:
    quoted = [[f'"{text}"'.replace("\\n", "\n") for text in map(str, row)] for row in
              ([*SETS[format][0]], *(row.values() for row in SETS[format]))]  # fmt: skip
    text = "\r\n".join(separator.join(row) for row in quoted)
    got = imported(tmp_path, format, text.encode("utf-8-sig"))
    assert [p.answer for p in got] == [p.answer for p in imported(tmp_path, format, lines(SETS[format]).encode())]


def test_a_folder_is_read_in_the_order_of_its_numbers_and_its_names_stay(tmp_path: Path) -> None:
    for name in ("algebra/10", "algebra/2", "geometry/1"):
        file = tmp_path / "MATH" / f"{name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**MATH[0], "problem": f"Problem {name}?"}, indent=1))
    (tmp_path / "MATH" / "README.md").write_text("what it is")
    (tmp_path / "MATH" / ".cache").mkdir()
    (tmp_path / "MATH" / ".cache" / "x.json").write_text("{}")
    found = import_file("math", tmp_path / "MATH")
    assert [p.further["file"] for p in found] == ["algebra/2.json", "algebra/10.json", "geometry/1.json"]


def test_a_folder_of_parts_is_one_set(tmp_path: Path) -> None:
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(parquet(GSM8K))
    (tmp_path / "train-00001-of-00002.jsonl.gz").write_bytes(gzip.compress(lines(GSM8K).encode()))
    found = import_file("gsm8k", tmp_path)
    assert [p.answer for p in found] == ["24", "1200"] * 2
    assert all(not p.further for p in found)


@pytest.mark.parametrize(
    ("files_", "says"),
    [
        ({}, "contains no problem file.*Remedy"),
        ({"README.md": "x"}, "contains no problem file.*Remedy"),
        ({"a.json": ""}, r"a\.json contains no problem.*Remedy"),
        ({"a.json": "{}"}, r"a\.json, line 1, field 'solution': is missing"),
    ],
)
def test_a_folder_without_problems_is_refused(tmp_path: Path, files_: dict[str, str], says: str) -> None:
    for name, text in files_.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=says):
        import_file("math", tmp_path)


GOOD = '{"question": "What is 5 + 6?", "answer": 11}\n'


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (GOOD + GOOD.rstrip() + ",\n" + GOOD, 2, "remove the comma after the object"),
        (GOOD.rstrip() + ",\n" + GOOD, 1, "remove the comma after the object"),
        (GOOD + '{"question": "a", "answer": 1,}', 2, r"remove the comma before \}"),
        (f"[{GOOD},\n{GOOD},\n]", 5, r"remove the comma before \]"),
        (f"[{GOOD}{GOOD}]", 2, "Expecting ','"),
        (f"[{GOOD}", 2, "check that the file is complete"),
        (f"[{GOOD}] x", 2, "Extra data"),
        (f"[{GOOD},\n17]", 3, "entry 2: not a JSON object"),
        (GOOD + "[1]", 2, "not a JSON object, got .1."),
        (GOOD + "{'question': 'a'}", 2, "double quotes"),
        (GOOD + '{"question": "a", "answer": 1, "answer": 2}', 2, r"'answer': appears twice.*got \[1, 2\]"),
        (GOOD + '{"question": "a", "answer": 1, "x": {"y": 1, "y": 1}}', 2, "'y': appears twice"),
        ('{\n"question": "a",\n"answer": }', 3, "Expecting value"),
        ('{"question": "a",\n' + GOOD, 2, "Expecting"),
        ('{"question": "a", "ans\n' + GOOD, 1, "Unterminated|control"),
        (GOOD + '{"question": null, "answer": 1}', 2, "'question': is missing"),
        (GOOD + '{"question": 5, "answer": 1}', 2, "'question': must be a text, got 5"),
        ('{"data": [' + GOOD + "]}", 1, r"'question': is missing.*jq -c '\.data\[\]' FILE"),
        ('{"question": ["a", "b"], "answer": [1, 2]}', 1, "not one a column"),
        (GOOD + '{"question": "?", "answer": 1}', 2, "asks nothing|question is empty"),
        (GOOD + '{"question": "a", "answer": Infinity}', 2, "finite"),
        (GOOD + '{"question": "a", "answer": null}', 2, "'answer': is missing"),
        (GOOD + '{"question": "a", "answer": {"a": 1}}', 2, "number or a text"),
        (GOOD + '{"question": "a", "answer": 1, "further": 3}', 2, "'further': must be an object"),
        (GOOD + '{"question": "a", "answer": 1, "family": ["x"]}', 2, "'family': must be a text or a number"),
        (GOOD + '{"question": "a", "answer": "2\\ud800"}', 2, "answer contains half a character"),
        (GOOD + '{"question": "a", "answer": 1, "x": ' + "[" * 60 + "]" * 60 + "}", 2, "nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_line_value_and_remedy(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(DataError, match=rf"set, line {line}\b") as caught:
        imported(tmp_path, "jsonl", text.encode())
    assert caught.match(says)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04....", "ZIP archive.*unzip"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"version https://git-lfs.github.com/spec/v1\noid 1", "git lfs pull"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-9], "gzip file is broken"),
        (b"\x1f\x8b\x08garbage", "gzip file is broken"),
        (gzip.compress(parquet(PLAIN), mtime=0), "gunzip"),
        (b"PAR1 and no more", "cannot be read as Parquet"),
        (parquet(PLAIN)[:-5], "cannot be read as Parquet"),
        (GOOD.encode() + '{"question": "ä", "answer": 1}'.encode("latin-1"), "line 2: not UTF-8.*iconv"),
        (GOOD.encode("utf-16") + b"\x00\xd8\n\x00", "line 2: not UTF-16"),
        (GOOD.encode("utf-16-le"), "line 1"),
        (b'"question"\n"a"', "line 1: neither JSON nor a table"),
        (b"question,answer\na,1\nb\n", "line 3: a different number of columns"),
        (b"question,answer\n\"a\nb\",1\nc,\"d\ne\n", "line 5: not CSV"),
        (b"question,answer,answer\na,1,2\n", "line 1: two columns have the same name, got 'answer'"),
        (b"a,b\n1,2\n", "line 2, field 'question': is missing"),
    ],
)  # fmt: skip
def test_files_that_are_something_else_are_refused_with_a_remedy(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        imported(tmp_path, "jsonl", data)
    assert str(tmp_path / "set") in str(caught.value)
    assert caught.value.remedy


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    with pytest.raises(DataError, match=r"line 2: longer than"):
        imported(tmp_path, "jsonl", GOOD.encode() + b'{"question": "' + b"a" * 2000)
    monkeypatch.setattr(files, "LARGEST_WHOLE", 100)
    with pytest.raises(DataError, match=r"GiB.*jq -c"):
        imported(tmp_path, "jsonl", f"[\n{GOOD},{GOOD},{GOOD}]".encode())


def test_a_file_that_may_not_be_read_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "set").write_text(GOOD)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\).*Remedy"):
        import_file("jsonl", tmp_path / "set")


def test_parquet_without_pyarrow_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(PLAIN)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SetupError, match=r"pip install .*\[parquet\]"):
        imported(tmp_path, "jsonl", data)


DIGITS = [
    "51.0",
    "1.10",
    "0.50",
    "12345678901234567890",
    "1e400",
    "-0",
    "1E5",
    "1.0e-7",
    "7",
    "-3.250",
    "0",
    "9" * 5000,
]


@pytest.mark.parametrize("digits", DIGITS)
def test_a_number_keeps_its_digits(tmp_path: Path, digits: str) -> None:
    (p,) = imported(tmp_path, "jsonl", f'{{"question": "a", "answer": {digits}, "x": {{"y": [{digits}]}}}}'.encode())
    assert p.answer == digits
    (kept,) = p.further["x"]["y"]
    assert kept == digits or (json.dumps(kept) == digits and not isinstance(kept, str))


@pytest.mark.parametrize(
    ("kind", "value", "answer"),
    [
        (pa.float64(), 51.0, "51.0"),
        (pa.float32(), 1.1, "1.1"),
        (pa.int64(), 2**60 + 1, str(2**60 + 1)),
        (pa.decimal128(10, 2), decimal.Decimal("1.10"), "1.10"),
        (pa.string(), "1.10", "1.10"),
        (pa.large_string(), "x^2", "x^2"),
    ],
)
def test_a_column_keeps_its_digits(tmp_path: Path, kind: pa.DataType, value: Any, answer: str) -> None:
    table = pa.table({"question": ["a"], "answer": pa.array([value], kind)})
    pq.write_table(table, tmp_path / "set")
    assert [p.answer for p in import_file("jsonl", tmp_path / "set")] == [answer]


def test_nulls_of_a_table_are_absent(tmp_path: Path) -> None:
    rows = [{**PLAIN[0], "family": "sum", "solutions": {"text": "7", "code": None}},
            {"question": "b", "answer": 2, "family": None, "solutions": None, "source": None}]  # fmt: skip
    first, second = imported(tmp_path, "jsonl", parquet(rows))
    assert (first.family, dict(first.solutions)) == ("sum", {"text": "7"})
    assert (second.family, dict(second.solutions), second.source) == ("", {}, "jsonl")


OPTIONAL = [
    ("svamp", {**SVAMP[0], "Equation": None, "Type": None}),
    ("svamp", {**SVAMP[0], "Equation": math.nan, "Type": math.nan}),
    ("math", {**MATH[0], "type": None, "level": None, "subject": None, "answer": None}),
    ("asdiv", {**ASDIV[0], "formula": None, "solution_type": None}),
    ("mawps", {**MAWPS[0], "equation": None}),
    ("mawps", {"sQuestion": "a 3", "lSolutions": [3], "lEquations": None}),
    ("mawps-csv", {**CSV[0], "Equation": None, "Type": None}),
    ("jsonl", {**PLAIN[0], "family": None, "task": None, "source": None, "split": None, "solutions": None, "id": None,
               "further": None}),
]  # fmt: skip


@pytest.mark.parametrize(("format", "row"), OPTIONAL)
def test_an_optional_field_may_be_null(tmp_path: Path, format: str, row: dict[str, Any]) -> None:
    (p,) = imported(tmp_path, format, json.dumps(row).encode())
    assert p.source in (format, "mawps-csv")


@pytest.mark.parametrize(
    ("level", "type_", "family"),
    [
        ("Level 3", {"type": "Algebra"}, "Algebra Level 3"),
        (3, {"subject": "Algebra"}, "Algebra Level 3"),
        (3.0, {"type": "Algebra"}, "Algebra Level 3"),
        ("3", {"type": "Algebra", "subject": None}, "Algebra Level 3"),
        ("Level ?", {"type": "Geometry"}, "Geometry Level ?"),
        (None, {"subject": "Geometry"}, "Geometry"),
        (5, {}, "Level 5"),
    ],
)
def test_a_level_is_a_name_or_a_number(tmp_path: Path, level: object, type_: dict[str, Any], family: str) -> None:
    row = {"problem": "a", "solution": "\\boxed{1}", "level": level, **type_}
    (p,) = imported(tmp_path, "math", json.dumps(row).encode())
    assert p.family == family


@pytest.mark.parametrize(
    ("row", "gold", "notes"),
    [
        ({"solution": "\\boxed{0.5}", "answer": "\\frac{1}{2}"}, "0.5", 0),
        ({"solution": "\\boxed{3}", "answer": "4"}, "4", 1),
        ({"solution": "It is four.", "answer": "4"}, "4", 0),
        ({"answer": 4}, "4", 0),
        ({"solution": None, "answer": 1.50}, "1.5", 0),
        ({"solution": "First \\boxed{3}, then \\boxed{4}.", "answer": "4"}, "4", 1),
    ],
)
def test_a_stated_answer_counts_where_the_box_says_something_else(
    tmp_path: Path, row: dict[str, Any], gold: str, notes: int
) -> None:
    (tmp_path / "set").write_text(json.dumps({"problem": "a", **row}))
    (item,) = read_file("math", tmp_path / "set")
    assert (item.problem.answer, len(item.notes)) == (gold, notes)
    assert item.problem.further["answer"] == row["answer"]


@pytest.mark.parametrize(
    ("solution", "answer", "kept"),
    [
        ("It is $\\boxed{3}$.", "4", False),
        ("First \\boxed{4}, then \\boxed{3}.", "4", False),
        ("First \\boxed{3}, then \\boxed{4}.", "4", True),
        ("It is $\\boxed{4.0}$.", "4", True),
        ("It is $\\boxed{\\frac12}$.", "0.5", True),
        ("It is four.", "4", True),
        ("It is \\boxed{B}.", "C", False),
    ],
)
def test_a_solution_that_contradicts_the_answer_is_left_out(
    tmp_path: Path, solution: str, answer: str, kept: bool
) -> None:
    (tmp_path / "set").write_text(json.dumps({"problem": "a", "solution": solution, "answer": answer}))
    (item,) = read_file("math", tmp_path / "set")
    assert ("text" in item.problem.solutions) is kept
    assert any("'solution' left out" in note and repr(answer) in note for note in item.notes) is not kept


def test_several_boxes_are_reported(tmp_path: Path) -> None:
    (tmp_path / "set").write_text(json.dumps({"problem": "a", "solution": "$\\boxed{3}$ or $\\boxed{-3}$"}))
    (item,) = read_file("math", tmp_path / "set")
    assert item.problem.answer == "3, -3"
    assert item.notes == ("field 'solution' boxes 2 answers, taken as one: '3, -3'",)


def test_the_body_of_a_question_may_stand_in_it(tmp_path: Path) -> None:
    both = {**SVAMP[0], "question_concat": f"{SVAMP[0]['Body']} {SVAMP[0]['Question']}"}
    alone = {k: v for k, v in both.items() if k != "Body"}
    ids = {imported(tmp_path, "svamp", json.dumps(row).encode())[0].id for row in (SVAMP[0], both, alone)}
    assert len(ids) == 1
    with pytest.raises(DataError, match="'Body': is missing"):
        imported(tmp_path, "svamp", json.dumps({k: v for k, v in SVAMP[0].items() if k != "Body"}).encode())


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"Question": "He has N_00 of N_01 .", "Numbers": "8 2.0", "Equation": "N_00 - N_01", "Answer": 6.0},
         "He has 8 of 2 .", "6.0"),
        ({"Question": "He has number0 .", "Numbers": "8.0", "Equation": "", "Answer": "8.0"}, "He has 8 .", "8"),
        ({"sQuestion": "Joan?", "lEquations": ["X=(70.0-43.0)"], "lSolutions": [27.0]}, "Joan?", "27.0"),
        ({"sQuestion": "Joan?", "lEquations": "['X=(70.0-43.0)']", "lSolutions": "[27.0]"}, "Joan?", "27.0"),
        ({"original_text": "Tom?", "ans": 9}, "Tom?", "9"),
    ],
)  # fmt: skip
def test_mawps_is_read_in_all_its_shapes(tmp_path: Path, row: dict[str, Any], question: str, answer: str) -> None:
    (p,) = imported(tmp_path, "mawps", json.dumps(row).encode())
    assert (p.question, p.answer) == (question, answer)
    assert ("code" in p.solutions) == bool(row.get("Equation") or row.get("lEquations"))


@pytest.mark.parametrize(
    ("format", "row", "further"),
    [
        ("jsonl", {**PLAIN[0], "id": 17}, {"id": 17}),
        ("jsonl", {**PLAIN[0], "id": "q/1", "idx": 3, "tags": ["a"]}, {"id": "q/1", "idx": 3, "tags": ["a"]}),
        ("jsonl", {"problem": "a", "answer": 1, "x": None, "y": True}, {"x": None, "y": True}),
        ("jsonl", {**PLAIN[0], "id": "p-17", "further": {"b": 2}}, {"id": "p-17", "b": 2}),
        ("gsm8k", {**GSM8K[0], "idx": 4}, {"idx": 4}),
        ("svamp", SVAMP[0], {"ID": "chal-1", "Equation": "( 76.0 - 25.0 )", "Type": "Subtraction"}),
        ("math", {"problem": "a", "solution": "\\boxed{1}", "level": 2, "subject": "s", "unique_id": "t/8.json"},
         {"level": 2, "subject": "s", "unique_id": "t/8.json"}),
    ],
)  # fmt: skip
def test_ids_and_further_fields_stay_through_export_and_import(
    tmp_path: Path, format: str, row: dict[str, Any], further: dict[str, Any]
) -> None:
    problems = imported(tmp_path, format, json.dumps(row).encode())
    assert problems[0].further == further
    export(problems, tmp_path / "ours.jsonl")
    assert import_file("jsonl", tmp_path / "ours.jsonl") == problems


def test_what_has_nothing_further_is_written_as_ever(tmp_path: Path) -> None:
    export(imported(tmp_path, "gsm8k", lines(GSM8K).encode()), tmp_path / "ours.jsonl")
    assert "further" not in (tmp_path / "ours.jsonl").read_text()


@pytest.mark.parametrize("field", ["question", "x", "family"])
def test_half_a_character_is_replaced_and_reported(tmp_path: Path, field: str) -> None:
    row = {"question": "Q?", "answer": 2, field: "Q \ud83d?"}
    (tmp_path / "set").write_text(GOOD + json.dumps(row))
    _, item = read_file("jsonl", tmp_path / "set")
    assert item.place == "line 2"
    assert [note for note in item.notes if f"field '{field}'" in note]
    export([item.problem], tmp_path / "ours.jsonl")
    assert "Q \ufffd?" in (tmp_path / "ours.jsonl").read_text(encoding="utf-8")


def test_whole_characters_in_escapes_are_no_halves(tmp_path: Path) -> None:
    (tmp_path / "set").write_text('{"question": "Q \\ud83d\\ude00?", "answer": NaN, "answer2": 1}'.replace("NaN", "2"))
    (item,) = read_file("jsonl", tmp_path / "set")
    assert (item.problem.question, item.notes) == ("Q \U0001f600?", ())


LAYOUTS = [
    ("a\nb", "a\nb"),
    ("Table:\n1  2\n3  4", "Table:\n1  2\n3  4"),
    ("def f(x):\n    return x\n\nWhat is f(1)?", "def f(x):\n    return x\n\nWhat is f(1)?"),
    ("a\r\nb \r\n", "a\nb"),
    ("  two   spaces ", "two spaces"),
    ("a\u2028b", "a\nb"),
    ("a\tb", "a b"),
]


@pytest.mark.parametrize(("given_", "kept"), LAYOUTS)
@pytest.mark.parametrize("format", ["gsm8k", "math", "jsonl"])
def test_questions_keep_their_lines(tmp_path: Path, format: str, given_: str, kept: str) -> None:
    name = "problem" if format == "math" else "question"
    (p,) = imported(tmp_path, format, json.dumps({**SETS[format][0], name: given_}).encode())
    assert p.question == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["question", "answer", "problem", "solution", "level", "id", "family", "solutions", "further", "Body", "Question",
     "Answer", "Numbers", "Equation", "sQuestion", "lSolutions", "lEquations", "original_text", "ans", "task", "x"]
)  # fmt: skip
ROWS = st.lists(st.dictionaries(FIELDS, JSON, max_size=6), max_size=3)
anything = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


BYTES = st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ud8\n\r\t<>a1.', max_size=60).map(str.encode)


def refusal(folder: Path, format: str, data: bytes) -> DataError | None:
    """What is said of a file that is refused; any other error is one of ours."""
    try:
        imported(folder, format, data)
    except DataError as e:
        return e
    return None


@anything
@given(st.sampled_from(sorted(formats())), BYTES)
def test_any_bytes_are_read_or_refused(tmp_path: Path, format: str, data: bytes) -> None:
    refused = refusal(tmp_path, format, data)
    assert refused is None or refused.remedy


@anything
@given(st.sampled_from(sorted(formats())), ROWS, st.sampled_from([lines, json.dumps]))
def test_any_rows_are_read_or_refused(tmp_path: Path, format: str, rows: Any, shape: Callable[[Any], str]) -> None:
    refused = refusal(tmp_path, format, shape(rows).encode())
    assert refused is None or (refused.remedy and str(tmp_path / "set") in str(refused))


PARQUET = parquet(PLAIN)


@anything
@given(st.lists(st.tuples(st.integers(4, len(PARQUET) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_parquet_file_is_read_or_refused(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    data = bytearray(PARQUET)
    for at, byte in changes:
        data[at] = byte
    refused = refusal(tmp_path, "jsonl", bytes(data))
    assert refused is None or refused.remedy


TEXTS = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() != "")


@anything
@given(
    st.lists(
        st.fixed_dictionaries(
            {"question": TEXTS, "answer": TEXTS | st.integers() | st.floats(allow_nan=False, allow_infinity=False)},
            optional={"id": st.integers() | st.text(), "x": JSON, "family": st.text(), "solutions": st.dictionaries(
                st.sampled_from(["text", "code"]), st.text())},
        ),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_import_export_import_is_the_identity(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        problems = imported(tmp_path, "jsonl", lines(rows).encode())
    except DataError:
        return
    export(problems, tmp_path / "ours.jsonl")
    assert import_file("jsonl", tmp_path / "ours.jsonl") == problems


@pytest.mark.parametrize("shape", ["lines", "gzip of lines", "Parquet"])
def test_long_files_are_read_a_piece_at_a_time(tmp_path: Path, shape: str) -> None:
    rows = [{"question": f"What is {i} + 4? {'x' * 500}", "answer": str(i)} for i in range(8_000)]
    (tmp_path / "set").write_bytes(SHAPES[shape](rows))
    del rows
    tracemalloc.start()
    assert sum(1 for _ in read_file("jsonl", tmp_path / "set")) == 8_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2.5 * 2**20


@pytest.mark.parametrize("format", formats())
def test_a_path_that_is_not_there_is_a_user_error(tmp_path: Path, format: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        import_file(format, tmp_path / "nothing")
