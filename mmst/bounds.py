"""Bounds of values: what an expression can at most be, without computing it.

The domain in which `mmst.harmless` follows a program: a number lies in an interval, a text has a
greatest length, a list has items. An operation whose result may be large, or whose operands may be
of a kind that it does not take, is `Unproven`. Nothing here computes with numbers beyond `MOST`.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
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
    """An int (`whole`) or a float with low ≤ value ≤ high; the ends are ints, or infinite."""

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
    """A list that is not too long; `Unproven` otherwise."""
    if len(values) > LONGEST:
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
    if isinstance(value, str):
        return text(len(value))
    raise Unproven


def join(a: Value, b: Value) -> Value:
    """What is either."""
    if a == b:
        return a
    if isinstance(a, Number) and isinstance(b, Number):
        return Number(min(a.low, b.low), max(a.high, b.high), a.whole and b.whole)
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
    if _INF in (-a.low, a.high, -b.low, b.high):
        raise Unproven
    if isinstance(op, ast.Mult):
        ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return number(min(ends), max(ends), whole)
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


# --- what may be called -------------------------------------------------------------------------


def call(name: str, args: Sequence[Value]) -> Value:
    """A builtin, or a function of `math` ("math.sqrt"), of these arguments."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise Unproven
    return function(list(args))


def attribute(name: str) -> Value:
    """`math.NAME`."""
    if name in ("pi", "e", "tau"):
        return Number(2, 7, False)
    if f"math.{name}" in _FUNCTIONS:
        return Other(f"math.{name}")
    raise Unproven


def _numbers(args: Sequence[Value], least: int = 1, most: int = 1) -> list[Number]:
    found = [a for a in args if isinstance(a, Number)]
    if len(found) != len(args) or not least <= len(found) <= most:
        raise Unproven
    return found


def _int(args: list[Value]) -> Value:
    if len(args) == 1 and isinstance(args[0], Text):
        most = 10 ** min(args[0].longest, 101)
        return number(-most, most, True)
    (a,) = _numbers(args)
    return number(a.low, a.high, True)


def _float(args: list[Value]) -> Value:
    if len(args) == 1 and isinstance(args[0], Text):
        return FLOAT
    (a,) = _numbers(args)
    return Number(a.low, a.high, False)


def _round(args: list[Value]) -> Value:
    a, *rest = _numbers(args, 1, 2)
    if rest and not (rest[0].exact and 0 <= rest[0].low <= 20):
        raise Unproven
    return Number(a.low, a.high, a.whole) if rest else number(a.low, a.high, True)


def _abs(args: list[Value]) -> Value:
    (a,) = _numbers(args)
    return Number(max(0, a.low, -a.high), max(abs(a.low), abs(a.high)), a.whole)


def _extreme(pick: Callable[[list[int | float]], int | float]) -> Callable[[list[Value]], Value]:
    def extreme(args: list[Value]) -> Value:
        found = _numbers(args[0].items if len(args) == 1 and isinstance(args[0], Items) else args, 1, LONGEST)
        return Number(pick([n.low for n in found]), pick([n.high for n in found]), all(n.whole for n in found))

    return extreme


def _sum(args: list[Value]) -> Value:
    if len(args) != 1 or not isinstance(args[0], Items):
        raise Unproven
    total: Value = Number(0, 0, True)
    for item in _numbers(args[0].items, 0, LONGEST):
        total = binary(ast.Add(), total, item)
    return total


def _len(args: list[Value]) -> Value:
    if len(args) == 1 and isinstance(args[0], Items):
        return Number(len(args[0].items), len(args[0].items), True)
    if len(args) == 1 and isinstance(args[0], Text):
        return Number(0, args[0].longest, True)
    raise Unproven


def _range(args: list[Value]) -> Value:
    ends = _numbers(args, 1, 3)
    if not all(n.exact for n in ends):
        raise Unproven
    if len(ends) == 3 and ends[2].low == 0:
        raise Unproven
    numbers = range(*(operator.index(int(n.low)) for n in ends))
    if numbers[LONGEST:]:
        raise Unproven
    return items([Number(n, n, True) for n in numbers])


def _list(args: list[Value]) -> Value:
    if len(args) == 1 and isinstance(args[0], Items):
        return args[0]
    raise Unproven


def _sorted(args: list[Value]) -> Value:
    if len(args) != 1 or not isinstance(args[0], Items):
        raise Unproven
    found = _numbers(args[0].items, 0, LONGEST)
    hull = Number(min((n.low for n in found), default=0), max((n.high for n in found), default=0),
                  all(n.whole for n in found))  # fmt: skip
    return items([hull] * len(found))


def _str(args: list[Value]) -> Value:
    if len(args) != 1:
        raise Unproven
    return text(printed(args[0]))


def _bool(args: list[Value]) -> Value:
    if len(args) != 1 or args[0] == UNKNOWN:
        raise Unproven
    return BIT


def _whole_near(args: list[Value]) -> Value:
    (a,) = _numbers(args)
    return number(a.low - (not a.whole), a.high + (not a.whole), True)


def _sqrt(args: list[Value]) -> Value:
    (a,) = _numbers(args)
    return Number(0, max(a.high, 0) + 1, False)


def _common_divisor(args: list[Value]) -> Value:
    found = _numbers(args, 1, 10)
    return Number(0, max(max(abs(n.low), abs(n.high)) for n in found), True)


def _of_reals(least: int, most: int) -> Callable[[list[Value]], Value]:
    def real(args: list[Value]) -> Value:
        _numbers(args, least, most)
        return FLOAT

    return real


def _factorial(args: list[Value]) -> Value:
    (a,) = _numbers(args)
    if not a.high <= 60:
        raise Unproven
    return number(0, math.factorial(max(0, int(a.high))), True)


def _choices(args: list[Value]) -> Value:
    found = _numbers(args, 2, 2)
    if not all(0 <= n.low <= n.high <= 60 for n in found):
        raise Unproven
    return number(0, math.factorial(int(found[0].high)), True)


_FUNCTIONS: dict[str, Callable[[list[Value]], Value]] = {
    "int": _int, "float": _float, "round": _round, "abs": _abs, "min": _extreme(min), "max": _extreme(max),
    "sum": _sum, "len": _len, "range": _range, "list": _list, "tuple": _list, "sorted": _sorted, "str": _str,
    "bool": _bool, "math.floor": _whole_near, "math.ceil": _whole_near, "math.trunc": _whole_near,
    "math.sqrt": _sqrt, "math.gcd": _common_divisor, "math.factorial": _factorial, "math.comb": _choices,
    "math.perm": _choices, "math.fabs": _of_reals(1, 1), "math.log": _of_reals(1, 2), "math.log2": _of_reals(1, 1),
    "math.log10": _of_reals(1, 1), "math.sin": _of_reals(1, 1), "math.cos": _of_reals(1, 1),
    "math.tan": _of_reals(1, 1), "math.radians": _of_reals(1, 1), "math.degrees": _of_reals(1, 1),
    "math.hypot": _of_reals(2, 2), "math.exp": _of_reals(1, 1), "math.pow": _of_reals(2, 2),
}  # fmt: skip
