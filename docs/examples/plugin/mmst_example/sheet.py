"""A spreadsheet's CSV: columns `question`, `answer` and, if there, `topic`."""

from __future__ import annotations

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem


def problem(row: Row) -> Problem:
    """The problem of a row; other columns stay with it."""
    return make_problem(row.text("question"), row.answer("answer"), "sheet", family=row.label("topic"))
