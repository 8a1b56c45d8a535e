"""Comprehensions and generator expressions. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from mmst.sandbox.guest.expressions import constant_set
from mmst.sandbox.guest.machine import Machine
from mmst.sandbox.guest.operators import stable
from mmst.sandbox.guest.scopes import bound
from mmst.sandbox.guest.targets import target
from mmst.sandbox.guest.translate import Assign, Run, Translator, expression
from mmst.sandbox.guest.values import ITERATORS, SCALARS, Env, GiveUp

_FIRST = ".0"
"""CPython's name for the values of the outermost `for`, which are evaluated outside."""
_Add = Callable[[Env, Any], None]
_Part = tuple[Run, Assign, list[Run]]
"""Of one `for`: its values, its target, its tests."""


def iterable(t: Translator, node: ast.expr) -> Run:
    """The values to iterate over: a set display of constants is a frozen set there."""
    constant = constant_set(node) if isinstance(node, ast.Set) else None
    return t.expression(node) if constant is None else lambda env: constant


def _parts(t: Translator, nodes: list[ast.comprehension]) -> list[_Part]:
    found: list[_Part] = []
    for i, node in enumerate(nodes):
        if node.is_async:
            raise GiveUp
        assign = target(t, node.target)
        found.append((iterable(t, node.iter) if i else _first, assign, t.all(node.ifs)))
    return found


def _first(env: Env) -> Any:
    return env[0][_FIRST]


def _comprehension(
    t: Translator, node: ast.ListComp | ast.SetComp | ast.DictComp, name: str, make: Callable[[], Any],
    inside: Callable[[], _Add],
) -> Run:  # fmt: skip
    m, first = t.machine, iterable(t, node.generators[0].iter)
    before, t.cost = t.cost, 1
    with t.scopes.comprehension(name, node.lineno, bound([g.target for g in node.generators])):
        parts = _parts(t, node.generators)
        add = inside()
    cost, t.cost = t.cost, before
    for part in reversed(parts):
        add = _loop(m, part, cost, add)

    def run(env: Env) -> Any:
        found, inside = make(), ({_FIRST: iter(first(env))}, *env)
        m.enter()
        try:
            add(inside, found)
        finally:
            m.depth -= 1
        return found

    return run


def _loop(m: Machine, part: _Part, cost: int, inner: _Add) -> _Add:
    values, assign, tests = part

    def run(env: Env, found: Any) -> None:
        for value in values(env):
            m.spend(cost)
            assign(env, value)
            for test in tests:
                if not test(env):
                    break
            else:
                inner(env, found)

    return run


@expression(ast.ListComp)
def _list(t: Translator, node: ast.ListComp) -> Run:
    def inside() -> _Add:
        element = t.expression(node.elt)
        return lambda env, found: found.append(element(env))

    return _comprehension(t, node, "listcomp", list, inside)


@expression(ast.SetComp)
def _set(t: Translator, node: ast.SetComp) -> Run:
    def inside() -> _Add:
        element, m = t.expression(node.elt), t.machine
        return lambda env, found: found.add(stable(m, element(env)))

    return _comprehension(t, node, "setcomp", set, inside)


@expression(ast.DictComp)
def _dict(t: Translator, node: ast.DictComp) -> Run:
    def inside() -> _Add:
        value = t.expression(node.value)  # before the key, as in the symbol tables
        key, m = t.expression(node.key), t.machine

        def add(env: Env, found: Any) -> None:
            k, v = key(env), value(env)
            if type(k) not in SCALARS:
                m.weigh(k)
            found[k] = v

        return add

    return _comprehension(t, node, "dictcomp", dict, inside)


@expression(ast.GeneratorExp)
def _generator(t: Translator, node: ast.GeneratorExp) -> Run:
    if t.scopes.in_class:
        raise GiveUp
    m, first = t.machine, iterable(t, node.generators[0].iter)
    before, t.cost = t.cost, 1
    with t.scopes.function("genexpr", node.lineno, {_FIRST}):
        parts = _parts(t, node.generators)
        element = t.expression(node.elt)
    cost, t.cost = t.cost, before
    inner: Callable[[Env], Iterator[Any]] | None = None
    for part in reversed(parts):
        inner = _yielding(m, part, cost, element, inner)
    outermost = inner
    assert outermost is not None

    def run(env: Env) -> Any:
        values = first(env)
        return outermost(({_FIRST: iter(m.lasting(values) if type(values) in ITERATORS else values)}, *env))

    return run


def _yielding(
    m: Machine, part: _Part, cost: int, element: Run, inner: Callable[[Env], Iterator[Any]] | None
) -> Callable[[Env], Iterator[Any]]:
    values, assign, tests = part

    def run(env: Env) -> Iterator[Any]:
        for value in values(env):
            m.spend(cost)
            assign(env, value)
            for test in tests:
                if not test(env):
                    break
            else:
                if inner is None:
                    yield element(env)
                else:
                    yield from inner(env)

    return run
