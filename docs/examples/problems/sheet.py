"""A spreadsheet's CSV: columns `question`, `answer` and, if there, `topic`."""

from __future__ import annotations

from mmst.problems import make_problem
from mmst.problems.reading import Row
from mmst.records import Problem


def problem(row: Row) -> Problem:
    """The problem of a row; other columns stay with it."""
    return make_problem(row.text("question"), row.answer("answer"), "sheet", family=row.label("topic"))
