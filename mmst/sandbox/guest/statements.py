"""Branches, loops, errors, imports. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmst.sandbox.guest.comprehensions import iterable
from mmst.sandbox.guest.library import MODULES
from mmst.sandbox.guest.targets import target
from mmst.sandbox.guest.translate import BREAK, CONTINUE, STATEMENTS, Run, Translator, statement
from mmst.sandbox.guest.values import EXCEPTIONS, SCALARS, Env, GiveUp, Module, Native

_Handler = tuple[Callable[[Env, Exception], bool], Callable[[Env, Exception], Any]]


def _nothing(t: Translator, node: ast.stmt) -> None:
    return None


STATEMENTS |= {ast.Pass: _nothing, ast.Global: _nothing, ast.Nonlocal: _nothing}


@statement(ast.Expr)
def _expr(t: Translator, node: ast.Expr) -> Run | None:
    if isinstance(node.value, ast.Constant):
        return None
    value = t.expression(node.value)

    def run(env: Env) -> None:
        value(env)

    return run


def _else(t: Translator, nodes: list[ast.stmt]) -> Run:
    return t.block(nodes) if nodes else lambda env: None


@statement(ast.If)
def _if(t: Translator, node: ast.If) -> Run:
    test, body, other = t.expression(node.test), t.block(node.body), _else(t, node.orelse)
    return lambda env: body(env) if test(env) else other(env)


@statement(ast.While)
def _while(t: Translator, node: ast.While) -> Run:
    m, before = t.machine, t.cost
    test = t.expression(node.test)
    cost, body, other = t.cost - before, t.block(node.body), _else(t, node.orelse)

    def run(env: Env) -> Any:
        while test(env):
            m.spend(cost)
            ended = body(env)
            if ended is not None and ended is not CONTINUE:
                return None if ended is BREAK else ended
        return other(env)

    return run


@statement(ast.For)
def _for(t: Translator, node: ast.For) -> Run:
    assign, values = target(t, node.target), iterable(t, node.iter)
    body, other = t.block(node.body), _else(t, node.orelse)

    def run(env: Env) -> Any:
        for value in values(env):
            assign(env, value)
            ended = body(env)
            if ended is not None and ended is not CONTINUE:
                return None if ended is BREAK else ended
        return other(env)

    return run


@statement(ast.Break)
def _break(t: Translator, node: ast.Break) -> Run:
    return lambda env: BREAK


@statement(ast.Continue)
def _continue(t: Translator, node: ast.Continue) -> Run:
    return lambda env: CONTINUE


@statement(ast.Return)
def _return(t: Translator, node: ast.Return) -> Run:
    if node.value is None:
        return lambda env: (None,)
    value = t.expression(node.value)
    return lambda env: (value(env),)


def _module(name: str) -> Module:
    if name not in MODULES:
        raise GiveUp
    return MODULES[name]


def _imported(t: Translator, found: list[tuple[str, Any]]) -> Run:
    pairs = [(t.write(name), value) for name, value in found]

    def run(env: Env) -> None:
        for write, value in pairs:
            write(env, value)

    return run


@statement(ast.Import)
def _import(t: Translator, node: ast.Import) -> Run:
    return _imported(t, [(a.asname or a.name, _module(a.name)) for a in node.names])


@statement(ast.ImportFrom)
def _import_from(t: Translator, node: ast.ImportFrom) -> Run:
    if node.level or node.module is None:
        raise GiveUp
    members = _module(node.module).members
    if not all(a.name in members for a in node.names):
        raise GiveUp
    return _imported(t, [(a.asname or a.name, members[a.name]) for a in node.names])


@statement(ast.Raise)
def _raise(t: Translator, node: ast.Raise) -> Run:
    if node.exc is None or node.cause is not None:
        raise GiveUp
    value = t.expression(node.exc)

    def run(env: Env) -> Any:
        error = value(env)
        if type(error) is Native and error.real in EXCEPTIONS:
            error = error.real()
        if type(error) not in EXCEPTIONS:
            raise GiveUp
        raise error

    return run


@statement(ast.Assert)
def _assert(t: Translator, node: ast.Assert) -> Run:
    test = t.expression(node.test)
    message = None if node.msg is None else t.expression(node.msg)

    def run(env: Env) -> None:
        if test(env):
            return
        found = [] if message is None else [message(env)]
        if not all(type(v) in SCALARS for v in found):
            raise GiveUp
        raise AssertionError(*found)

    return run


def _catchable(error: Exception) -> Exception:
    """An error that CPython raises too; its frames are dropped."""
    if type(error) not in EXCEPTIONS or any(type(a) is str and " at 0x" in a for a in error.args):
        raise GiveUp  # none of CPython's operators', or a message with an address
    return error.with_traceback(None)


@statement(ast.Try)
def _try(t: Translator, node: ast.Try) -> Run:
    body, other = t.block(node.body), _else(t, node.orelse)
    handlers = [_handler(t, h) for h in node.handlers]

    def handled(env: Env) -> Any:
        try:
            ended = body(env)
        except Exception as e:
            error = _catchable(e)
            for handles, handle in handlers:
                if handles(env, error):
                    return handle(env, error)
            raise
        return other(env) if ended is None else ended

    if not node.finalbody:
        return handled
    final = t.block(node.finalbody)

    def run(env: Env) -> Any:
        error = None
        try:
            ended = handled(env)
        except Exception as e:
            error = _catchable(e)
        last = final(env)
        if last is not None:
            return last
        if error is not None:
            raise error
        return ended

    return run


def _handler(t: Translator, node: ast.ExceptHandler) -> _Handler:
    kinds = None if node.type is None else t.expression(node.type)
    write = unbind = None
    if node.name:
        write, unbind = t.write(node.name), t.unbind(node.name, missing=True)
    block = t.block(node.body)

    def handles(env: Env, error: Exception) -> bool:
        if kinds is None:
            return True
        found = kinds(env)
        several = found if type(found) is tuple else (found,)
        if not all(type(kind) is Native and kind.real in EXCEPTIONS for kind in several):
            raise GiveUp
        return isinstance(error, tuple(kind.real for kind in several))

    def handle(env: Env, error: Exception) -> Any:
        if write is None or unbind is None:
            return block(env)
        write(env, error)
        try:
            return block(env)
        finally:
            unbind(env)

    return handles, handle
