"""The built-in functions and types. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from mmst.sandbox.guest.calls import callback
from mmst.sandbox.guest.machine import BITS, Machine, extent
from mmst.sandbox.guest.methods import METHODS, others, sorting
from mmst.sandbox.guest.operators import binary, bits, clean, length, quotient
from mmst.sandbox.guest.texts import formatted, text
from mmst.sandbox.guest.values import EXCEPTIONS, ITERATORS, LEAVES, MAPPINGS, REAL, SCALARS, SEQUENCES, GiveUp, Native

BUILTINS: dict[str, Native] = {}
"""By name."""
_NUMBERS = frozenset({*REAL, *LEAVES})


def _add(
    name: str, run: Callable[..., Any], least: int = 1, most: int = 1, keywords: str = "", real: Any = None,
    annotates: int | None = None, **members: Native,
) -> None:  # fmt: skip
    BUILTINS[name] = Native(run, least, most, frozenset(keywords.split()), real, members, annotates)


def pure(run: Callable[..., Any]) -> Callable[..., Any]:
    """A function of CPython that reads numbers and texts once, and nothing else."""

    def paid(m: Machine, *arguments: Any, **named: Any) -> Any:
        for a in (*arguments, *named.values()):
            if type(a) not in SCALARS and type(a) not in LEAVES:
                raise GiveUp
            m.spend(length(a) >> 6)
        return clean(run(*arguments, **named))

    return paid


def _print(m: Machine, *values: Any, sep: Any = None, end: Any = None, flush: Any = None) -> None:
    if type(sep) not in (str, type(None)) or type(end) not in (str, type(None)) or type(flush) not in SCALARS:
        raise GiveUp
    try:
        texts = [text(m, v) for v in values]
    except ValueError:
        raise GiveUp from None  # CPython has printed those before
    m.write((" " if sep is None else sep).join(texts) + ("\n" if end is None else end))


_add("print", _print, 0, 1 << 10, "sep end flush")


def _len(m: Machine, value: Any) -> int:
    return len(value)


_add("len", _len)
_add("bool", lambda m, *value: bool(*value), 0, 1, real=bool, annotates=0)
_add("abs", pure(abs))
_add("ord", pure(ord))
_add("chr", pure(chr))
for _f in (bin, hex, oct):
    _add(_f.__name__, pure(_f))
_add("float", pure(float), 0, 1, real=float, annotates=0)
_add("complex", pure(complex), 0, 2, real=complex, annotates=0)
_add("range", pure(range), 1, 3)


def _int(m: Machine, *arguments: Any, **base: Any) -> Any:
    for a in arguments:
        if (type(a) not in SCALARS and type(a) not in LEAVES) or length(a) > BITS >> 3:
            raise GiveUp
        m.spend(length(a) >> 3)
    return int(*arguments, **base)


_add("int", _int, 0, 2, "base", real=int, annotates=0)
_add("str", lambda m, *value: text(m, *value) if value else "", 0, 1, real=str, annotates=0)
_add("repr", lambda m, value: text(m, value, repr))
_add("format", lambda m, value, spec="": formatted(m, value, spec if type(spec) is str else _refuse()), 1, 2)


def _refuse() -> Any:
    raise GiveUp


def _round(m: Machine, number: Any, ndigits: Any = None) -> Any:
    if type(number) not in _NUMBERS or type(ndigits) not in SCALARS or (type(ndigits) is int and abs(ndigits) > 400):
        raise GiveUp
    m.spend(abs(ndigits) >> 2 if type(ndigits) is int else 0)
    return clean(round(number) if ndigits is None else round(number, ndigits))


_add("round", _round, 1, 2, "ndigits")


def _divmod(m: Machine, a: Any, b: Any) -> Any:
    if type(a) not in _NUMBERS or type(b) not in _NUMBERS:
        raise GiveUp
    quotient(m, a, b)
    first, second = divmod(a, b)
    return clean(first), clean(second)


def _pow(m: Machine, base: Any, exp: Any, mod: Any = None) -> Any:
    if mod is None:
        return binary(m, ast.Pow)(base, exp)
    if not (type(base) is int and type(exp) is int and type(mod) is int) or mod == 0:
        raise GiveUp
    m.spend((exp.bit_length() + 1) * (1 + (mod.bit_length() ** 2 >> 17)) + bits(base))
    return pow(base, exp, mod)


_add("divmod", _divmod, 2, 2)
_add("pow", _pow, 2, 3)


def _sum(m: Machine, values: Any, /, start: Any = 0) -> Any:
    if type(start) is str:
        raise GiveUp
    it = iter(m.source(values))
    first = [v for _, v in zip((0,), it, strict=False)]
    if all(type(v) in REAL for v in (start, *first)):
        return clean(sum(_real(chain(first, it)), start))
    add, total = binary(m, ast.Add), start
    for v in chain(first, it):
        if type(v) is float or type(total) is float:
            raise GiveUp  # how these are added depends on the version
        total = add(total, v)
    return total


def _real(values: Iterator[Any]) -> Iterator[Any]:
    for v in values:
        if type(v) not in REAL:
            raise GiveUp
        yield v


_add("sum", _sum, 1, 2, "start")


def compared(m: Machine, values: Any) -> Any:
    """Values that CPython can compare with one another."""
    if type(values) in ITERATORS:
        return m.weighed(m.source(values))
    m.weigh(values)
    return m.source(values)


def _extreme(real: Callable[..., Any]) -> Callable[..., Any]:
    def run(m: Machine, *values: Any, key: Any = None, **default: Any) -> Any:
        named = default if key is None else {**default, "key": callback(m, key)}
        if len(values) == 1:
            return real(compared(m, values[0]), **named)
        for v in values:
            if type(v) not in REAL:
                m.weigh(v)
        return real(*values, **named)

    return run


_add("min", _extreme(min), 1, 1 << 10, "key default")
_add("max", _extreme(max), 1, 1 << 10, "key default")


def _sorted(m: Machine, values: Any, *, key: Any = None, reverse: Any = False) -> list[Any]:
    found = list(m.source(values))
    m.allocate(16 * len(found))
    sorting(m, found)
    return sorted(found, key=None if key is None else callback(m, key), reverse=reverse)


_add("sorted", _sorted, 1, 1, "key reverse")


def _listed(kind: Any) -> Callable[..., Any]:
    def run(m: Machine, *values: Any) -> Any:
        for v in values:
            m.allocate(16 * (extent(v) if type(v) is range else length(v)))
        return kind(*(m.source(v) for v in values))

    return run


_add("list", _listed(list), 0, 1, real=list, annotates=-1)
_add("tuple", _listed(tuple), 0, 1, real=tuple, annotates=-1)
_add("set", lambda m, *values: set(*others(m, values)), 0, 1, real=set, annotates=-1)
_add("frozenset", lambda m, *values: frozenset(*others(m, values)), 0, 1, real=frozenset, annotates=-1)


def dictionary(m: Machine, *values: Any, **named: Any) -> dict[Any, Any]:
    """`dict` of a mapping, of pairs, of keywords."""
    for v in values:
        m.allocate(64 * length(v))
    return dict(*(m.weighed(m.source(v)) if type(v) in ITERATORS else _weighed(m, v) for v in values), **named)


def _weighed(m: Machine, values: Any) -> Any:
    if type(values) not in SEQUENCES and type(values) not in MAPPINGS:
        raise GiveUp
    m.weigh(values)
    return values


def _from_keys(m: Machine, values: Any, value: Any = None) -> Any:
    m.allocate(64 * length(values))
    return dict.fromkeys(m.weighed(m.source(values)), value)


BUILTINS["dict"] = Native(dictionary, 0, 1, None, dict, {"fromkeys": Native(_from_keys, 1, 2)}, -1)


def lazy(real: Callable[..., Any], function: int = -1) -> Callable[..., Any]:
    """A function of iterables that CPython makes an iterator of; the argument `function` is the program's."""

    def run(m: Machine, *arguments: Any, **named: Any) -> Any:
        return real(
            *(
                (None if a is None else callback(m, a)) if i == function else m.lasting(a)
                for i, a in enumerate(arguments)
            ),
            **named,
        )

    return run


_add("zip", lazy(zip), 0, 100, "strict")
_add("map", lazy(map, 0), 2, 100)
_add("filter", lazy(filter, 0), 2, 2)
_add("reversed", lambda m, values: reversed(values))
_add("iter", lambda m, values: iter(values))
_add("any", lambda m, values: any(m.source(values)))
_add("all", lambda m, values: all(m.source(values)))


def _enumerate(m: Machine, values: Any, start: Any = 0) -> Any:
    if type(start) is not int:
        raise GiveUp
    return enumerate(m.lasting(values), start)


def _next(m: Machine, values: Any, *default: Any) -> Any:
    if type(values) not in ITERATORS:
        raise GiveUp
    return next(values, *default)


def _isinstance(m: Machine, value: Any, kinds: Any) -> bool:
    found = kinds if type(kinds) is tuple else (kinds,)
    if not all(type(k) is Native and k.real is not None for k in found):
        raise GiveUp
    if type(value) not in SCALARS and type(value) not in LEAVES and type(value) not in SEQUENCES | MAPPINGS:
        raise GiveUp
    return isinstance(value, tuple(k.real for k in found))


_add("enumerate", _enumerate, 1, 2, "start")
_add("next", _next, 1, 2)
_add("isinstance", _isinstance, 2, 2)


def _exception(kind: type[Exception]) -> Callable[..., Exception]:
    def run(m: Machine, *arguments: Any) -> Exception:
        if not all(type(a) in SCALARS for a in arguments):
            raise GiveUp
        return kind(*arguments)

    return run


def _sort(m: Machine, owner: list[Any], *, key: Any = None, reverse: Any = False) -> None:
    sorting(m, owner)
    owner.sort(key=None if key is None else callback(m, key), reverse=reverse)


METHODS[list, "sort"] = Native(_sort, 1, 1, frozenset({"key", "reverse"}))
for _kind in EXCEPTIONS:
    if _kind.__module__ == "builtins":
        _add(_kind.__name__, _exception(_kind), 0, 10, real=_kind)
