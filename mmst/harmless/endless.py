"""Loops that never end: bounds that hold on every turn keep the test true."""

from __future__ import annotations

import ast
import math

from mmst.harmless.bounds import UNKNOWN, Number, Unproven, Value, truth
from mmst.harmless.names import Function, Names
from mmst.harmless.walk import Loop, Walk


def never_ends(loop: ast.While, names: Names) -> bool:
    """Whether a loop that is entered is never left: bounds that hold on every turn keep its test true.

    Only bodies of which no statement can fail, leave the loop or use up memory: additions,
    subtractions and comparisons of numbers, assignments of them, `if`.
    """
    held = names.copy()
    try:
        for _ in range(4):
            walk = _Steady(_refused)
            if truth(walk.value(loop.test, held)) is not True:
                return False
            after = held.copy()
            if not walk.once(loop.body, after):
                return False
            wider = {name: _widened(value, after.own.get(name, UNKNOWN)) for name, value in held.own.items()}
            if wider == held.own:
                return True
            held.own = wider
    except (Unproven, OverflowError):
        return False
    return False


def _widened(before: Value | Function, after: Value | Function) -> Value | Function:
    if before == after:
        return before
    if not (isinstance(before, Number) and isinstance(after, Number) and before.whole == after.whole):
        return UNKNOWN
    low = before.low if after.low >= before.low else -math.inf
    high = before.high if after.high <= before.high else math.inf
    return Number(low, high, before.whole)


def _refused(loop: ast.While, names: Names) -> bool:
    raise Unproven


class _Steady(Walk):
    """A turn of a loop in which nothing can go wrong."""

    def once(self, body: list[ast.stmt], names: Names) -> bool:
        """Follow one turn; False when the loop may be left."""
        loop = Loop()
        self.loops.append(loop)
        reached = self.turn(body, names, loop)
        return reached and not loop.breaks

    def statement(self, s: ast.stmt, names: Names) -> bool:
        """Only what cannot fail."""
        if not isinstance(s, ast.Assign | ast.AugAssign | ast.If | ast.Pass | ast.Break | ast.Continue):
            raise Unproven
        return super().statement(s, names)

    def value(self, e: ast.expr, names: Names) -> Value:
        """Only what cannot fail."""
        if isinstance(e, ast.BinOp) and not isinstance(e.op, ast.Add | ast.Sub):
            divisor = e.right.value if isinstance(e.op, ast.Mod) and isinstance(e.right, ast.Constant) else 0
            if not (isinstance(divisor, int) and divisor):
                raise Unproven
        if not isinstance(e, ast.BinOp | ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Name | ast.Constant | ast.IfExp):
            raise Unproven
        value = super().value(e, names)
        if not (isinstance(value, Number) and value.whole):
            raise Unproven  # a float and an int that grows cannot be added for ever
        return value
