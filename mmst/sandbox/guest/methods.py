"""The methods and attributes of plain values here. Standard library only; used inside the sandbox."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from operator import attrgetter
from typing import Any

from mmst.sandbox.guest.machine import Machine, extent
from mmst.sandbox.guest.operators import bits, clean, extension, length, stable
from mmst.sandbox.guest.texts import fields, showable, stamp
from mmst.sandbox.guest.values import ITERABLES, ITERATORS, LEAVES, MAPPINGS, SCALARS, SEQUENCES, SETS, GiveUp, Native

METHODS: dict[tuple[type, str], Native] = {}
"""By type and name; the owner is the first argument."""
ATTRIBUTES: dict[tuple[type, str], Callable[[Any], Any]] = {
    (kind, name): attrgetter(name)
    for kind, names in (
        (Fraction, "numerator denominator"),
        (complex, "real imag"),
        (date, "year month day"),
        (datetime, "year month day hour minute second microsecond"),
        (timedelta, "days seconds microseconds"),
    )
    for name in names.split()
}
_MOST = 1_000


def _add(
    kinds: type | tuple[type, ...],
    name: str,
    run: Callable[..., Any],
    least: int = 0,
    most: int = 0,
    keywords: str = "",
) -> None:
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        METHODS[kind, name] = Native(run, least + 1, most + 1, frozenset(keywords.split()))


def _call(
    kind: type, name: str, least: int = 0, most: int = 0, keywords: str = "", each: int = 8, search: bool = False
) -> None:
    """A method that reads its owner and plain arguments once; `each` bytes are paid for per element."""
    run = getattr(kind, name)

    def paid(m: Machine, owner: Any, *arguments: Any, **named: Any) -> Any:
        m.allocate(each * length(owner))
        if search:
            m.scan(owner)
        if name[0] == "r" and kind is str and arguments and type(arguments[0]) is str:
            m.spend(len(owner) * len(arguments[0]) >> 6)  # CPython's search from the right is no better
        for a in (*arguments, *named.values()):
            if type(a) not in SCALARS:
                showable(m, a)  # it may stand in the message of an error
        return clean(run(owner, *arguments, **named))

    _add(kind, name, paid, least, most, keywords)


for _name in (
    "upper lower title capitalize swapcase casefold isdigit isalpha isalnum isdecimal isnumeric isspace isupper "
    "islower istitle isidentifier isascii isprintable"
).split():
    _call(str, _name)
for _name in "strip lstrip rstrip".split():
    _call(str, _name, 0, 1)
for _name in "startswith endswith find rfind index rindex count".split():
    _call(str, _name, 1, 3, each=1)
for _name in "removeprefix removesuffix partition rpartition".split():
    _call(str, _name, 1, 1)
for _name in "split rsplit".split():
    _call(str, _name, 0, 2, "sep maxsplit", each=40)
_call(str, "splitlines", 0, 1, "keepends", each=40)
METHODS[str, "format"] = Native(fields, 1, 1 << 10, None)
for _kind in (list, tuple, deque):
    _call(_kind, "count", 1, 1, each=1, search=True)
    _call(_kind, "index", 1, 3, each=1, search=True)
for _copied in (list, deque, dict, set, defaultdict, Counter):
    _call(_copied, "copy")
    _call(_copied, "clear", each=0)
_call(frozenset, "copy")
for _kind in (list, deque):
    _call(_kind, "reverse", each=1)
    _call(_kind, "insert", 2, 2)
_call(int, "bit_length")
_call(int, "bit_count")
_call(float, "is_integer")
_call(complex, "conjugate")
for _day in (date, datetime):
    for _name in "isoformat weekday isoweekday toordinal".split():
        _call(_day, _name)
    _call(_day, "replace", 0, 7, "year month day hour minute second microsecond")
    _add(_day, "strftime", stamp, 1, 1)
_call(datetime, "date")
_call(timedelta, "total_seconds")
_call(Decimal, "quantize", 1, 2, "rounding")
for _name in "sqrt normalize to_integral_value copy_abs".split():
    _call(Decimal, _name, 0, 0, "rounding" if _name == "to_integral_value" else "")


def _pad(name: str) -> None:
    run = getattr(str, name)

    def paid(m: Machine, owner: str, width: Any, *fill: Any) -> Any:
        if type(width) is not int or width > _MOST * 10:
            raise GiveUp
        m.allocate(4 * (len(owner) + max(0, width)))
        return run(owner, width, *fill)

    _add(str, name, paid, 1, 1 if name == "zfill" else 2)


for _name in "ljust rjust center zfill".split():
    _pad(_name)


def _replace(m: Machine, owner: str, old: Any, new: Any, *count: Any) -> Any:
    if type(old) is str and type(new) is str:
        m.allocate(4 * (len(owner) + owner.count(old) * len(new)))
    return owner.replace(old, new, *count)


def _join(m: Machine, owner: str, values: Any) -> Any:
    if type(values) not in ITERABLES:
        raise GiveUp
    m.spend(length(values) >> 3)
    parts = values if type(values) is list or type(values) is tuple else list(m.source(values))
    m.allocate(4 * sum(length(part) + len(owner) for part in parts))
    return owner.join(parts)


_add(str, "replace", _replace, 2, 3)
_add(str, "join", _join, 1, 1)


def _append(m: Machine, owner: Any, value: Any) -> None:
    owner.append(value)


def _append_left(m: Machine, owner: Any, value: Any) -> None:
    owner.appendleft(value)


def _extend(m: Machine, owner: Any, values: Any) -> None:
    owner.extend(extension(m, values))


def _pop(m: Machine, owner: Any, *index: Any) -> Any:
    m.spend(len(owner) >> 8)
    if type(owner) in MAPPINGS:
        for key in index:
            m.weigh(key)
    return owner.pop(*index)


def _remove(m: Machine, owner: Any, value: Any) -> None:
    if type(value) not in SCALARS or type(owner) is not list:
        m.spend(m.weigh(owner) + m.weigh(value))
    if type(owner) is not set:
        m.scan(owner)
    owner.remove(value)


_add((list, deque), "append", _append, 1, 1)
_add(deque, "appendleft", _append_left, 1, 1)
_add((list, deque), "extend", _extend, 1, 1)
_add((list, dict, defaultdict, Counter, set, deque), "pop", _pop, 0, 2)
_add(deque, "popleft", lambda m, owner: owner.popleft())
_add((list, deque, set), "remove", _remove, 1, 1)
_call(deque, "rotate", 0, 1, each=1)


def _keyed(name: str, least: int, most: int) -> None:
    """A dictionary's method for one key."""

    def paid(m: Machine, owner: Any, key: Any, *default: Any) -> Any:
        if type(key) not in SCALARS:
            m.weigh(key)
        return getattr(owner, name)(key, *default)

    _add((dict, defaultdict, Counter), name, paid, least, most)


_keyed("get", 1, 2)
_keyed("setdefault", 1, 2)
for _name in "keys values items popitem".split():
    _add((dict, defaultdict, Counter), _name, lambda m, owner, _name=_name: getattr(owner, _name)())


def _update(m: Machine, owner: Any, *others: Any, **named: Any) -> None:
    for other in others:
        if type(other) not in MAPPINGS and (type(other) not in (list, str, tuple) or type(owner) is not Counter):
            raise GiveUp
        m.allocate(16 * m.weigh(other))
    owner.update(*others, **named)


_add((dict, defaultdict), "update", _update, 0, 1)
_add(Counter, "update", _update, 0, 1)


def _most_common(m: Machine, owner: Any, *n: Any) -> Any:
    m.spend(8 * len(owner))
    m.allocate(64 * len(owner))
    return owner.most_common(*n)


_add(Counter, "most_common", _most_common, 0, 1)
_add(Counter, "total", lambda m, owner: clean(sum(m.counted(owner.values()))))
_add(Counter, "elements", lambda m, owner: chain(m.counted(owner.elements())))


def _put(name: str) -> None:
    def paid(m: Machine, owner: Any, value: Any) -> Any:
        return getattr(owner, name)(stable(m, value))

    _add(set, name, paid, 1, 1)


_put("add")
_put("discard")


def others(m: Machine, values: tuple[Any, ...]) -> list[Any]:
    """Values from which a set may take its elements."""
    found = []
    for other in values:
        kind = type(other)
        if kind in SEQUENCES or kind in MAPPINGS:
            m.allocate(64 * len(other))
            if kind not in SETS:
                for v in other:
                    stable(m, v)
        elif kind in ITERATORS:
            other = (stable(m, v) for v in m.source(other))
        elif kind is range:
            m.allocate(100 * extent(other))
        elif kind is str:
            m.allocate(64 * len(other))
        else:
            raise GiveUp
        found.append(other)
    return found


def _set(name: str, most: int = 1 << 10) -> None:
    for kind in (set, frozenset):
        run = getattr(kind, name, None)
        if run is not None:

            def paid(m: Machine, owner: Any, *values: Any, run: Callable[..., Any] = run) -> Any:
                m.allocate(32 * len(owner))
                return run(owner, *others(m, values))

            _add(kind, name, paid, 1 if most == 1 else 0, most)


for _name in "union intersection difference update intersection_update difference_update".split():
    _set(_name)
for _name in "symmetric_difference symmetric_difference_update issubset issuperset isdisjoint".split():
    _set(_name, 1)


def sorting(m: Machine, values: list[Any]) -> None:
    """Pay for sorting."""
    m.spend((m.weigh(values) >> 5) * len(values).bit_length() + (len(values) >> 1))


def _limit_denominator(m: Machine, owner: Fraction, max_denominator: Any = 1_000_000) -> Any:
    if type(max_denominator) is not int:
        raise GiveUp
    m.spend(bits(owner))
    return owner.limit_denominator(max_denominator)


_add(Fraction, "limit_denominator", _limit_denominator, 0, 1, "max_denominator")
assert not {kind for kind, _ in METHODS} - {*SCALARS, *LEAVES, *SEQUENCES, *MAPPINGS}
