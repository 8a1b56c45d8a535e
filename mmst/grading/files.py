"""Files of answers, one JSON object per line: `grade` compares pairs, `extract` extracts answers from solutions.

    {"id": "1", "gold": "1/2", "answer": "0.5"}   →  {"id": "1", "equal": true, "how": "number"}
    {"id": "2", …, "question": "How much fizz …"} →  units are then known ones, or words of the question or gold answer
    {"id": "3", …, "gold": "B", "answer": "38", "options": {"A": "36", "B": "38"}}  →  both name the same option
    {"id": "1", "gold": "7", "answer": null}      →  {"id": "1", "equal": false, "how": "no_answer"}
    {"id": "1", "solution": "… Answer: D"}        →  {"id": "1", "answer": "D"}
    {"id": "1", "solution": "…", "gold": "7"}     →  {"id": "1", "answer": null, "gold": "7"}
    {"id": "1", "solution": "```python …"}        →  {"id": "1", "program": "print(7)"}      code that was not run
    {"id": "1", "stdout": "7\\n"}                 →  {"id": "1", "answer": "7"}              code that was

`equal` is true, false or null: null (`how` is "undecided") where also the algebra engine came to no decision in its
time. `how` names the rule of `mmst.grading` that decided. `answer` is null where the solution commits to none; the
rules stand in `mmst.methods.extraction` (text) and `mmst.methods.code`, which takes the last line of `stdout`; there is
none where a `verdict` says that the program did not end well. A file of code whose first line has no `stdout` gives
the programs, as `check-programs` takes them. `gold`, `question` and `options` go through, so that the
lines are `grade`'s. Answers and gold ones may be JSON numbers, whose digits are kept.

Lines are read and written a few at a time, so a file may be of any length. The output is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

from mmst import grading
from mmst.core.errors import DataError
from mmst.core.output import Output, find
from mmst.core.ports import Algebra, Progress, Task
from mmst.core.rows import CARRIED, Digits, Row, carried, jsonl_stream
from mmst.methods.files import named

BATCH = 2000
"""Lines in memory at a time; the undecided ones among them go to the algebra engine together."""


_NO_ANSWER = grading.Comparison(False, "no_answer")
_FIELDS = ("id", "solution", "answer", "stdout", "verdict", *CARRIED)
_COUNTS_AS = {True: "equal", False: "different", None: "undecided"}


def grade(
    source: Path, target: Path | Output, algebra: Algebra, progress: Progress | None = None, lines: int = 0
) -> dict[str, int]:
    """Compare the answer on each line of `source` with its gold answer; returns the count of each result.

    An answer that is null is none. `lines` says how many there will be, if that is known.
    """
    counts = Counter({"equal": 0, "different": 0, "undecided": 0, "no_answer": 0})

    def graded(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
        given = [_answer(row, "answer", null=True) for row in rows]
        golds = [_answer(row, "gold") or "" for row in rows]
        questions = [_string(row, "question") if row.fields.get("question") is not None else "" for row in rows]
        offered = [row.options("options") if row.fields.get("options") is not None else {} for row in rows]
        there = [i for i, answer in enumerate(given) if answer is not None]
        pairs = [(golds[i], given[i] or "") for i in there]
        settled = grading.settle(pairs, algebra.decide, [questions[i] for i in there], [offered[i] for i in there])
        found = dict(zip(there, settled, strict=True))
        for i, row in enumerate(rows):
            comparison = found.get(i, _NO_ANSWER)
            counts["no_answer" if comparison is _NO_ANSWER else _COUNTS_AS[comparison.equal]] += 1
            yield {"id": _id(row), "equal": comparison.equal, "how": comparison.how}

    with progress.task("grade", lines, "lines") if progress else contextlib.nullcontext() as task:
        _rewrite(source, target, graded, task)
    return dict(counts)


def extract(source: Path, target: Path | Output, by: str) -> dict[str, int]:
    """Extract the answer of the solution on each line, by method `by`; returns how many have one and how many do not.

    Of code that was not run, which the first line tells, the programs are taken; then how many there are, and how many
    solutions hold none.
    """
    chosen, counts = named(by), Counter[str]()
    to_run: bool | None = None

    def extracted(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
        nonlocal to_run
        for row in rows:
            to_run = chosen.executes and "stdout" not in row.fields if to_run is None else to_run
            if to_run:
                program = chosen.solution(_string(row, "solution"))
                counts["programs" if program else "no_program"] += 1
                found: dict[str, Any] = {"program": program}
            else:
                stdout = _printed(row) if chosen.executes else None
                given = not chosen.executes or "solution" in row.fields
                answer = chosen.answer(_string(row, "solution") if given else "", stdout)
                counts["no_answer" if answer is None else "answers"] += 1
                found = {"answer": answer}
            yield {"id": _id(row)} | found | carried(row)

    _rewrite(source, target, extracted)
    names = ("programs", "no_program") if to_run else ("answers", "no_answer")
    return {name: counts[name] for name in names}


def _printed(row: Row) -> str | None:
    """The output of the line's program; None if it was not run or did not end well."""
    if "stdout" not in row.fields:
        remedy = f"`mmst check-programs` writes it; fields in this line: {', '.join(row.fields) or 'none'}"
        raise DataError(f"{row.where}, field 'stdout': is missing; for code, the answer is read from it", remedy=remedy)
    stdout = _string(row, "stdout", null=True)
    return stdout if row.fields.get("verdict", "ok") == "ok" else None


def _rewrite(
    source: Path,
    target: Path | Output,
    change: Callable[[Sequence[Row]], Iterator[dict[str, Any]]],
    task: Task | None = None,
) -> None:
    """Apply `change` to the lines and write the result atomically; see `mmst.core.output`."""
    with find(target, source).writing() as out:
        rows = jsonl_stream(source, digits=True)
        while batch := list(itertools.islice(rows, BATCH)):
            for item in change(batch):
                out.write(_line(item))
            out.flush()
            if task:
                task.advance(len(batch))


def _line(item: dict[str, Any]) -> bytes:
    # A lone surrogate, which JSON allows and UTF-8 does not, stays escaped.
    line = json.dumps(item, ensure_ascii=False)
    return (line if line.isascii() or _encodes(line) else json.dumps(item)).encode() + b"\n"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@overload
def _string(row: Row, field: str) -> str: ...
@overload
def _string(row: Row, field: str, null: Literal[True]) -> str | None: ...
def _string(row: Row, field: str, null: bool = False) -> str | None:
    """A required text field, or `null` if that is allowed; it may be empty."""
    value = row.fields.get(field)
    if null and value is None and field in row.fields:
        return None
    if not isinstance(value, str) or isinstance(value, Digits):
        _refuse(row, field, "must be a text")
    return value


def _answer(row: Row, field: str, null: bool = False) -> str | None:
    """An answer: a text, or a number with its digits as in the file; `null` if that is allowed."""
    value = row.fields.get(field)
    if isinstance(value, str) or (null and value is None and field in row.fields):
        return None if value is None else str(value)
    return _refuse(row, field, "must be a text or a number")


def _refuse(row: Row, field: str, what: str) -> NoReturn:
    there = f"fields there: {', '.join(row.fields) or 'none'}"
    if field in row.fields:
        row.fail(field, what, "put it in quotes")
    meant = row.nearest(field, _FIELDS)
    row.fail(field, "is missing", f"rename '{meant}' to '{field}'" if meant else there)


def _id(row: Row) -> str | int:
    """The id of a line: a text or a whole number."""
    value = row.fields.get("id")
    if isinstance(value, Digits) and re.fullmatch(r"-?\d{1,4000}", value):
        return int(value)
    if not isinstance(value, str) or isinstance(value, Digits):
        what = "is missing" if value is None else "must be a text or a whole number"
        raise DataError(f"{row.where}, field 'id': {what}", value=value, remedy='give each line an id, {"id": "1", …}')
    return value
