"""The parts of the standard library that programs may import: pure functions of plain values.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from mmst.sandbox.guest.builtin import lazy, pure
from mmst.sandbox.guest.calls import callback
from mmst.sandbox.guest.machine import BITS, Machine, Paid, extent
from mmst.sandbox.guest.operators import bits, clean, length, product
from mmst.sandbox.guest.texts import parsed
from mmst.sandbox.guest.values import (
    ITERATORS,
    LEAVES,
    MAPPINGS,
    REAL,
    SCALARS,
    SEQUENCES,
    Cached,
    Factory,
    GiveUp,
    Module,
    Native,
)

_LONG = 1_000


def _factorial(m: Machine, n: Any) -> Any:
    if type(n) not in SCALARS or (type(n) is int and n > 1_600):
        raise GiveUp
    m.spend(n >> 2 if type(n) is int and n > 0 else 0)
    return math.factorial(n)


def _choose(real: Callable[..., int]) -> Callable[..., Any]:
    def run(m: Machine, n: Any, *k: Any) -> Any:
        if not all(type(v) is int for v in (n, *k)):
            raise GiveUp
        picked = min(k[0], n - k[0]) if k and real is math.comb else k[0] if k else n
        if picked * n.bit_length() > BITS:
            raise GiveUp
        m.spend(max(0, picked))
        return real(n, *k)

    return run


def _divisors(real: Callable[..., int]) -> Callable[..., Any]:
    def run(m: Machine, *values: Any) -> Any:
        size = sum(map(bits, values))
        if not all(type(v) in SCALARS for v in values) or size > BITS:
            raise GiveUp
        m.spend(size * size >> 20)
        return real(*values)

    return run


def _prod(m: Machine, values: Any, /, *, start: Any = 1) -> Any:
    for v in m.source(values):
        if type(v) not in LEAVES or type(start) not in LEAVES:
            raise GiveUp
        product(m, start, v)
        start = clean(start * v)
    return start


def _numbers(real: Callable[..., Any], most: int = 1) -> Native:
    """A function of sequences of plain numbers."""

    def run(m: Machine, *values: Any) -> Any:
        for v in values:
            if type(v) not in (list, tuple, range, set, type({}.values())):
                raise GiveUp
            m.spend(8 * (extent(v) if type(v) is range else len(v)))
            if not all(type(x) in (int, float) for x in v):
                raise GiveUp
        return clean(real(*values))

    return Native(run, most, most)


_MATH = (
    "acos acosh asin asinh atan atanh cbrt ceil cos cosh degrees erf erfc exp exp2 expm1 fabs floor frexp gamma "
    "isfinite isinf isnan isqrt lgamma log10 log1p log2 modf radians sin sinh sqrt tan tanh trunc ulp"
).split()
math_: dict[str, Any] = {name: Native(pure(getattr(math, name))) for name in _MATH}
math_ |= {name: Native(pure(getattr(math, name)), 2, 2) for name in "atan2 copysign fmod pow remainder ldexp".split()}
math_ |= {name: getattr(math, name) for name in "pi e tau inf".split()}
math_ |= {
    "log": Native(pure(math.log), 1, 2),
    "isclose": Native(pure(math.isclose), 2, 2, frozenset({"rel_tol", "abs_tol"})),
    "hypot": Native(pure(math.hypot), 0, 20),
    "fsum": _numbers(math.fsum),
    "dist": _numbers(math.dist, 2),
    "prod": Native(_prod, 1, 1, frozenset({"start"})),
    "factorial": Native(_factorial),
    "comb": Native(_choose(math.comb), 2, 2),
    "perm": Native(_choose(math.perm), 1, 2),
    "gcd": Native(_divisors(math.gcd), 0, 20),
    "lcm": Native(_divisors(math.lcm), 0, 20),
}


def _fraction(m: Machine, *values: Any) -> Any:
    for v in values:
        if (type(v) is str and (len(v) > 60 or "e" in v.lower())) or bits(v) > BITS >> 3:
            raise GiveUp
        if type(v) not in SCALARS and type(v) not in LEAVES:
            raise GiveUp
        if type(v) is Decimal and abs(v.adjusted()) > 300:
            raise GiveUp
    m.spend(10)
    return Fraction(*values)


def _decimal(m: Machine, *value: Any) -> Any:
    for v in value:
        if type(v) not in (int, float, str, bool, Decimal) or length(v) > 100 or bits(v) > _LONG:
            raise GiveUp
    return clean(Decimal(*value))


fractions_ = {"Fraction": Native(_fraction, 0, 2, frozenset(), Fraction, {}, 0)}
_ROUNDINGS = "ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP".split()
decimal_: dict[str, Any] = {"Decimal": Native(_decimal, 0, 1, frozenset(), Decimal, {}, 0)}
decimal_ |= {name: name for name in _ROUNDINGS}
_DAY = "year month day"
_TIME = "hour minute second microsecond"
_SPAN = "days seconds microseconds milliseconds minutes hours weeks"
_keywords = {name: frozenset(name.split()) for name in (_DAY, f"{_DAY} {_TIME}", _SPAN)}
_date = {"fromisoformat": Native(pure(date.fromisoformat)), "fromordinal": Native(pure(date.fromordinal))}
_moment = {
    "strptime": Native(parsed, 2, 2),
    "fromisoformat": Native(pure(datetime.fromisoformat)),
    "fromordinal": Native(pure(datetime.fromordinal)),
}
datetime_ = {
    "date": Native(pure(date), 0, 3, _keywords[_DAY], date, _date, 0),
    "datetime": Native(pure(datetime), 0, 7, _keywords[f"{_DAY} {_TIME}"], datetime, _moment, 0),
    "timedelta": Native(pure(timedelta), 0, 7, _keywords[_SPAN], timedelta, {}, 0),
}


def _picked(real: Callable[..., Any], least: int = 2) -> Native:
    """`combinations` and the like, of few values."""

    def run(m: Machine, values: Any, *r: Any) -> Any:
        pool = list(m.source(values))
        if not all(v is None or (type(v) is int and v <= _LONG) for v in r):
            raise GiveUp
        m.allocate(16 * (len(pool) + sum(max(0, v or 0) for v in r)))
        return real(pool, *r)

    return Native(run, least, 2)


def _product(m: Machine, *values: Any, repeat: Any = 1) -> Any:
    pools = [list(m.source(v)) for v in values]
    if type(repeat) is not int or repeat > 100:
        raise GiveUp
    m.allocate(16 * sum(map(len, pools)) + 64 * len(pools) * max(0, repeat))
    return itertools.product(*pools, repeat=repeat)


def _accumulate(m: Machine, values: Any, function: Any = None, **initial: Any) -> Any:
    add = Native(lambda m, a, b: _added(m, a, b), 2, 2)
    return itertools.accumulate(m.lasting(values), callback(m, add if function is None else function), **initial)


def _added(m: Machine, a: Any, b: Any) -> Any:
    if type(a) not in REAL or type(b) not in REAL:
        raise GiveUp
    return clean(a + b)


def _grouped(m: Machine, values: Any, key: Any = None) -> Any:
    return itertools.groupby(m.weighed(m.lasting(values)), None if key is None else callback(m, key))


def _count(m: Machine, start: Any = 0, step: Any = 1) -> Any:
    if type(start) not in REAL or type(step) not in REAL:
        raise GiveUp
    return itertools.count(start, step)


def _repeat(m: Machine, value: Any, *times: Any) -> Any:
    return itertools.repeat(value, *times)


itertools_ = {
    "combinations": _picked(itertools.combinations),
    "combinations_with_replacement": _picked(itertools.combinations_with_replacement),
    "permutations": _picked(itertools.permutations, 1),
    "product": Native(_product, 0, 20, frozenset({"repeat"})),
    "accumulate": Native(_accumulate, 1, 2, frozenset({"initial"})),
    "groupby": Native(_grouped, 1, 2, frozenset({"key"})),
    "count": Native(_count, 0, 2, frozenset({"start", "step"})),
    "repeat": Native(_repeat, 1, 2),
    "cycle": Native(lazy(itertools.cycle)),
    "chain": Native(lazy(itertools.chain), 0, 100),
    "islice": Native(lazy(itertools.islice), 2, 4),
    "pairwise": Native(lazy(itertools.pairwise)),
    "zip_longest": Native(lazy(itertools.zip_longest), 0, 20, frozenset({"fillvalue"})),
    "starmap": Native(lazy(itertools.starmap, 0), 2, 2),
    "takewhile": Native(lazy(itertools.takewhile, 0), 2, 2),
    "dropwhile": Native(lazy(itertools.dropwhile, 0), 2, 2),
}


def _reduce(m: Machine, function: Any, values: Any, *initial: Any) -> Any:
    return functools.reduce(callback(m, function), m.source(values), *initial)


def _lru_cache(m: Machine, *function: Any, maxsize: Any = 128) -> Any:
    if not function or (type(function[0]) is not Native and type(function[0]) in SCALARS):
        size = function[0] if function else maxsize
        if type(size) not in (int, type(None)):
            raise GiveUp
        return Native(lambda m, f: Cached(functools.lru_cache(size)(callback(m, f))))
    return Cached(functools.lru_cache(maxsize)(callback(m, function[0])))


def _cache(m: Machine, function: Any) -> Any:
    return Cached(functools.cache(callback(m, function)))


functools_ = {
    "reduce": Native(_reduce, 2, 3),
    "lru_cache": Native(_lru_cache, 0, 1, frozenset({"maxsize"})),
    "cache": Native(_cache),
}


def _counter(m: Machine, *values: Any, **named: Any) -> Any:
    for v in values:
        m.allocate(64 * length(v))
        if type(v) in ITERATORS:
            return Counter(m.weighed(m.source(v)), **named)
        if type(v) not in SEQUENCES and type(v) not in MAPPINGS and type(v) is not str:
            raise GiveUp
        m.weigh(v)
    return Counter(*values, **named)


def _defaultdict(m: Machine, *values: Any, **named: Any) -> Any:
    make = values[0] if values else None
    if type(make) is Native and make.real in (int, float, str, list, dict, set, tuple, bool):
        make = make.real
    elif make is not None:
        make = Factory(callback(m, make))
    if len(values) > 1:
        if type(values[1]) not in MAPPINGS:
            raise GiveUp
        m.allocate(16 * m.weigh(values[1]))
    return defaultdict(make, *values[1:], **named)


def _deque(m: Machine, *values: Any, **maxlen: Any) -> Any:
    m.allocate(sum(8 * length(v) for v in values[:1]))
    if len(values) > 1 or not all(type(v) in (int, type(None)) for v in maxlen.values()):
        raise GiveUp
    return deque(*(m.source(v) for v in values), **maxlen)


collections_ = {
    "Counter": Native(_counter, 0, 1, None, Counter, {}, -1),
    "defaultdict": Native(_defaultdict, 0, 2, None, defaultdict, {}, -1),
    "deque": Native(_deque, 0, 1, frozenset({"maxlen"}), deque, {}, -1),
}
statistics_ = {
    name: _numbers(getattr(statistics, name)) for name in "mean median pstdev stdev pvariance variance".split()
}


def _no(m: Machine, *arguments: Any) -> Any:
    raise GiveUp


def _hint(parameters: int) -> Native:
    return Native(_no, annotates=parameters)


typing_ = {name: _hint(1) for name in "List Set FrozenSet Optional Iterable Sequence".split()}
typing_ |= {"Dict": _hint(2), "Any": _hint(0), "Tuple": _hint(-1), "Union": _hint(-1)}
MODULES = {
    "math": Module(math_), "fractions": Module(fractions_), "decimal": Module(decimal_), "datetime": Module(datetime_),
    "itertools": Module(itertools_), "functools": Module(functools_), "collections": Module(collections_),
    "statistics": Module(statistics_), "typing": Module(typing_),
}  # fmt: skip
itertools_["chain"].members["from_iterable"] = Native(
    lambda m, values: itertools.chain.from_iterable(Paid(lambda _: None, m.lasting(values), m.source))
)
