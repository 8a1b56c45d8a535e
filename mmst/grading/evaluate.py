"""The value of a formula at a point, in bounded time: in fractions, decimals of 50 digits, or complex floats."""

from __future__ import annotations

import contextlib
import functools
import math
import zlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

from mmst.grading.arithmetic import Arithmetic, Complex, Exact, Real, Unsuitable
from mmst.grading.tree import CONSTANTS, Node, number

POINTS = 5
_STEPS, _ALL_STEPS = 40_000, 100_000
_COSTLY = frozenset({"pow", "root", "call", "factorial"})
_TERMS = 2000
EXACT, REAL, COMPLEX = Exact(), Real(), Complex()

Point = Mapping[str, Fraction]


def point(names: list[str], index: int) -> Point:
    """The index-th point: a number for every name; the first are positive, then of both signs, the last negative."""
    values = {}
    for name in names:
        drawn = zlib.crc32(f"{index} {name}".encode())
        size = Fraction(drawn % 4093 + 307, 1021)
        negative = index > 3 or (index == 3 and bool(drawn >> 16 & 1))
        values[name] = -size if negative else size
    return values


KNOWN = frozenset(
    "sin cos tan cot sec csc asin acos atan sinh cosh tanh log floor ceil binomial degrees base max min gcd lcm".split()
)
_RECIPROCALS = {"cot": "tan", "sec": "cos", "csc": "sin"}


class Budget:
    """The step budget of one question, over all points, arithmetics and failed attempts."""

    def __init__(self, steps: int = _STEPS) -> None:
        self.left, self._of = steps, _COMPARISON.get()

    def spend(self, steps: int) -> None:
        """Use steps; `Unsuitable` if none are left."""
        self.left -= steps
        if self.left < 0:
            raise Unsuitable
        if self._of is not None:
            self._of.spend(steps)


_COMPARISON: ContextVar[Budget | None] = ContextVar("comparison", default=None)


@contextlib.contextmanager
def one_comparison() -> Iterator[None]:
    """Bounds the steps of all questions together: long lists ask thousands."""
    token = _COMPARISON.set(Budget(_ALL_STEPS))
    try:
        yield
    finally:
        _COMPARISON.reset(token)


class Evaluation:
    """One formula at one point in one arithmetic, with a bounded number of steps."""

    def __init__(self, arithmetic: Arithmetic, where: Point, budget: Budget) -> None:
        self.arithmetic, self.where, self.budget = arithmetic, dict(where), budget

    def of(self, node: Node) -> Any:
        """Its value; `Unsuitable` if there is none."""
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
        """A power; for a negative real and an odd root in the exponent, the real one."""
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
        """A known function, or a fixed pseudo-random value for an unknown one."""
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
    """log₂ 8 is 3: exact if base and argument are powers of one another."""
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
