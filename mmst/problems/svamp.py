"""SVAMP (Patel et al. 2021): a JSON list.

    {"ID": "chal-1", "Body": "Each pack of dvds costs 76 dollars. …", "Question": "How much …?",
     "Equation": "( 76.0 - 25.0 )", "Answer": 51.0, "Type": "Subtraction"}

The question is body and question; the equation becomes the solutions, where it gives the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.equations import solutions
from mmst.problems.reading import json_rows
from mmst.records import Problem


def read(path: Path) -> Iterator[Problem]:
    """The problems of `SVAMP.json`."""
    for row in json_rows(path):
        gold = row.answer("Answer")
        yield make_problem(
            f"{row.text('Body')} {row.text('Question')}",
            gold,
            "svamp",
            family=row.text("Type", ""),
            solutions=solutions(row.text("Equation", ""), gold),
        )
