"""Equations: the model writes one expression, and the value of that expression counts.

( 3 + 4 ) * 2
"""

from __future__ import annotations

import ast
import operator
from fractions import Fraction
from typing import ClassVar

from mmst.methods import Phrasing

_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


class EquationMethod:
    """Fulfils `mmst.methods.Method`."""

    name: ClassVar[str] = "equation"
    executes: ClassVar[bool] = False
    phrasings: ClassVar[tuple[Phrasing, ...]] = (
        Phrasing(
            heading="Equation:",
            instruction="Solve the problem with one arithmetic expression in its numbers; write it alone.",
            translation="Here is a problem with a correct solution. Rewrite it as one arithmetic expression.",
        ),
    )
    shots: ClassVar[tuple[tuple[str, str], ...]] = (
        ("A bakery sold 14 loaves in the morning and 9 in the afternoon. How many loaves did it sell?", "14 + 9"),
        ("Noor had 50 stickers. She gave 8 stickers to each of her 4 cousins. How many are left?", "50 - 8 * 4"),
    )

    def solution(self, completion: str) -> str:
        """The first line that says anything."""
        return next((line.strip() for line in completion.splitlines() if line.strip()), "")

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """The expression's value; None when it is no expression."""
        try:
            return str(_value(ast.parse(solution, mode="eval").body))
        except (SyntaxError, ValueError, ArithmeticError, RecursionError):
            return None

    def canonical(self, solution: str) -> str:
        """The expression without spaces."""
        return "".join(solution.split())


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return Fraction(str(node.value))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return Fraction(_OPERATIONS[type(node.op)](_value(node.left), _value(node.right)))
    raise ValueError("not arithmetic")


METHOD = EquationMethod()
