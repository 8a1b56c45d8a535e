"""Our own JSONL, one problem a line: `{"question": …, "answer": …}`.

Optional: `family`, `task`, `source`, `solutions` ({"text": …, "code": …}), and `id` and `split`
as `mmst problems import` writes them. Both follow from the question; foreign ids are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.reading import Row, jsonl_rows
from mmst.records import Problem

FIELDS = ("id", "question", "answer", "source", "split", "task", "family", "solutions")
_OUR_ID = re.compile(r"p-[0-9a-f]{16}")
_EDITED = "the question was edited after the import: leave out id and split, they follow from the question"


def read(path: Path) -> Iterator[Problem]:
    """The problems of a JSONL file."""
    return (problem(row) for row in jsonl_rows(path))


def problem(row: Row) -> Problem:
    """The problem of one line."""
    for name in row.fields:
        if name not in FIELDS:
            row.fail(name, "there is no such field", f"fields: {', '.join(FIELDS)}")
    solutions = row.fields.get("solutions", {})
    if not isinstance(solutions, dict) or not all(isinstance(s, str) for s in solutions.values()):
        row.fail("solutions", "must hold a text by method", '"solutions": {"text": "…", "code": "…"}')
    task = row.text("task", "main")
    if task not in ("main", "related"):
        row.fail("task", "must be main or related", '"task": "main"')
    made = make_problem(
        row.text("question"),
        row.answer("answer"),
        row.text("source", "jsonl"),
        task=task,
        family=row.text("family", ""),
        solutions=solutions,
    )
    id = row.fields.get("id")
    if isinstance(id, str) and _OUR_ID.fullmatch(id) and id != made.id:
        row.fail("id", f"the question's id is {made.id}", _EDITED)
    if "split" in row.fields and row.fields["split"] != made.split:
        row.fail("split", f"the question's split is {made.split}", _EDITED)
    return made
