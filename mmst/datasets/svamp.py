"""SVAMP (Patel et al. 2021): JSON or Parquet.

    {"ID": "chal-1", "Body": "Each pack of dvds costs 76 dollars. …", "Question": "How much …?",
     "Equation": "( 76.0 - 25.0 )", "Answer": 51.0, "Type": "Subtraction"}

The question is body and question, or `question_concat` if there is no body. The equation gives the solutions, if
its result is the answer.
"""

from __future__ import annotations

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem
from mmst.datasets.equations import solutions


def problem(row: Row) -> Problem:
    """The problem in an entry of `SVAMP.json`."""
    gold = row.answer("Answer")
    if row.has("question_concat") and not row.has("Body"):
        question = row.text("question_concat")
    else:
        question = f"{row.text('Body').strip()} {row.text('Question').strip()}"
    return make_problem(
        question, gold, "svamp", family=row.label("Type"), solutions=solutions(row.label("Equation"), gold)
    )
