"""Assignment targets. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from typing import Any

from mmst.sandbox.guest.calls import attribute
from mmst.sandbox.guest.operators import at, binary, put, remove
from mmst.sandbox.guest.translate import Assign, Run, Translator, statement
from mmst.sandbox.guest.values import ITERABLES, Class, Env, GiveUp, Instance


def target(t: Translator, node: ast.expr) -> Assign:
    """A name, an element, an attribute, or several of them."""
    m = t.machine
    t.cost += 1
    if isinstance(node, ast.Name):
        return t.write(node.id)
    if isinstance(node, ast.Subscript):
        values, index = t.expression(node.value), t.expression(node.slice)
        return lambda env, value: put(m, values(env), index(env), value)
    if isinstance(node, ast.Attribute):
        owner, name = t.expression(node.value), _own(node.attr)
        return lambda env, value: _set_attribute(owner(env), name, value)
    if isinstance(node, ast.Tuple | ast.List):
        return _unpacked(t, node)
    raise GiveUp


def _own(name: str) -> str:
    """The name of an attribute that a program may set."""
    if name[:2] == "__":
        raise GiveUp
    return name


def _set_attribute(owner: Any, name: str, value: Any) -> None:
    if type(owner) is not Instance and type(owner) is not Class:
        raise GiveUp
    owner.names[name] = value


def _unpacked(t: Translator, node: ast.Tuple | ast.List) -> Assign:
    m, n = t.machine, len(node.elts)
    star = next((i for i, e in enumerate(node.elts) if isinstance(e, ast.Starred)), None)
    targets = [target(t, e.value if isinstance(e, ast.Starred) else e) for e in node.elts]

    def run(env: Env, value: Any) -> None:
        if type(value) not in ITERABLES:
            raise GiveUp
        if star is None:
            m.spend(n)
            found = [v for _, v in zip(range(n + 1), value, strict=False)]
        else:
            found = list(m.source(value))
            m.allocate(32 * len(found))
            if len(found) < n - 1:
                raise GiveUp
            end = len(found) - (n - 1 - star)
            found[star:end] = [found[star:end]]
        if len(found) != n:
            raise GiveUp
        for assign, v in zip(targets, found, strict=True):
            assign(env, v)

    return run


@statement(ast.Assign)
def _assign(t: Translator, node: ast.Assign) -> Run:
    targets, value = [target(t, n) for n in node.targets], t.expression(node.value)
    first = targets[0]

    def run_one(env: Env) -> None:
        first(env, value(env))

    def run(env: Env) -> None:
        result = value(env)
        for assign in targets:
            assign(env, result)

    return run_one if len(targets) == 1 else run


@statement(ast.AugAssign)
def _augmented(t: Translator, node: ast.AugAssign) -> Run:
    m, onto, operate = t.machine, node.target, binary(t.machine, type(node.op), in_place=True)
    if isinstance(onto, ast.Name):
        read, write, value = t.read(onto.id), t.write(onto.id), t.expression(node.value)

        def run_name(env: Env) -> None:
            before = read(env)
            write(env, operate(before, value(env)))

        return run_name
    owner = t.expression(onto.value)
    if isinstance(onto, ast.Attribute):
        name, value = _own(onto.attr), t.expression(node.value)

        def run_attribute(env: Env) -> None:
            o = owner(env)
            if type(o) is not Instance and type(o) is not Class:
                raise GiveUp
            before = attribute(m, o, name)
            _set_attribute(o, name, operate(before, value(env)))

        return run_attribute
    index, value = t.expression(onto.slice), t.expression(node.value)

    def run(env: Env) -> None:
        o, i = owner(env), index(env)
        before = at(m, o, i)
        put(m, o, i, operate(before, value(env)))

    return run


@statement(ast.Delete)
def _delete(t: Translator, node: ast.Delete) -> Run:
    runs = [_deleted(t, n) for n in node.targets]

    def run(env: Env) -> None:
        for one in runs:
            one(env)

    return run


def _deleted(t: Translator, node: ast.expr) -> Run:
    m = t.machine
    if isinstance(node, ast.Name):
        return t.unbind(node.id)
    if not isinstance(node, ast.Subscript):
        raise GiveUp
    values, index = t.expression(node.value), t.expression(node.slice)
    return lambda env: remove(m, values(env), index(env))
