"""A spreadsheet's CSV: columns `question`, `answer` and, if there, `topic`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.reading import csv_rows
from mmst.records import Problem


def read(path: Path) -> Iterator[Problem]:
    """The problems of the file, in its order."""
    for row in csv_rows(path):
        yield make_problem(row.text("question"), row.answer("answer"), "sheet", family=row.text("topic", ""))
