"""Whether two formulas have the same value: by calculating, at fixed points for the variables (Schwartz–Zippel).

The arithmetics are tried from the strictest to the loosest. Fractions must agree exactly, decimals
to 40 of 50 digits, complex floats to nine digits. Decimals that are rounded (`rounding`) may explain a
difference. Where one formula has a real value and the other none, they are not said to be equal. Two
different formulas that agree at all `POINTS` would have to be made for it.
"""

from __future__ import annotations

import contextlib
import functools
import math
import zlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

from mmst.answers.arithmetic import Arithmetic, Complex, Exact, Real, Unsuitable
from mmst.answers.rounding import is_rounded, slack
from mmst.answers.tree import CONSTANTS, SCALARS, Node, is_whole, number

POINTS = 5
_STEPS, _ALL_STEPS = 40_000, 100_000
_COSTLY = frozenset({"pow", "root", "call", "factorial"})
_TERMS = 2000
EXACT, REAL, COMPLEX = Exact(), Real(), Complex()

Point = Mapping[str, Fraction]


def same_value(a: Node, b: Node) -> bool | None:
    """Whether two scalars are equal wherever both have a value; None when that is nowhere, not everywhere, or in doubt."""
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
    """Whether one of two formulas has no real value where the other has one: ln x² and 2 ln x for negative x."""
    names = sorted(a.names() | b.names())
    if not names or any(n.kind not in SCALARS for n in (*a.walk(), *b.walk())):
        return False
    budget = Budget()
    return any(_same_at(a, b, point(names, i), budget) is _LIMITED for i in range(POINTS))


def is_rounding(exact: Node, rounded: Node) -> bool:
    """Whether a number is the other's value, rounded to the digits that it has after the point, closing zeros apart."""
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


def point(names: list[str], index: int) -> Point:
    """The index-th point: a number for every name, positive ones first, then of both signs, at last negative ones."""
    values = {}
    for name in names:
        drawn = zlib.crc32(f"{index} {name}".encode())
        size = Fraction(drawn % 4093 + 307, 1021)
        negative = index > 3 or (index == 3 and bool(drawn >> 16 & 1))
        values[name] = -size if negative else size
    return values


class _Limited:
    """Only one of two formulas has a real value here."""


_LIMITED = _Limited()


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
    """Whether it has a function that has no real value for some reals: a logarithm, an even root, a power with a fraction."""
    return any(
        n.kind == "root"
        or (n.kind == "call" and n.value in ("log", "asin", "acos"))
        or (n.kind == "pow" and not (n.parts[1].kind == "number" and is_whole(n.parts[1])))
        for n in node.walk()
    )


_MOST_DECIMALS = 6


def _by_rounding(a: Node, b: Node, found: Evaluation, x: Any, y: Any) -> bool:
    """Whether the decimals in one formula are rounded so that the other may be meant: by moving each as far as it may be off."""
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
    """How far a formula's value moves with its decimals; `strict`: only with what floats leave."""
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
    """Whether it has a function of which nothing is known: values of it show no difference."""
    return any(n.kind == "call" and n.value not in KNOWN for n in node.walk())


KNOWN = frozenset(
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh log floor ceil binomial degrees base max min gcd lcm".split()
)
_RECIPROCALS = {"cot": "tan", "sec": "cos", "csc": "sin"}


class Budget:
    """The steps that one question may take, over all points, arithmetics and attempts that fail."""

    def __init__(self, steps: int = _STEPS) -> None:
        self.left, self._of = steps, _COMPARISON.get()

    def spend(self, steps: int) -> None:
        """Take steps; `Unsuitable` when there are none."""
        self.left -= steps
        if self.left < 0:
            raise Unsuitable
        if self._of is not None:
            self._of.spend(steps)


_COMPARISON: ContextVar[Budget | None] = ContextVar("comparison", default=None)


@contextlib.contextmanager
def one_comparison() -> Iterator[None]:
    """In which all questions together take a bounded number of steps: long lists ask thousands."""
    token = _COMPARISON.set(Budget(_ALL_STEPS))
    try:
        yield
    finally:
        _COMPARISON.reset(token)


class Evaluation:
    """One formula at one point in one arithmetic, in a bounded number of steps."""

    def __init__(self, arithmetic: Arithmetic, where: Point, budget: Budget) -> None:
        self.arithmetic, self.where, self.budget = arithmetic, dict(where), budget

    def of(self, node: Node) -> Any:
        """Its value; `Unsuitable` when there is none."""
        self.budget.spend(5 if node.kind in _COSTLY else 1)
        calculate = self.arithmetic
        match node.kind:
            case "number" | "decimal" if isinstance(node.value, Fraction):
                return calculate.of(node.value)
            case "name":
                return self.name(str(node.value))
            case "add":
                return functools.reduce(calculate.add, map(self.of, node.parts))
            case "mul":
                return functools.reduce(calculate.multiply, map(self.of, node.parts))
            case "div":
                return calculate.divide(self.of(node.parts[0]), self.of(node.parts[1]))
            case "neg":
                return calculate.multiply(calculate.of(Fraction(-1)), self.of(node.parts[0]))
            case "pow":
                return self.power(*node.parts)
            case "root":
                degree = self.exact(node.parts[1])
                if degree.denominator != 1 or not 0 < degree < 1000:
                    raise Unsuitable
                return calculate.root(self.of(node.parts[0]), int(degree))
            case "abs" | "factorial":
                return calculate.function(node.kind, self.of(node.parts[0]))
            case "percent" | "about":
                return self.of(node.parts[0])
            case "call":
                return self.call(str(node.value), node.parts)
            case "sum" | "product":
                return self.repeated(node)
        raise Unsuitable

    def power(self, base: Node, exponent: Node) -> Any:
        """A power; of a negative real with an odd root in the exponent, the real one."""
        raised, by = self.of(base), self.of(exponent)
        try:
            return self.arithmetic.power(raised, by)
        except Unsuitable:
            if self.arithmetic is not REAL or not raised < 0:
                raise
        fraction = self.exact(exponent)
        if fraction.denominator % 2 == 0 or fraction.denominator > 64:
            raise Unsuitable
        root = self.arithmetic.root(raised, fraction.denominator)
        return self.arithmetic.power(root, self.arithmetic.of(Fraction(fraction.numerator)))

    def name(self, name: str) -> Any:
        """A variable or constant."""
        if name in self.where:
            return self.arithmetic.of(self.where[name])
        if name in CONSTANTS and name != "infinity":
            return self.arithmetic.constant(name)
        raise Unsuitable

    def call(self, name: str, parts: tuple[Node, ...]) -> Any:
        """A function that is known, or the fixed pseudo-random value of one that is not."""
        calculate = self.arithmetic
        if name == "degrees":
            return self.of(parts[0])
        if name == "base":
            return calculate.of(_in_base(parts))
        if name == "log" and len(parts) == 2:
            exact = _exact_log(self, parts)
            if exact is not None:
                return calculate.of(exact)
            return calculate.divide(
                calculate.function("log", self.of(parts[0])), calculate.function("log", self.of(parts[1]))
            )
        if name in ("binomial", "max", "min", "gcd", "lcm"):
            return calculate.of(_of_wholes(name, [self.exact(p) for p in parts]))
        if len(parts) != 1:
            raise Unsuitable
        if (
            name in ("sin", "cos", "tan", "cot", "sec", "csc")
            and parts[0].kind == "call"
            and parts[0].value == "degrees"
        ):
            angle = Node("mul", None, (parts[0], Node("div", None, (Node("name", "pi"), number(180)))))
            return self.call(name, (angle,))
        if name in _RECIPROCALS:
            return calculate.divide(calculate.of(Fraction(1)), self.call(_RECIPROCALS[name], parts))
        if name in KNOWN:
            if name in ("floor", "ceil"):
                return calculate.of(EXACT.function(name, self.exact(parts[0])))
            return calculate.function(name, self.of(parts[0]))
        argument = self.exact(parts[0])
        called = f"{name}({argument.numerator:x}/{argument.denominator:x})"  # Python writes no huge int in decimal
        return calculate.of(point([called], 0)[called])

    def exact(self, node: Node) -> Fraction:
        """The value as a fraction."""
        found = Evaluation(EXACT, self.where, self.budget).of(node)
        if not isinstance(found, Fraction):
            raise Unsuitable
        return found

    def repeated(self, node: Node) -> Any:
        """A finite sum or product, term by term."""
        first, last = self.exact(node.parts[0]), self.exact(node.parts[1])
        if first.denominator != 1 or last.denominator != 1 or last - first > _TERMS:
            raise Unsuitable
        calculate, index = self.arithmetic, str(node.value)
        total, outer = calculate.of(Fraction(node.kind == "product")), self.where.get(index)
        for n in range(int(first), int(last) + 1):
            self.where[index] = Fraction(n)
            term = self.of(node.parts[2])
            total = calculate.add(total, term) if node.kind == "sum" else calculate.multiply(total, term)
        self.where.pop(index, None)
        if outer is not None:
            self.where[index] = outer
        return total


def _in_base(parts: tuple[Node, ...]) -> Fraction:
    """`204_5` is 54."""
    digits, base = (p.value for p in parts)
    assert isinstance(digits, Fraction)
    assert isinstance(base, Fraction)
    try:
        return Fraction(int(str(digits), int(base)))
    except ValueError:
        raise Unsuitable from None


def _exact_log(evaluation: Evaluation, parts: tuple[Node, ...]) -> Fraction | None:
    """log₂ 8 is 3: where base and argument are powers of one another."""
    try:
        argument, base = evaluation.exact(parts[0]), evaluation.exact(parts[1])
    except Unsuitable:
        return None
    if argument <= 0 or base <= 1:
        return None
    size = math.log(base.numerator) - math.log(base.denominator)
    n = round((math.log(argument.numerator) - math.log(argument.denominator)) / size) if size else 0
    try:
        return Fraction(n) if EXACT.power(base, Fraction(n)) == argument else None
    except Unsuitable:
        return None


def _of_wholes(name: str, values: list[Fraction]) -> Fraction:
    if name in ("max", "min"):
        return max(values) if name == "max" else min(values)
    if any(v.denominator != 1 or abs(v) > 3000 for v in values):
        raise Unsuitable
    wholes = [int(v) for v in values]
    if name == "binomial":
        if len(wholes) != 2 or min(wholes) < 0:
            raise Unsuitable
        return Fraction(math.comb(*wholes))
    return Fraction(math.gcd(*wholes) if name == "gcd" else math.lcm(*wholes[:8]))
