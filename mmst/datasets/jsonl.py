"""MMST's own JSONL, one problem per line: `{"question": …, "answer": …}`.

Optional: `family`, `task`, `source`, `solutions` ({"text": …, "code": …}), `options`, and `id` and `split` as
`mmst problems import` writes them: both follow from the question. `question` may be called `problem`. Your own id
and all further fields are kept with the problem, under `further`.

`options` are those of a multiple-choice question: `{"A": "36", "B": "38"}`, or a list of texts. The answer is then a
label or one of the texts, and the question shows the options, which are added to it if it doesn't.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mmst.core.records import Problem
from mmst.core.rows import Digits, Row, plain
from mmst.datasets import make_problem
from mmst.datasets.choices import label_of, offered

FIELDS = ("id", "question", "answer", "source", "split", "task", "family", "solutions", "options", "further")
_OUR_ID = re.compile(r"p-[0-9a-f]{16}")
_EDITED = "the question was edited after the import: leave out id and split, they follow from the question"


def problem(row: Row) -> Problem:
    """The problem in a line."""
    task = row.text("task", "main") or "main"
    if task not in ("main", "related"):
        row.fail("task", "must be main or related", '"task": "main"')
    question, options = row.text(row.first("question", "problem")), {}
    answer = row.answer("answer")
    if row.has("options"):
        options = row.options("options")
        question, answer = offered(question, options), label_of(row, "answer", answer, options)
    made = make_problem(
        question,
        answer,
        row.text("source", "jsonl") or "jsonl",
        task=task,
        family=row.label("family"),
        solutions=_solutions(row),
        options=options,
    )
    row.used.update(("family", "split", "further"))
    id = row.fields.get("id")
    if isinstance(id, str) and not isinstance(id, Digits) and _OUR_ID.fullmatch(id):
        if id != made.id:
            row.fail("id", f"the question's id is {made.id}", _EDITED)
        row.used.add("id")
    elif not row.has("id"):
        row.used.add("id")
    if row.has("split") and row.fields["split"] != made.split:
        row.fail("split", f"the question's split is {made.split}", f"{_EDITED}; a split of your own needs another name")
    return replace(made, further=_further(row))


def _solutions(row: Row) -> dict[str, str]:
    row.used.add("solutions")
    found = row.fields["solutions"] if row.has("solutions") else {}
    if isinstance(found, dict):
        found = {name: text for name, text in found.items() if text is not None}
    if not isinstance(found, dict) or not all(isinstance(s, str) and not isinstance(s, Digits) for s in found.values()):
        row.fail("solutions", "must hold a text by method", '"solutions": {"text": "…", "code": "…"}')
    return found


def _further(row: Row) -> dict[str, Any]:
    """What an earlier import wrote; fields of this file beside ours are added to it."""
    found = row.fields["further"] if row.has("further") else {}
    if not isinstance(found, dict):
        row.fail("further", "must be an object", '"further": {"id": 17}')
    return dict(plain(found))
