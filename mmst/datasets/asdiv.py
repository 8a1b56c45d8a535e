"""ASDiv (Miao et al. 2020): XML, or the same fields as JSON or Parquet (`body`, `question`, `solution_type` …).

    <Problem ID="nluds-0001" Grade="1" Source="http://www.k5learning.com">
      <Body>Seven red apples and two green apples are in the basket.</Body>
      <Question>How many apples are in the basket?</Question>
      <Solution-Type>Addition</Solution-Type>
      <Answer>9 (apples)</Answer>
      <Formula>7+2=9</Formula>
    </Problem>

The unit in brackets is dropped from the gold answer; several answers ("5; 6") are kept as text. A formula that is
one equation of plain arithmetic gives the solutions.
"""

from __future__ import annotations

import re

from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets import make_problem
from mmst.datasets.equations import solutions


def problem(row: Row) -> Problem:
    """The problem in an element of `ASDiv.xml`, or in an object with its fields."""
    field = row.first("Answer", "answer")
    gold = "; ".join(re.sub(r"\s*\([^)]*\)", "", part).strip() for part in row.answer(field).split(";"))
    if not gold.strip("; "):
        gold = row.no_gold(field, "holds no answer outside its brackets", "write it as: 9 (apples)")
    formula, _, _ = row.label(row.first("Formula", "formula")).partition("=")
    body, question = row.text(row.first("Body", "body")), row.text(row.first("Question", "question"))
    return make_problem(
        f"{body.strip()} {question.strip()}",
        gold,
        "asdiv",
        family=row.label(row.first("Solution-Type", "Solution_Type", "solution_type")),
        solutions=solutions(formula, gold),
    )
