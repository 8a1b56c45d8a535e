"""Functions, classes, and calls of them. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmst.sandbox.guest.calls import attribute, call, method
from mmst.sandbox.guest.expressions import elements
from mmst.sandbox.guest.translate import Assign, Run, Translator, expression, statement
from mmst.sandbox.guest.values import SCALARS, Class, Env, Function, GiveUp, Instance, Module, Native, Signature


@expression(ast.Attribute)
def _attribute(t: Translator, node: ast.Attribute) -> Run:
    value, name, m = t.expression(node.value), node.attr, t.machine
    if name[:2] == "__":
        raise GiveUp
    if name[:1] != "_":
        return lambda env: attribute(m, value(env), name)

    def run_private(env: Env) -> Any:
        owner = value(env)
        if type(owner) is not Instance and type(owner) is not Class:
            raise GiveUp
        return attribute(m, owner, name)

    return run_private


@expression(ast.Call)
def _call(t: Translator, node: ast.Call) -> Run:
    m, function = t.machine, node.func
    if isinstance(function, ast.Attribute) and function.attr[:1] != "_":
        return _method_call(t, node, function)
    callee, arguments, keywords = t.expression(function), elements(t, node.args), _keywords(t, node.keywords)
    if keywords is None:
        return lambda env: call(m, callee(env), arguments(env), {})
    return lambda env: call(m, callee(env), arguments(env), keywords(env))


def _method_call(t: Translator, node: ast.Call, function: ast.Attribute) -> Run:
    m, name = t.machine, function.attr
    owner, arguments, keywords = t.expression(function.value), elements(t, node.args), _keywords(t, node.keywords)

    def run(env: Env) -> Any:
        value = owner(env)
        kind = type(value)
        if kind is Instance or kind is Module or kind is Class or kind is Native:
            callee, first = attribute(m, value, name), []
        else:
            callee, first = method(value, name), [value]
        return call(m, callee, first + arguments(env), keywords(env) if keywords else {})

    return run


def _keywords(t: Translator, nodes: list[ast.keyword]) -> Callable[[Env], dict[str, Any]] | None:
    """Keyword arguments; `**` of a dictionary spread."""
    runs = [(node.arg, t.expression(node.value)) for node in nodes]

    def run(env: Env) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in runs:
            new = value(env) if name is None else {name: value(env)}
            if type(new) is not dict or any(type(key) is not str or key in found for key in new):
                raise GiveUp
            found |= new
        return found

    return run if nodes else None


def _function(
    t: Translator, node: ast.arguments, before: Callable[[], None], inside: Callable[[Signature], Run]
) -> Callable[[Env], Function]:
    """Makes a function: translates the defaults, then the part before the body, then the body."""
    signature = Signature(
        tuple(a.arg for a in node.posonlyargs + node.args),
        len(node.posonlyargs),
        tuple(a.arg for a in node.kwonlyargs),
        node.vararg.arg if node.vararg else None,
        node.kwarg.arg if node.kwarg else None,
    )
    defaults = t.all(node.defaults)
    given = zip(node.kwonlyargs, node.kw_defaults, strict=True)
    named = [(a.arg, t.expression(default)) for a, default in given if default is not None]
    before()
    cost, outside = t.cost, int(t.scopes.in_class)
    body = inside(signature)
    t.cost = cost

    def run(env: Env) -> Function:
        values = tuple([default(env) for default in defaults])
        return Function(signature, body, env[outside:], values, {name: default(env) for name, default in named})

    return run


@expression(ast.Lambda)
def _lambda(t: Translator, node: ast.Lambda) -> Run:
    m = t.machine

    def inside(signature: Signature) -> Run:
        with t.scopes.function("lambda", node.lineno, signature.all):
            t.cost = 1
            value = t.expression(node.body)
            cost = t.cost

        def body(env: Env) -> tuple[Any]:
            m.spend(cost)
            return (value(env),)

        return body

    return _function(t, node.args, lambda: None, inside)


@statement(ast.FunctionDef)
def _define(t: Translator, node: ast.FunctionDef) -> Run:
    if getattr(node, "type_params", None):
        raise GiveUp
    m, scopes = t.machine, t.scopes
    write: Assign
    if scopes.in_class and node.name == "__init__":
        write = _write_init
    else:
        write = t.write(node.name)
    decorators: list[Run] = []
    annotations: list[Run] = []

    def before() -> None:
        a = node.args
        every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x)]
        annotations.extend(_annotation(t, x.annotation) for x in every)
        annotations.append(_annotation(t, node.returns))
        decorators.extend(t.all(node.decorator_list))

    def inside(signature: Signature) -> Run:
        with scopes.function(node.name, node.lineno, signature.all):
            return t.block(node.body)

    make = _function(t, node.args, before, inside)

    def run(env: Env) -> None:
        wrappers = [decorator(env) for decorator in decorators]
        made: Any = make(env)
        for annotation in annotations:
            annotation(env)
        for wrapper in reversed(wrappers):
            made = call(m, wrapper, [made], {})
        write(env, made)

    return run


def _write_init(env: Env, value: Any) -> None:
    env[0]["__init__"] = value


@statement(ast.ClassDef)
def _class(t: Translator, node: ast.ClassDef) -> Run:
    plain = (ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Pass, ast.Expr)
    if node.bases or node.keywords or node.decorator_list or getattr(node, "type_params", None) or t.scopes.in_class:
        raise GiveUp
    if not all(isinstance(s, plain) for s in node.body):
        raise GiveUp
    write = t.write(node.name)
    with t.scopes.class_(node.name, node.lineno):
        body = t.block(node.body)

    def run(env: Env) -> None:
        names: dict[str, Any] = {}
        body((names, *env))
        write(env, Class(names))

    return run


@statement(ast.AnnAssign)
def _annotated(t: Translator, node: ast.AnnAssign) -> Run:
    if not isinstance(node.target, ast.Name):
        raise GiveUp
    evaluated = t.scopes.in_module or t.scopes.in_class
    write, annotation = t.write(node.target.id), _annotation(t, node.annotation)
    value = None if node.value is None else t.expression(node.value)

    def run(env: Env) -> None:
        if value is not None:
            write(env, value(env))
        if evaluated:
            annotation(env)

    return run


def _annotation(t: Translator, node: ast.expr | None) -> Run:
    """Gives up unless CPython would evaluate the annotation without an error."""
    if node is None or (isinstance(node, ast.Constant) and type(node.value) in SCALARS):
        return lambda env: None
    if isinstance(node, ast.Name):
        read = t.read(node.id)

        def name(env: Env) -> Any:
            found = read(env)
            if type(found) is not Class and not (type(found) is Native and found.annotates is not None):
                raise GiveUp
            return found

        return name
    if not isinstance(node, ast.Subscript):
        raise GiveUp
    generic = _annotation(t, node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if not inner or not all(isinstance(n, ast.Name | ast.Subscript) for n in inner):
        raise GiveUp
    parts = [_annotation(t, n) for n in inner]

    def run(env: Env) -> None:
        found: Any = generic(env)
        if type(found) is not Native or found.annotates not in (-1, len(parts)):
            raise GiveUp
        for part in parts:
            bare = part(env)
            if type(bare) is Native and bare.real is None and bare.annotates:
                raise GiveUp  # `Optional` and `Union` cannot stand there without parameters

    return run
