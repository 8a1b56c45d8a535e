"""Bounds of values: what an expression can at most be, without computing it.

The domain in which `walk` follows a program: a number lies in an interval, a text has a
greatest length, a list has items. An operation whose result may be large, or whose operands may be
of a kind that it does not take, is `Unproven`. Nothing here computes with numbers beyond `MOST`.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

MOST = 10**100
"""Greatest magnitude of a whole number that is followed."""
REAL = 2**1024
"""Beyond every float."""
LONGEST = 2000
"""Most characters of a text, most items of a list."""
_INF = math.inf


class Unproven(Exception):
    """This cannot be shown to be harmless; it may well be."""


@dataclass(frozen=True, slots=True)
class Number:
    """An int (`whole`) or else a float, with low ≤ value ≤ high or NaN; the ends are ints, or infinite."""

    low: int | float
    high: int | float
    whole: bool

    @property
    def exact(self) -> bool:
        """Whether this is one known int."""
        return self.whole and self.low == self.high


@dataclass(frozen=True, slots=True)
class Text:
    """A str of at most so many characters."""

    longest: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list or a tuple, item by item."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Something that may be named, printed or called, not computed with: "None", "math", "math.sqrt", "?"."""

    name: str


Value: TypeAlias = Number | Text | Items | Other
NONE, UNKNOWN = Other("None"), Other("?")
BIT = Number(0, 1, True)
FLOAT = Number(-REAL, REAL, False)


def number(low: int | float, high: int | float, whole: bool) -> Number:
    """A number; `Unproven` for an int that is too large to be followed."""
    if not whole:
        return Number(low if low == -_INF else max(low, -REAL), high if high == _INF else min(high, REAL), False)
    if (low >= -MOST and high <= MOST) or low == -_INF or high == _INF:
        return Number(low, high, True)
    raise Unproven


def text(longest: int) -> Text:
    """A text that is not too long; `Unproven` otherwise."""
    if longest > LONGEST:
        raise Unproven
    return Text(longest)


def items(values: Sequence[Value]) -> Items:
    """A list of numbers and texts that is not too long; `Unproven` otherwise."""
    if len(values) > LONGEST or any(isinstance(value, Items) for value in values):
        raise Unproven
    return Items(tuple(values))


def constant(value: object) -> Value:
    """The bounds of a literal."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return number(int(value), int(value), True)
    if isinstance(value, float) and math.isfinite(value):
        return Number(math.floor(value), math.ceil(value), False)
    if isinstance(value, str) and not re.search("[\ud800-\udfff]", value):  # these cannot be printed
        return text(len(value))
    raise Unproven


def join(a: Value, b: Value) -> Value:
    """What is either."""
    if a == b:
        return a
    if isinstance(a, Number) and isinstance(b, Number) and a.whole == b.whole:
        return Number(min(a.low, b.low), max(a.high, b.high), a.whole)
    if isinstance(a, Text) and isinstance(b, Text):
        return Text(max(a.longest, b.longest))
    if isinstance(a, Items) and isinstance(b, Items) and len(a.items) == len(b.items):
        return Items(tuple(map(join, a.items, b.items)))
    return UNKNOWN


def truth(value: Value) -> bool | None:
    """Whether it counts as true; None when that is not known."""
    if isinstance(value, Number):
        return True if value.low > 0 or value.high < 0 else False if value.low == value.high == 0 else None
    if isinstance(value, Items):
        return bool(value.items)
    return False if value in (NONE, Text(0)) else None


def printed(value: Value, inside: bool = False) -> int:
    """Most characters of `str(value)`, or of its repr when it stands inside a list."""
    if isinstance(value, Number):
        if not value.whole:
            return 24
        return max(5, len(str(max(abs(value.low), abs(value.high)))) + 1)  # "False" is a number, too
    if isinstance(value, Text):
        return 10 * value.longest + 2 if inside else value.longest
    if isinstance(value, Items):
        return 3 + sum(2 + printed(item, True) for item in value.items)
    if value == NONE:
        return 4
    raise Unproven


_SPEC = re.compile(r"[<>=^]?[+ -]?0?\d{0,2}[,_]?(?:\.\d{1,2})?[deEfFgGs%]?")


def formatted(value: Value, spec: str) -> int:
    """Most characters of `format(value, spec)`."""
    if not spec:
        return printed(value)
    if not _SPEC.fullmatch(spec) or not isinstance(value, Number | Text):
        raise Unproven
    return 700 + printed(value)


def compare(op: ast.cmpop, a: Value, b: Value) -> Number:
    """A comparison: 1 or 0, or either."""
    if isinstance(op, ast.In | ast.NotIn) and isinstance(b, Items | Text):
        if isinstance(b, Text) and not isinstance(a, Text):
            raise Unproven
        return BIT
    if isinstance(op, ast.Is | ast.IsNot | ast.In | ast.NotIn) or UNKNOWN in (a, b):
        raise Unproven
    if not (isinstance(a, Number) and isinstance(b, Number)):
        if not isinstance(op, ast.Eq | ast.NotEq) and not (isinstance(a, Text) and isinstance(b, Text)):
            raise Unproven
        return BIT
    known: bool | None
    if isinstance(op, ast.Eq | ast.NotEq):
        apart = a.high < b.low or b.high < a.low
        known = False if apart else True if a.exact and b.exact else None
        known = known if known is None or isinstance(op, ast.Eq) else not known
    elif isinstance(op, ast.Lt | ast.GtE):
        known = True if a.high < b.low else False if a.low >= b.high else None
        known = known if known is None or isinstance(op, ast.Lt) else not known
    else:
        known = True if a.low > b.high else False if a.high <= b.low else None
        known = known if known is None or isinstance(op, ast.Gt) else not known
    # A float may be NaN, which compares as nothing else does.
    if known is None or not (a.whole and b.whole):
        return BIT
    return Number(int(known), int(known), True)


def unary(op: ast.unaryop, a: Value) -> Value:
    """`-a`, `+a`, `not a`."""
    if isinstance(op, ast.Not):
        known = None if a == UNKNOWN else truth(a)
        return BIT if known is None else Number(int(not known), int(not known), True)
    if not isinstance(a, Number) or isinstance(op, ast.Invert):
        raise Unproven
    return Number(-a.high, -a.low, a.whole) if isinstance(op, ast.USub) else a


def binary(op: ast.operator, a: Value, b: Value) -> Value:
    """`a op b` for the operators of arithmetic; texts and lists may be added and repeated."""
    if isinstance(a, Number) and isinstance(b, Number):
        return _arithmetic(op, a, b)
    if isinstance(op, ast.Add) and isinstance(a, Text) and isinstance(b, Text):
        return text(a.longest + b.longest)
    if isinstance(op, ast.Add) and isinstance(a, Items) and isinstance(b, Items):
        return items(a.items + b.items)
    if isinstance(op, ast.Mult):
        thing, times = (b, a) if isinstance(a, Number) else (a, b)
        if isinstance(times, Number) and times.exact and abs(times.high) <= LONGEST:
            n = max(0, int(times.high))
            if isinstance(thing, Text):
                return text(thing.longest * n)
            if isinstance(thing, Items) and len(thing.items) * n <= LONGEST:
                return items(thing.items * n)
    raise Unproven


def _arithmetic(op: ast.operator, a: Number, b: Number) -> Number:
    whole = a.whole and b.whole
    if isinstance(op, ast.Add):
        return number(a.low + b.low, a.high + b.high, whole)
    if isinstance(op, ast.Sub):
        return number(a.low - b.high, a.high - b.low, whole)
    if isinstance(op, ast.Mod):
        if a.exact and b.exact and b.low:
            rest = int(a.low) % int(b.low)
            return Number(rest, rest, True)
        most = max(abs(b.low), abs(b.high))
        return Number(0 if b.low > 0 else -most, most, whole)
    if isinstance(op, ast.Mult):
        ends = [x * y if x and y else 0 for x in (a.low, a.high) for y in (b.low, b.high)]
        return number(min(ends), max(ends), whole)
    if _INF in (-a.low, a.high, -b.low, b.high):
        raise Unproven
    if isinstance(op, ast.Div | ast.FloorDiv):
        return _divided(a, b, isinstance(op, ast.FloorDiv))
    if isinstance(op, ast.Pow):
        return _power(a, b)
    raise Unproven


def _divided(a: Number, b: Number, floor: bool) -> Number:
    if not b.whole:
        return FLOAT
    # Division by an int does not make larger; by a positive one it keeps the sign.
    most = max(abs(a.low), abs(a.high)) + 1
    low = 0 if a.low >= 0 and b.low > 0 else -most
    if floor and a.exact and b.exact and b.low:
        quotient = int(a.low) // int(b.low)
        return Number(quotient, quotient, True)
    return Number(low, most, floor and a.whole)


def _power(a: Number, b: Number) -> Number:
    if not b.whole:
        if a.low < 0 or max(abs(b.low), abs(b.high)) > 1:
            raise Unproven  # perhaps complex
        return FLOAT if b.low < 0 else Number(0, a.high + 1, False)
    if not 0 <= b.low <= b.high <= 300:
        raise Unproven
    most = max(abs(a.low), abs(a.high))
    if int(most).bit_length() * int(b.high) > 1100:
        if a.whole:
            raise Unproven
        return FLOAT
    bound = max(1, most ** int(b.high))
    if a.exact and b.exact:
        value = int(a.low) ** int(b.high)
        return number(value, value, True)
    return number(0 if a.low >= 0 else -bound, bound, a.whole)
