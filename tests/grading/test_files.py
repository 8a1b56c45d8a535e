"""Grading files: the lines that come out, and that a file is whole or not there."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import DataError
from mmst.core.output import lines_of
from mmst.core.ports import Execution, Limits, Program, Task
from mmst.grading import files
from mmst.observe.progress import Quiet
from mmst.sandbox.batch import check_file


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
    counts = files.grade(source, tmp_path / "out.jsonl", Refuses())
    assert counts == {"equal": 1, "different": 1, "undecided": 1, "no_answer": 0}
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
    files.grade(lines(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", Refuses())
    assert [line["equal"] for line in read(tmp_path / "out.jsonl")] == [True, False, False, True]


def test_answers_are_taken_out_by_the_method(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", {"id": 1, "solution": "Answer: D"}, {"id": 2, "solution": "3 + 4 = 7"})
    assert files.extract(source, tmp_path / "out.jsonl", "text") == {"answers": 1, "no_answer": 1}
    assert read(tmp_path / "out.jsonl") == [{"id": 1, "answer": "D"}, {"id": 2, "answer": None}]


def test_the_answer_of_a_program_is_what_it_printed(tmp_path: Path) -> None:
    rows = [("print(7)", "7\n"), ("x", ""), ("x", None)]
    source = lines(tmp_path / "in.jsonl", *({"id": i, "solution": s, "stdout": out} for i, (s, out) in enumerate(rows)))
    files.extract(source, tmp_path / "out.jsonl", "code")
    assert [line["answer"] for line in read(tmp_path / "out.jsonl")] == ["7", None, None]


def test_a_program_that_did_not_end_well_answers_nothing(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", {"id": 1, "stdout": "7\n", "verdict": "crashed"})
    files.extract(source, tmp_path / "out.jsonl", "code")
    assert read(tmp_path / "out.jsonl") == [{"id": 1, "answer": None}]


def test_code_that_was_not_run_gives_its_programs(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "solution": "Sure:\n```python\nprint(7)\n```", "gold": 7},
        {"id": 2, "solution": "```python\n```"},
    ]
    counts = files.extract(lines(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", "code")
    assert counts == {"programs": 1, "no_program": 1}
    assert read(tmp_path / "out.jsonl") == [{"id": 1, "program": "print(7)", "gold": 7}, {"id": 2, "program": ""}]


class Sevens:
    """A sandbox in which every program prints 7, and crashes then where it divides by zero."""

    name = "sevens"

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        for p in programs:
            yield Execution(id=p.id, exit_status="crashed" if "/ 0" in p.source else "ok", stdout="7\n", stderr="")


def test_whole_completions_are_extracted_run_and_graded(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "solution": "```python\nprint(3 + 4)\n```", "gold": "7"},
        {"id": 2, "solution": "```python\nprint(7)\n1 / 0\n```", "gold": "7"},
        {"id": 3, "solution": "```python\n```", "gold": "7"},
    ]
    programs, verdicts, answered = (tmp_path / f"{name}.jsonl" for name in ("programs", "verdicts", "answers"))
    files.extract(lines(tmp_path / "in.jsonl", *rows), programs, "code")
    check_file(programs, verdicts, lambda: contextlib.nullcontext(Sevens()), Limits(), Quiet())
    files.extract(verdicts, answered, "code")
    files.grade(answered, tmp_path / "graded.jsonl", Refuses())
    assert [line["how"] for line in read(tmp_path / "graded.jsonl")] == ["exact", "no_answer", "no_answer"]


@pytest.mark.parametrize(("gold", "answer", "equal"), [
    ("7", "7", True), ("7", "7.0", True), ("7.10", '"7.1"', True), ("9007199254740993", "9007199254740992", False),
    ("0.1", "0.11", False), ('"7"', "8", False), ("1e400", "2e400", False),
])  # fmt: skip
def test_a_number_is_graded_by_the_digits_that_stand_in_the_file(
    tmp_path: Path, gold: str, answer: str, equal: bool
) -> None:
    (tmp_path / "in.jsonl").write_text(f'{{"id": 1, "gold": {gold}, "answer": {answer}}}\n')
    files.grade(tmp_path / "in.jsonl", tmp_path / "out.jsonl", Refuses())
    assert read(tmp_path / "out.jsonl")[0]["equal"] is equal


def test_a_misspelt_field_is_named_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"field 'answer': is missing.* Remedy: rename 'anwser' to 'answer'"):
        files.grade(lines(tmp_path / "in.jsonl", {"id": 1, "gold": "7", "anwser": "7"}), tmp_path / "o", Refuses())


def test_a_program_whose_output_is_not_there_is_one_error(tmp_path: Path) -> None:
    rows = [{"id": 1, "solution": "print(7)", "stdout": "7\n"}, {"id": 2, "solution": "print(7)"}]
    with pytest.raises(DataError, match=r"line 2, field 'stdout': is missing.* Remedy: `mmst check-programs`"):
        files.extract(lines(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", "code")
    assert not (tmp_path / "out.jsonl").exists()


def test_what_extract_writes_grade_reads(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "solution": "Answer: 7 fizz", "gold": "7", "question": "How much fizz?"},
        {"id": 2, "solution": "no", "gold": "8"},
        {"id": 3, "solution": "Answer: 5", "gold": "8", "question": None},
    ]
    files.extract(lines(tmp_path / "in.jsonl", *rows), tmp_path / "out.jsonl", "text")
    counts = files.grade(tmp_path / "out.jsonl", tmp_path / "graded.jsonl", Refuses())
    assert counts == {"equal": 1, "different": 1, "undecided": 0, "no_answer": 1}
    assert [(g["equal"], g["how"]) for g in read(tmp_path / "graded.jsonl")] == [
        (True, "number"), (False, "no_answer"), (False, "number"),
    ]  # fmt: skip


def test_a_gold_answer_that_is_null_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="field 'gold': must be a text"):
        files.grade(lines(tmp_path / "in.jsonl", {"id": 1, "gold": None, "answer": None}), tmp_path / "o", Refuses())


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x1f\x8b\x08", r"is gzipped; .* Remedy: gunzip it, or pipe it: gunzip -c FILE \| mmst"),
        (b"PAR1", "is a Parquet file; .* Remedy: write it as JSON lines"),
        (b"\x28\xb5\x2f\xfd", "is compressed with zstd; .* Remedy: zstd -d"),
        (b"BZh91AY", "is compressed with bzip2; .* Remedy: bunzip2"),
        (b"PK\x03\x04", "is a ZIP archive .* Remedy: unzip it"),
        (b"\xff\xfe{\x00", r"is not UTF-8 \(but UTF-16\); .* Remedy: iconv -f utf-16"),
    ],
)
def test_what_is_no_file_of_lines_is_named_with_its_remedy(tmp_path: Path, head: bytes, what: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(head + b"x" * 100)
    with pytest.raises(DataError, match=what):
        files.grade(source, tmp_path / "out.jsonl", Refuses())


class Watched(Quiet):
    """Remembers what progress was shown."""

    def __init__(self) -> None:
        self.total, self.done = -1, list[int]()

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        self.total = total
        yield self

    def found(self, n: int) -> None:
        raise AssertionError("nothing was done before")

    def advance(self, n: int = 1, note: str = "") -> None:
        self.done.append(n)


def test_grading_shows_how_far_it_is(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", *({"id": i, "gold": "7", "answer": "7"} for i in range(4100)))
    shown = Watched()
    files.grade(source, tmp_path / "out.jsonl", Refuses(), shown, lines_of(source))
    assert (shown.total, shown.done) == (4100, [2000, 2000, 100])


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"id": "2", "gold": "7"}', "field 'answer': is missing"),
        ('{"id": "2", "gold": [7], "answer": "7"}', "field 'gold': must be a text or a number, got [7]"),
        ('{"id": "2", "gold": true, "answer": "7"}', "field 'gold': must be a text or a number, got True"),
        ('{"id": 1.5, "gold": "7", "answer": "7"}', "field 'id': must be a text or a whole number, got 1.5"),
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
        files.grade(source, target, Refuses())
    assert said in str(error.value)
    assert "Remedy" in str(error.value)
    assert target.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_file_that_is_not_there_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        files.grade(tmp_path / "none.jsonl", tmp_path / "out.jsonl", Refuses())


def test_a_lone_surrogate_goes_through(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": "\\ud800", "solution": "The answer is \\ud800x"}\n')
    files.extract(source, tmp_path / "out.jsonl", "text")
    assert read(tmp_path / "out.jsonl") == [{"id": "\ud800", "answer": "\ud800x"}]
