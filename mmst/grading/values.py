"""Whether two formulas have the same value, calculated at fixed points (Schwartz–Zippel).

The arithmetics are tried from the strictest to the loosest. Fractions must agree exactly, decimals
to 40 of 50 digits, complex floats to twelve digits. Decimals that are rounded (`rounding`) may explain a
difference. If one formula has a real value and the other has none, they are not called equal. Two different
formulas that agree at all `POINTS` would have to be constructed on purpose.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mmst.grading.arithmetic import Arithmetic, Unsuitable
from mmst.grading.evaluate import COMPLEX, EXACT, KNOWN, POINTS, REAL, Budget, Evaluation, Point, point
from mmst.grading.rounding import is_rounded, slack
from mmst.grading.tree import SCALARS, Node, is_whole

_MOST_DECIMALS = 6


class _Limited:
    """Only one of the two formulas has a real value here."""


_LIMITED = _Limited()


def same_value(a: Node, b: Node) -> bool | None:
    """Whether two scalars are equal wherever both have a value.

    None if both have a value nowhere, if only one has a value somewhere, or if it is in doubt.
    """
    if any(n.kind not in SCALARS for n in (*a.walk(), *b.walk())):
        return None
    names = sorted(a.names() | b.names())
    agreed, limited, budget = 0, False, Budget()
    for i in range(POINTS if names else 1):
        found = _same_at(a, b, point(names, i), budget)
        if found is False:
            unknown = a.names() == b.names() and (_unknown_function(a) or _unknown_function(b))
            return None if unknown else False
        agreed += found is True
        limited = limited or found is _LIMITED
    return True if agreed >= (2 if names else 1) and not limited else None


def limited(a: Node, b: Node) -> bool:
    """Whether one formula has no real value where the other has one: ln x² and 2 ln x for negative x."""
    names = sorted(a.names() | b.names())
    if not names or any(n.kind not in SCALARS for n in (*a.walk(), *b.walk())):
        return False
    budget = Budget()
    return any(_same_at(a, b, point(names, i), budget) is _LIMITED for i in range(POINTS))


def is_rounding(exact: Node, rounded: Node) -> bool:
    """Whether a number is the value of the other, rounded to its decimals, not counting final zeros."""
    written = rounded.parts[0].value if rounded.kind == "neg" else rounded.value
    digits = next((d for d in range(13) if isinstance(written, Fraction) and 10**d % written.denominator == 0), None)
    if digits is None:
        return False
    apart, budget = Node("add", None, (exact, Node("neg", None, (rounded,)))), Budget()
    arithmetics: tuple[Arithmetic, ...] = (EXACT, REAL)
    for arithmetic in arithmetics:
        try:
            return bool(abs(Evaluation(arithmetic, {}, budget).of(apart)) <= arithmetic.of(Fraction(1, 2 * 10**digits)))
        except (Unsuitable, RecursionError):
            continue
    return False


def _same_at(a: Node, b: Node, where: Point, budget: Budget) -> bool | _Limited | None:
    for arithmetic in (EXACT, REAL):
        found = Evaluation(arithmetic, where, budget)
        x, y = _value(found, a), _value(found, b)
        if x is not None and y is not None:
            equal = arithmetic.near(x, y)
            return equal or _by_rounding(a, b, found, x, y) or equal
    partial = bool(where) and (_is_partial(a) or _is_partial(b))
    if (x is None) != (y is None) and _is_partial(a if x is None else b):
        return _LIMITED if where else _same_complex(a, b, where, budget)
    if any(v < 0 for v in where.values()):
        return None
    equal = _same_complex(a, b, where, budget)
    return None if equal is False and partial and not _has_i(a) and not _has_i(b) else equal


def _same_complex(a: Node, b: Node, where: Point, budget: Budget) -> bool | None:
    found = Evaluation(COMPLEX, where, budget)
    x, y = _value(found, a), _value(found, b)
    if x is None or y is None:
        return None
    equal = COMPLEX.near(x, y)
    return equal or _by_rounding(a, b, found, x, y) or equal


def _value(found: Evaluation, node: Node) -> Any:
    try:
        return found.of(node)
    except (Unsuitable, RecursionError):
        return None


def _has_i(node: Node) -> bool:
    return any(n.kind == "name" and n.value == "i" for n in node.walk())


def _is_partial(node: Node) -> bool:
    """Whether it has a function without a real value for some reals: a logarithm, a root, a fractional power."""
    return any(
        n.kind == "root"
        or (n.kind == "call" and n.value in ("log", "asin", "acos"))
        or (n.kind == "pow" and not (n.parts[1].kind == "number" and is_whole(n.parts[1])))
        for n in node.walk()
    )


def _by_rounding(a: Node, b: Node, found: Evaluation, x: Any, y: Any) -> bool:
    """Whether decimals in one formula may be rounded values of the other: each is moved by its possible error."""
    if not (a.has("decimal") or b.has("decimal")):
        return False
    calculate = found.arithmetic
    gap, zero = calculate.gap(x, y), calculate.of(Fraction(0))
    if gap * 10**6 > max(calculate.gap(x, zero), calculate.gap(y, zero)):
        return False
    return any(
        gap <= _tolerance(tree, value, found, strict=any(is_rounded(v) for v in _decimals(other)))
        for tree, value, other in ((a, x, b), (b, y, a))
    )


def _tolerance(tree: Node, value: Any, found: Evaluation, strict: bool) -> Any:
    """How far a formula's value moves with its decimals; `strict`: only by float errors."""
    calculate = found.arithmetic
    total = calculate.gap(value, value)
    decimals = _decimals(tree)
    for decimal in decimals if len(decimals) <= _MOST_DECIMALS else ():
        off = slack(decimal)
        if not off or (strict and is_rounded(decimal)):
            continue
        old, new = Node("decimal", decimal), Node("decimal", decimal + off)
        moved = _value(found, tree.replaced(lambda n, old=old, new=new: new if n == old else None))  # type: ignore[misc]
        if moved is None:
            return calculate.gap(value, value)
        total += calculate.gap(moved, value)
    return total


def _decimals(node: Node) -> set[Fraction]:
    return {n.value for n in node.walk() if n.kind == "decimal" and isinstance(n.value, Fraction)}


def _unknown_function(node: Node) -> bool:
    """Whether it has an unknown function: its values show no difference."""
    return any(n.kind == "call" and n.value not in KNOWN for n in node.walk())
