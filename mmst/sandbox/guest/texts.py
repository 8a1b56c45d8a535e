"""Texts of values and formatting, bounded in advance. Standard library only; used inside the sandbox."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from mmst.sandbox.guest.machine import Machine
from mmst.sandbox.guest.values import EXCEPTIONS, ITERATORS, LEAVES, MAPPINGS, REAL, SCALARS, SEQUENCES, GiveUp

_LONG = re.compile(r"\d{4}|\*")
_TIMES = re.compile(r"(%-?[aAbBdHIjmMpSyYfUWuwe%]|[^%])*", re.ASCII)
_PARSED = re.compile(r"(%[aAbBdHIjmMpSyYf]|[-/:., T])*", re.ASCII)


def text(m: Machine, value: Any, how: Callable[[Any], str] = str) -> str:
    """`str` or `repr` of a plain value."""
    kind = type(value)
    if kind is str:
        m.allocate(len(value))
    elif kind is int:
        m.spend(value.bit_length() >> 8)
    elif kind not in REAL:
        showable(m, value)
    return how(value)


def showable(m: Machine, value: Any) -> None:
    """Pay for the text of a value; gives up if it contains an address."""
    kind = type(value)
    m.allocate(m.weigh(value))
    if kind in SEQUENCES or kind in MAPPINGS or kind in EXCEPTIONS:
        _shown(value)
    elif kind not in SCALARS and kind not in LEAVES:
        raise GiveUp


def _shown(value: Any) -> None:
    """Give up if its text contains an address."""
    values = list(value.args if type(value) in EXCEPTIONS else value)
    if type(value) in MAPPINGS:
        values.extend(value.values())
    for v in values:
        if type(v) in ITERATORS:
            raise GiveUp
        if type(v) in SEQUENCES or type(v) in MAPPINGS or type(v) in EXCEPTIONS:
            _shown(v)


def formatted(m: Machine, value: Any, spec: str) -> str:
    """`format(value, spec)`."""
    if spec == "":
        return text(m, value)
    kind = type(value)
    if isinstance(value, date):
        return stamp(m, value, spec)
    if _LONG.search(spec) or (kind not in SCALARS and kind not in LEAVES):
        raise GiveUp
    m.allocate(1000 + (len(value) if kind is str else 0))
    return format(value, spec)


def stamp(m: Machine, value: Any, spec: str) -> str:
    """`strftime`."""
    if type(spec) is not str or len(spec) > 100 or not _TIMES.fullmatch(spec) or "\0" in spec or not spec.isascii():
        raise GiveUp
    m.allocate(1000)
    return str(value.strftime(spec))


def parsed(m: Machine, value: Any, spec: Any) -> datetime:
    """`datetime.strptime`, with the usual parts of a date only, because it keeps its formats for later programs."""
    if type(value) is not str or type(spec) is not str or len(value) > 60 or len(spec) > 40:
        raise GiveUp
    if not _PARSED.fullmatch(spec) or not value.isascii():
        raise GiveUp
    m.spend(200)
    return datetime.strptime(value, spec)


def percent(m: Machine, template: str, values: Any) -> None:
    """Pay for `template % values`."""
    if _LONG.search(template):
        raise GiveUp
    for v in values if type(values) is tuple else (values,):
        showable(m, v)
        m.allocate(m.weigh(v) * template.count("%"))
    m.allocate(len(template) + 1000 * template.count("%"))


def fields(m: Machine, template: str, *values: Any, **named: Any) -> str:
    """`str.format`; without attributes, items, or formats within formats."""
    m.allocate(len(template) * 4)
    parts, numbers = [], iter(values)
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError:
        raise GiveUp from None
    names = {name for _, name, _, _ in fields if name is not None}
    if "" in names and any(name[:1].isdigit() for name in names):
        raise GiveUp
    for literal, name, spec, conversion in fields:
        parts.append(literal)
        if name is None:
            continue
        value = _field(name, numbers, values, named)
        if conversion:
            value = text(m, value, converter(ord(conversion)))
        if "{" in (spec or "") or "}" in (spec or ""):
            raise GiveUp
        parts.append(formatted(m, value, spec or ""))
    return "".join(parts)


def _field(name: str, numbers: Iterator[Any], values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    if name == "":
        for value in numbers:
            return value
    elif name.isascii() and name.isdigit() and len(name) < 4 and int(name) < len(values):
        return values[int(name)]
    elif name in named and name.isidentifier():
        return named[name]
    raise GiveUp  # an error, or an attribute or item of the value


_CONVERSIONS: dict[int, Callable[[Any], str]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}


def converter(conversion: int) -> Callable[[Any], str]:
    """The meaning of `!s`, `!r` or `!a`."""
    if conversion not in _CONVERSIONS:
        raise GiveUp
    return _CONVERSIONS[conversion]
