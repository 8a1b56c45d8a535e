"""MAWPS (Koncel-Kedziorski et al. 2016): JSON in its two published forms, or as `mawps-csv`.

    {"iIndex": 1, "sQuestion": "Joan found 70 seashells …", "lEquations": ["X=(70.0-43.0)"], "lSolutions": [27.0]}
    {"id": "1", "original_text": "Joan found 70 seashells …", "equation": "x=70.0-43.0", "ans": "27"}

An equation solved for its unknown (`X=…`) becomes the solutions.
"""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from mmst.core.records import Problem
from mmst.core.rows import Digits, Row
from mmst.datasets import make_problem, mawps_csv
from mmst.datasets.equations import solutions

_SOLVED = re.compile(r"\s*[a-zA-Z]\s*=([^=]*)|([^=]*)=\s*[a-zA-Z]\s*")


def problem(row: Row) -> Problem:
    """The problem in an entry, in either form."""
    if "sQuestion" in row.fields:
        return _first_shape(row)
    return mawps_csv.problem(row) if row.has("Numbers") else _second_shape(row)


def _first_shape(row: Row) -> Problem:
    gold = [replace(row, fields={"lSolutions": v}).answer("lSolutions") for v in _list(row, "lSolutions")]
    equations = _list(row, "lEquations") if row.has("lEquations") else []
    expression = _expression(equations[0]) if len(equations) == 1 and isinstance(equations[0], str) else ""
    answer = "; ".join(gold)
    return make_problem(row.text("sQuestion"), answer, "mawps", solutions=solutions(expression, answer))


def _second_shape(row: Row) -> Problem:
    gold = row.answer("ans")
    made = solutions(_expression(row.label("equation")), gold)
    return make_problem(row.text("original_text"), gold, "mawps", solutions=made)


def _list(row: Row, field: str) -> list[object]:
    """A list, or a list written in a cell of a table."""
    value = row.fields.get(field)
    if isinstance(value, str) and value.strip().startswith("["):
        value = _in_cell(value.strip())
    if not isinstance(value, list) or not value:
        refuse = row.no_gold if field == "lSolutions" else row.fail
        refuse(field, "must be a list that is not empty", f'"{field}": [27.0]')
        return []
    if field == "lSolutions":
        row.used.add(field)
    return value


def _in_cell(cell: str) -> list[object] | None:
    """The texts and numbers of a list such as `['X=(70.0-43.0)']` or `[27.0]`."""
    try:
        items = ast.parse(cell, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(items, ast.List) or not all(isinstance(item, ast.Constant | ast.UnaryOp) for item in items.elts):
        return None
    texts = [ast.get_source_segment(cell, item) or "" for item in items.elts]
    return [text.strip("'\"") if text[:1] in ("'", '"') else Digits(text) for text in texts]


def _expression(equation: str) -> str:
    """What the unknown equals; "" if the equation is not solved for it."""
    match = _SOLVED.fullmatch(equation)
    return (match[1] or match[2] or "") if match else ""
