"""MAWPS, ASDiv-A and SVAMP as CSV, as the SVAMP repository publishes them (Patel et al. 2021).

    Question,Numbers,Equation,Answer,…
    … wants number0 cups of flour . She already put in number1 cups . …,8.0 2.0,- number0 number1,6,…

The numbers are put back into the question; the prefix equation becomes the solutions, where it
gives the answer. A problem's family is its `Type` where there is such a column, else the operators
of its equation ("-", "/ +").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.equations import OPERATORS, Unusable, prefix, solutions
from mmst.problems.reading import Row, csv_rows, shortest
from mmst.records import Problem

_PLACE = re.compile(r"\bnumber\d+\b")


def read(path: Path) -> Iterator[Problem]:
    """The problems of `train.csv`, `dev.csv` or a fold."""
    return map(_problem, csv_rows(path))


def _problem(row: Row) -> Problem:
    numbers = {f"number{i}": shortest(n) for i, n in enumerate(row.text("Numbers", "").split())}
    question = row.text("Question")
    missing = sorted(set(_PLACE.findall(question)) - numbers.keys())
    if missing:
        row.fail("Numbers", f"has no value for {missing[0]}", "give one number for each place in the question")
    gold = shortest(row.text("Answer").strip())
    if not re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", gold):
        row.fail("Answer", "must be a number", "for example 6 or 504.0")
    equation = row.text("Equation")
    return make_problem(
        _PLACE.sub(lambda place: numbers[place[0]], question),
        gold,
        "mawps-csv",
        family=row.text("Type", "") or " ".join(part for part in equation.split() if part in OPERATORS),
        solutions=_solutions(equation, numbers, gold),
    )


def _solutions(equation: str, numbers: dict[str, str], gold: str) -> dict[str, str]:
    try:
        return solutions(prefix(equation, numbers), gold)
    except Unusable:
        return {}
