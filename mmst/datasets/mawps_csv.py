"""MAWPS, ASDiv-A and SVAMP as CSV, as the SVAMP repository publishes them (Patel et al. 2021); also as JSON or Parquet.

    Question,Numbers,Equation,Answer,…
    … wants number0 cups of flour . She already put in number1 cups . …,8.0 2.0,- number0 number1,6,…

The numbers are put back into the question. The prefix equation gives the solutions, if its result is the answer.
Placeholders may also be called `N_00`; in such sets, equations are infix. A problem's family is its `Type` if there
is such a column, else the operators of its equation ("-", "/ +").
"""

from __future__ import annotations

import re

from mmst.core.records import Problem
from mmst.core.rows import Digits, Row, shortest
from mmst.datasets import make_problem
from mmst.datasets.equations import OPERATORS, Unusable, prefix, solutions

_PLACE = re.compile(r"\bnumber\d+\b|\bN_\d+\b")


def problem(row: Row) -> Problem:
    """The problem in a row of `train.csv`, `dev.csv` or a fold."""
    question = row.text("Question")
    numbers = _numbers(row)
    missing = sorted(set(_PLACE.findall(question)) - numbers.keys())
    if missing:
        row.fail("Numbers", f"has no value for {missing[0]}", "give one number for each place in the question")
    gold = _gold(row)
    equation = row.label("Equation")
    return make_problem(
        _PLACE.sub(lambda place: numbers[place[0]], question),
        gold,
        "mawps-csv",
        family=row.label("Type") or " ".join(part for part in equation.split() if part in OPERATORS),
        solutions=_solutions(equation, numbers, gold),
    )


def _numbers(row: Row) -> dict[str, str]:
    """The number of each placeholder: `number0` and `N_00` are the first."""
    values = [shortest(n) for n in row.label("Numbers").split()]
    names = ((f"number{i}", f"N_{i:02d}", f"N_{i}") for i in range(len(values)))
    return {name: value for places, value in zip(names, values, strict=True) for name in places}


def _gold(row: Row) -> str:
    """The answer; a table writes every number as a decimal (504.0), so an empty fraction is dropped."""
    gold = row.answer("Answer").strip()
    if not isinstance(row.fields.get("Answer"), Digits):
        gold = shortest(gold)
    if not re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", gold):
        return row.no_gold("Answer", "must be a number", "for example 6 or 504.0")
    return gold


def _solutions(equation: str, numbers: dict[str, str], gold: str) -> dict[str, str]:
    try:
        if "N_" in equation:
            return solutions(_PLACE.sub(lambda place: numbers.get(place[0], place[0]), equation), gold)
        return solutions(prefix(equation, numbers), gold)
    except Unusable:
        return {}
