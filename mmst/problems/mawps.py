"""MAWPS (Koncel-Kedziorski et al. 2016): a JSON list, in the two shapes that are about.

    {"iIndex": 1, "sQuestion": "Joan found 70 seashells …", "lEquations": ["X=(70.0-43.0)"], "lSolutions": [27.0]}
    {"id": "1", "original_text": "Joan found 70 seashells …", "equation": "x=70.0-43.0", "ans": "27"}

An equation solved for its unknown (`X=…`) becomes the solutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmst.problems import make_problem
from mmst.problems.equations import solutions
from mmst.problems.reading import Row, json_rows, shortest
from mmst.records import Problem

_SOLVED = re.compile(r"\s*[a-zA-Z]\s*=([^=]*)|([^=]*)=\s*[a-zA-Z]\s*")


def read(path: Path) -> Iterator[Problem]:
    """The problems of a MAWPS JSON file; each entry may have either shape."""
    return (_first_shape(row) if "sQuestion" in row.fields else _second_shape(row) for row in json_rows(path))


def _first_shape(row: Row) -> Problem:
    gold = [Row(row.where, {"lSolutions": v}).answer("lSolutions") for v in _list(row, "lSolutions")]
    equations = _list(row, "lEquations") if "lEquations" in row.fields else []
    expression = _expression(equations[0]) if len(equations) == 1 and isinstance(equations[0], str) else ""
    answer = "; ".join(map(shortest, gold))
    return make_problem(row.text("sQuestion"), answer, "mawps", solutions=solutions(expression, answer))


def _second_shape(row: Row) -> Problem:
    gold = shortest(row.answer("ans"))
    made = solutions(_expression(row.text("equation", "")), gold)
    return make_problem(row.text("original_text"), gold, "mawps", solutions=made)


def _list(row: Row, field: str) -> list[object]:
    value = row.fields.get(field)
    if not isinstance(value, list) or not value:
        row.fail(field, "must be a list that is not empty", f'"{field}": [27.0]')
    return value


def _expression(equation: str) -> str:
    """What the unknown equals; "" when the equation isn't solved for it."""
    match = _SOLVED.fullmatch(equation)
    return (match[1] or match[2] or "") if match else ""
