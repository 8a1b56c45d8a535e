"""What a harmless program may call, and the bounds of what comes back: builtins, and functions of `math`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence

from mmst.harmless.bounds import (
    BIT,
    FLOAT,
    LONGEST,
    UNKNOWN,
    Items,
    Number,
    Other,
    Text,
    Unproven,
    Value,
    binary,
    items,
    number,
    printed,
    text,
)  # fmt: skip

MATH, TIME, SLEEP = Other("math"), Other("time"), Other("time.sleep")
ITERTOOLS, COUNT = Other("itertools"), Other("itertools.count")


def call(name: str, args: Sequence[Value]) -> Value:
    """A builtin, or a function of `math` ("math.sqrt"), of these arguments."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise Unproven
    return function(list(args))


def attribute(of: Value, name: str) -> Value:
    """`math.NAME`, `time.sleep` or `itertools.count`."""
    if of == MATH and name in ("pi", "e", "tau"):
        return Number(2, 7, False)
    if of == MATH and f"math.{name}" in _FUNCTIONS:
        return Other(f"math.{name}")
    if of == TIME and name == "sleep":
        return SLEEP
    if of == ITERTOOLS and name == "count":
        return COUNT
    raise Unproven


def _numbers(args: Sequence[Value], least: int = 1, most: int = 1) -> list[Number]:
    found = [a for a in args if isinstance(a, Number)]
    if len(found) != len(args) or not least <= len(found) <= most:
        raise Unproven
    return found


def _alike(found: Sequence[Number]) -> bool:
    """Whether all are ints, or all floats: what is either could grow unseen."""
    kinds = {n.whole for n in found}
    if len(kinds) > 1:
        raise Unproven
    return kinds != {False}


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
        return Number(pick([n.low for n in found]), pick([n.high for n in found]), _alike(found))

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
    numbers = range(*(int(n.low) for n in ends))
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
                  _alike(found))  # fmt: skip
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
