"""Operators, displays, subscripts, formatted texts. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmst.sandbox.guest.operators import at, binary, comparison, stable, unary
from mmst.sandbox.guest.texts import converter, formatted, text
from mmst.sandbox.guest.translate import Run, Translator, expression
from mmst.sandbox.guest.values import ITERABLES, MAPPINGS, SCALARS, Env, GiveUp


@expression(ast.Constant)
def _constant(t: Translator, node: ast.Constant) -> Run:
    value = node.value
    if type(value) not in SCALARS and type(value) is not complex:
        raise GiveUp
    return lambda env: value


@expression(ast.Name)
def _name(t: Translator, node: ast.Name) -> Run:
    return t.read(node.id)


@expression(ast.NamedExpr)
def _named(t: Translator, node: ast.NamedExpr) -> Run:
    value, assign = t.expression(node.value), t.write(node.target.id)

    def run(env: Env) -> Any:
        result = value(env)
        assign(env, result)
        return result

    return run


@expression(ast.BinOp)
def _binary(t: Translator, node: ast.BinOp) -> Run:
    left, right, operate = t.expression(node.left), t.expression(node.right), binary(t.machine, type(node.op))
    return lambda env: operate(left(env), right(env))


@expression(ast.UnaryOp)
def _unary(t: Translator, node: ast.UnaryOp) -> Run:
    operand = t.expression(node.operand)
    if type(node.op) is ast.Not:
        return lambda env: not operand(env)
    operate = unary(type(node.op))
    return lambda env: operate(operand(env))


@expression(ast.BoolOp)
def _boolean(t: Translator, node: ast.BoolOp) -> Run:
    values, last_if = t.all(node.values), type(node.op) is ast.Or

    def run(env: Env) -> Any:
        for value in values:
            result = value(env)
            if bool(result) is last_if:
                break
        return result

    return run


@expression(ast.Compare)
def _compare(t: Translator, node: ast.Compare) -> Run:
    left, rights = t.expression(node.left), t.all(node.comparators)
    steps = list(zip([comparison(t.machine, type(op)) for op in node.ops], rights, strict=True))
    if len(steps) == 1:
        compare, right = steps[0]
        return lambda env: compare(left(env), right(env))

    def run(env: Env) -> Any:
        value, result = left(env), True
        for compare, right in steps:
            other = right(env)
            result = compare(value, other)
            if not result:
                break
            value = other
        return result

    return run


@expression(ast.IfExp)
def _if_else(t: Translator, node: ast.IfExp) -> Run:
    test, body, other = t.expression(node.test), t.expression(node.body), t.expression(node.orelse)
    return lambda env: body(env) if test(env) else other(env)


def elements(t: Translator, nodes: list[ast.expr]) -> Callable[[Env], list[Any]]:
    """The values of a display or of positional arguments, with starred ones expanded."""
    m = t.machine
    starred = [isinstance(n, ast.Starred) for n in nodes]
    runs = [t.expression(n.value if isinstance(n, ast.Starred) else n) for n in nodes]
    if not any(starred):
        return lambda env: [run(env) for run in runs]

    def spread(env: Env) -> list[Any]:
        found: list[Any] = []
        for run, many in zip(runs, starred, strict=True):
            value = run(env)
            if not many:
                found.append(value)
            elif type(value) in ITERABLES:
                found.extend(m.source(value))
            else:
                raise GiveUp
        m.allocate(16 * len(found))
        return found

    return spread


@expression(ast.List)
def _list(t: Translator, node: ast.List) -> Run:
    return elements(t, node.elts)


@expression(ast.Tuple)
def _tuple(t: Translator, node: ast.Tuple) -> Run:
    values = elements(t, node.elts)
    return lambda env: tuple(values(env))


@expression(ast.Set)
def _set(t: Translator, node: ast.Set) -> Run:
    m, constant = t.machine, constant_set(node)
    if constant is not None and len(node.elts) > 2:

        def copied(env: Env) -> Any:
            copy = set[Any]()
            copy.update(constant)
            return copy

        return copied
    values = t.all(node.elts)

    def run(env: Env) -> Any:
        found = set()
        for value in [value(env) for value in values]:
            found.add(stable(m, value))
        return found

    return run


def constant_set(node: ast.Set) -> frozenset[Any] | None:
    """The frozen set that CPython makes of a display of constants; None if they are not constants.

    How often it is made anew from itself depends on which texts are interned, and each time may change its order.
    """
    values = []
    for element in node.elts:
        if any(isinstance(n, ast.Name | ast.Call) for n in ast.walk(element)):
            return None
        negative = isinstance(element, ast.UnaryOp) and type(element.op) is ast.USub
        value = element.operand if isinstance(element, ast.UnaryOp) and negative else element
        if not isinstance(value, ast.Constant) or type(value.value) not in (int, float, *((str,) * (not negative))):
            raise GiveUp  # folded or not, who knows
        values.append(-value.value if negative else value.value)  # type: ignore[operator]
    found = frozenset(values)
    if list(frozenset(list(found))) != list(found):
        raise GiveUp
    return found


@expression(ast.Dict)
def _dict(t: Translator, node: ast.Dict) -> Run:
    m = t.machine
    keys = [None if key is None else t.expression(key) for key in node.keys]  # all before the values, as scopes are
    pairs = list(zip(keys, t.all(node.values), strict=True))

    def run(env: Env) -> Any:
        found: dict[Any, Any] = {}
        for key, value in pairs:
            if key is not None:
                k, v = key(env), value(env)
                if type(k) not in SCALARS:
                    m.weigh(k)
                found[k] = v
                continue
            other = value(env)
            if type(other) not in MAPPINGS:
                raise GiveUp
            m.allocate(16 * m.weigh(other))
            found.update(other)
        return found

    return run


@expression(ast.Subscript)
def _subscript(t: Translator, node: ast.Subscript) -> Run:
    m, value, index = t.machine, t.expression(node.value), t.expression(node.slice)
    return lambda env: at(m, value(env), index(env))


@expression(ast.Slice)
def _slice(t: Translator, node: ast.Slice) -> Run:
    parts = [t.expression(n) if n is not None else None for n in (node.lower, node.upper, node.step)]
    return lambda env: slice(*[None if part is None else part(env) for part in parts])


@expression(ast.JoinedStr)
def _joined(t: Translator, node: ast.JoinedStr) -> Run:
    parts, m = t.all(node.values), t.machine

    def run(env: Env) -> str:
        texts = [part(env) for part in parts]
        m.allocate(4 * sum(map(len, texts)))
        return "".join(texts)

    return run


@expression(ast.FormattedValue)
def _formatted(t: Translator, node: ast.FormattedValue) -> Run:
    value, m = t.expression(node.value), t.machine
    spec = None if node.format_spec is None else t.expression(node.format_spec)
    convert = None if node.conversion == -1 else converter(node.conversion)

    def run(env: Env) -> str:
        result = value(env)
        form = "" if spec is None else spec(env)  # before the conversion, as in CPython
        if convert is not None:
            result = text(m, result, convert)
        return formatted(m, result, form)

    return run
