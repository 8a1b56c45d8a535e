r"""MATH (Hendrycks et al. 2021), MATH-500, PRM800K: JSON or Parquet, or a folder with one problem per file.

    {"problem": "What is $\\frac12+\\frac13$?", "solution": "… $\\boxed{\\frac56}$.", "level": "Level 1",
     "type": "Prealgebra"}

The gold answer is what the solution boxes (`\boxed{…}`; several boxes are one answer), and the solution becomes the
`text` solution. If there is an `answer`, it counts when the solution boxes nothing or something else. A solution
whose last box is another answer contradicts it: it is reported and left out, so that no model learns from it.
`type` may be called `subject`, and `level` may be a number.
"""

from __future__ import annotations

from mmst.core.records import Problem
from mmst.core.rows import Digits, Row, without_blank_lines
from mmst.datasets import make_problem
from mmst.datasets.boxes import answers_in_boxes
from mmst.grading import compare


def problem(row: Row) -> Problem:
    """The problem in an entry; `level` and `type` may be absent."""
    stated = _stated(row)
    solution = row.text("solution", "" if stated or row.unanswered("solution") else None)
    boxes = answers_in_boxes(solution)
    gold = ", ".join(boxes) or stated
    if not gold:
        remedy = r"mark the final answer, e.g. \boxed{7}, or give it as 'answer'"
        row.no_gold("solution", r"holds no \boxed{answer}", remedy)
    if stated and compare(stated, gold).equal is not True:
        if compare(stated, gold).equal is False:
            ends_so = compare(stated, boxes[-1]).equal is True
            row.notes.append(
                f"field 'solution' boxes {gold!r}, field 'answer' says {stated!r}: 'answer' was taken"
                + ("" if ends_so else " and 'solution' left out")
            )
            solution = solution if ends_so else ""
        gold = stated
    elif len(boxes) > 1 and not stated:
        row.notes.append(f"field 'solution' boxes {len(boxes)} answers, taken as one: {gold!r}")
    made = {"text": f"{without_blank_lines(solution)}\nThe answer is {gold}"} if gold and solution.strip() else {}
    return make_problem(row.text(row.first("problem", "question")), gold, "math", family=_family(row), solutions=made)


def _stated(row: Row) -> str:
    """The field `answer`, which is kept with the problem unchanged."""
    if not row.has("answer"):
        return ""
    answer = row.answer("answer").strip()
    row.used.discard("answer")
    return answer


def _family(row: Row) -> str:
    level = row.label("level")
    if isinstance(row.fields.get("level"), Digits) or level.isdecimal():
        level = f"Level {level.removesuffix('.0')}"
    return " ".join(filter(None, (row.label(row.first("type", "subject")), level)))
