"""Calls: of the program's functions and classes, of built-ins, and of methods of plain values.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmst.sandbox.guest.machine import Machine
from mmst.sandbox.guest.methods import ATTRIBUTES, METHODS
from mmst.sandbox.guest.values import REAL, Bound, Cached, Class, Function, GiveUp, Instance, Module, Native, Opaque


def call(m: Machine, callee: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """`callee(*arguments, **keywords)`; gives up if it is not a callable of ours or the arguments do not fit."""
    kind = type(callee)
    if kind is Native:
        if not callee.least <= len(arguments) <= callee.most:
            raise GiveUp
        if keywords:
            code = callee.run.__code__
            taken = code.co_varnames[: min(code.co_argcount, 1 + len(arguments))]
            if (callee.keywords is not None and not callee.keywords.issuperset(keywords)) or any(
                k in taken for k in keywords
            ):
                raise GiveUp
        return callee.run(m, *arguments, **keywords)
    if kind is Bound:
        return call(m, callee.callee, [callee.owner, *arguments], keywords)
    m.enter()
    m.spend(1)
    try:
        if kind is Function:
            returned = callee.body((bind(callee, arguments, keywords), *callee.around))
            return None if returned is None else returned[0]
        if kind is Cached:
            for v in arguments:
                m.weigh(v)
            return callee.real(*arguments, **keywords)
        if kind is Class:
            return _instance(m, callee, arguments, keywords)
    finally:
        m.depth -= 1
    raise GiveUp


def bind(function: Function, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """The parameters' values."""
    s, n = function.signature, len(arguments)
    names = dict(zip(s.names, arguments, strict=False))
    if n == len(s.names) and not keywords and s.simple:
        return names
    if s.rest is not None:
        names[s.rest] = tuple(arguments[len(s.names) :])
    elif n > len(s.names):
        raise GiveUp
    others: dict[str, Any] = {}
    for name, value in keywords.items():
        if name in s.names[s.positional_only :] or name in s.keyword_only:
            if name in names:
                raise GiveUp
            names[name] = value
        else:
            others[name] = value
    if s.keywords is not None:
        names[s.keywords] = others
    elif others:
        raise GiveUp
    for name, value in zip(reversed(s.names), reversed(function.defaults), strict=False):
        names.setdefault(name, value)
    for name in s.keyword_only:
        if name not in names and name in function.keyword_defaults:
            names[name] = function.keyword_defaults[name]
    if not all(name in names for name in (*s.names, *s.keyword_only)):
        raise GiveUp
    return names


def _instance(m: Machine, kind: Class, arguments: list[Any], keywords: dict[str, Any]) -> Instance:
    made = Instance(kind, {})
    make = kind.names.get("__init__")
    if make is None:
        if arguments or keywords:
            raise GiveUp
    elif type(make) is not Function or call(m, make, [made, *arguments], keywords) is not None:
        raise GiveUp
    return made


def attribute(m: Machine, owner: Any, name: str) -> Any:
    """`owner.name`, for values that have attributes here."""
    kind = type(owner)
    if kind is Instance:
        if name in owner.names:
            return owner.names[name]
        value = _member(owner.kind.names, name)
        if isinstance(value, Opaque) and type(value) not in (Function, Cached, Class, Instance):
            raise GiveUp  # some built-ins become methods of it, some do not
        return Bound(value, owner) if type(value) in (Function, Cached) else value
    if kind is Class:
        return _member(owner.names, name)
    if kind is Module or kind is Native:
        return _member(owner.members, name)
    if (kind, name) in ATTRIBUTES:
        return ATTRIBUTES[kind, name](owner)
    return Bound(method(owner, name), owner)


def method(owner: Any, name: str) -> Native:
    """The method of a plain value."""
    found = METHODS.get((type(owner), name))
    if found is None:
        raise GiveUp
    return found


def _member(members: dict[str, Any], name: str) -> Any:
    if name not in members:
        raise GiveUp
    return members[name]


def callback(m: Machine, callee: Any) -> Callable[..., Any]:
    """A program's callable for CPython's own code to call; each call and its result are paid for."""

    def back(*arguments: Any, **keywords: Any) -> Any:
        m.spend(2)
        result = call(m, callee, list(arguments), keywords)
        if type(result) not in REAL:
            m.weigh(result)
        return result

    return back
