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
    subtractions and comparisons of numbers, assignments of them, `if`; products where they are only compared.
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


def _sound(op: ast.operator, right: ast.expr) -> bool:
    """Whether it never fails on ints, and gives none that grows fast."""
    divisor = right.value if isinstance(op, ast.Mod) and isinstance(right, ast.Constant) else 0
    return isinstance(op, ast.Add | ast.Sub) or (isinstance(divisor, int) and divisor != 0)


class _Steady(Walk):
    """A turn of a loop in which nothing can go wrong."""

    _compared = False
    """Whether what is followed is only compared, so cannot grow from turn to turn."""

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
        if isinstance(s, ast.AugAssign) and not _sound(s.op, s.value):
            raise Unproven
        return super().statement(s, names)

    def value(self, e: ast.expr, names: Names) -> Value:
        """Only what cannot fail."""
        if isinstance(e, ast.BinOp) and not _sound(e.op, e.right):
            plain = isinstance(e.left, ast.Name) and isinstance(e.right, ast.Name | ast.Constant)
            if not (isinstance(e.op, ast.Mult) and plain and self._compared):
                raise Unproven
        if not isinstance(e, ast.BinOp | ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Name | ast.Constant | ast.IfExp):
            raise Unproven
        value = super().value(e, names)
        if not (isinstance(value, Number) and value.whole):
            raise Unproven  # a float and an int that grows cannot be added for ever
        return value

    def _compare(self, e: ast.Compare, names: Names) -> Value:
        self._compared = True
        value = super()._compare(e, names)
        self._compared = False
        return value
