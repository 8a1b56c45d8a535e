"""Expressions: each node of the list below becomes a function of the names; a text with any other is given up.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from mmst.inside.calls import attribute, call, method
from mmst.inside.functions import BUILTINS
from mmst.inside.machine import Machine
from mmst.inside.operators import at, binary, comparison, stable, unary
from mmst.inside.scopes import GLOBAL, Scopes, bound
from mmst.inside.texts import converter, formatted, text
from mmst.inside.values import (
    ITERABLES, ITERATORS, MAPPINGS, SCALARS, Class, Env, Function, GiveUp, Instance, Module, Native, Signature,
)  # fmt: skip

Run = Callable[[Env], Any]
Assign = Callable[[Env, Any], None]
_NESTING = 80
_MISSING = object()
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class Expressions:
    """Translates expressions. `cost` counts the nodes since whoever pays for them set it to 0."""

    def __init__(self, machine: Machine, source: bytes) -> None:
        self.machine, self.scopes, self.cost, self._nesting = machine, Scopes(source), 0, 0

    def expression(self, node: ast.expr) -> Run:
        """A node as a function of the names."""
        translate = _EXPRESSIONS.get(type(node))
        self.cost += 1
        self._nesting += 1
        if translate is None or self._nesting > _NESTING:
            raise GiveUp
        run = translate(self, node)
        self._nesting -= 1
        return run

    def all(self, nodes: list[ast.expr]) -> list[Run]:
        """Nodes, none of them starred."""
        return [self.expression(node) for node in nodes]

    def constant(self, node: ast.Constant) -> Run:
        value = node.value
        if type(value) not in SCALARS and type(value) is not complex:
            raise GiveUp
        return lambda env: value

    def name(self, node: ast.Name) -> Run:
        return self.read(node.id)

    def read(self, name: str) -> Run:
        """A name's value; gives up where CPython raises."""
        names = self.machine.names
        if name[:2] == "__" and (name != "__name__" or not self.scopes.in_module):
            raise GiveUp
        level = self.scopes.level(name)
        builtin = BUILTINS.get(name, _MISSING) if name != "__name__" else "__main__"

        def global_(env: Env) -> Any:
            value = names.get(name, builtin)
            if value is _MISSING:
                raise GiveUp
            return value

        if level == GLOBAL:
            return global_
        if self.scopes.in_class:

            def in_class(env: Env) -> Any:
                value = env[level].get(name, _MISSING)
                if value is not _MISSING:
                    return value
                if level:
                    raise GiveUp
                return global_(env)

            return in_class

        def local(env: Env) -> Any:
            value = env[level].get(name, _MISSING)
            if value is _MISSING:
                raise GiveUp
            return value

        return local

    def write(self, name: str) -> Assign:
        """Binds a name."""
        if name[:2] == "__":
            raise GiveUp
        level, names = self.scopes.level(name), self.machine.names
        if level == GLOBAL:

            def bind_global(env: Env, value: Any) -> None:
                names[name] = value

            return bind_global

        def bind(env: Env, value: Any) -> None:
            env[level][name] = value

        return bind

    def named(self, node: ast.NamedExpr) -> Run:
        value = self.expression(node.value)
        assert isinstance(node.target, ast.Name)
        assign = self.write(node.target.id)

        def run(env: Env) -> Any:
            result = value(env)
            assign(env, result)
            return result

        return run

    def binary(self, node: ast.BinOp) -> Run:
        if type(node.op) is ast.MatMult:
            raise GiveUp
        left, right = self.expression(node.left), self.expression(node.right)
        operate = binary(self.machine, type(node.op))
        return lambda env: operate(left(env), right(env))

    def unary(self, node: ast.UnaryOp) -> Run:
        operand = self.expression(node.operand)
        if type(node.op) is ast.Not:
            return lambda env: not operand(env)
        operate = unary(type(node.op))
        return lambda env: operate(operand(env))

    def boolean(self, node: ast.BoolOp) -> Run:
        values, stop_at = self.all(node.values), type(node.op) is ast.Or

        def run(env: Env) -> Any:
            for value in values:
                result = value(env)
                if bool(result) is stop_at:
                    return result
            return result

        return run

    def compare(self, node: ast.Compare) -> Run:
        left, rights = self.expression(node.left), self.all(node.comparators)
        steps = list(zip([comparison(self.machine, type(op)) for op in node.ops], rights, strict=True))
        if len(steps) == 1:
            compare, right = steps[0]
            return lambda env: compare(left(env), right(env))

        def run(env: Env) -> Any:
            value, result = left(env), True
            for compare, right in steps:
                other = right(env)
                result = compare(value, other)
                if not result:
                    return result
                value = other
            return result

        return run

    def if_else(self, node: ast.IfExp) -> Run:
        test, body, other = self.expression(node.test), self.expression(node.body), self.expression(node.orelse)
        return lambda env: body(env) if test(env) else other(env)

    def elements(self, nodes: list[ast.expr]) -> Callable[[Env], list[Any]]:
        """The values of a display or of positional arguments, starred ones spread."""
        m = self.machine
        runs = [
            (self.expression(n.value), True) if isinstance(n, ast.Starred) else (self.expression(n), False)
            for n in nodes
        ]
        if not any(starred for _, starred in runs):
            plain = [run for run, _ in runs]
            return lambda env: [run(env) for run in plain]

        def spread(env: Env) -> list[Any]:
            found: list[Any] = []
            for run, starred in runs:
                if starred:
                    values = run(env)
                    if type(values) not in ITERABLES:
                        raise GiveUp
                    found.extend(m.source(values))
                else:
                    found.append(run(env))
            m.allocate(16 * len(found))
            return found

        return spread

    def list(self, node: ast.List) -> Run:
        return self.elements(node.elts)

    def tuple(self, node: ast.Tuple) -> Run:
        elements = self.elements(node.elts)
        return lambda env: tuple(elements(env))

    def set(self, node: ast.Set) -> Run:
        m = self.machine
        if any(isinstance(e, ast.Starred) for e in node.elts):
            raise GiveUp
        if (constant := _constant_set(node)) is not None and len(node.elts) > 2:

            def copied(env: Env) -> Any:
                copy = set[Any]()
                copy.update(constant)
                return copy

            return copied
        elements = self.all(node.elts)

        def run(env: Env) -> Any:
            values, found = [element(env) for element in elements], set()
            for value in values:
                found.add(stable(m, value))
            return found

        return run

    def dict(self, node: ast.Dict) -> Run:
        m = self.machine
        pairs = [
            (None if key is None else self.expression(key), self.expression(value))
            for key, value in zip(node.keys, node.values, strict=True)
        ]

        def run(env: Env) -> Any:
            found: dict[Any, Any] = {}
            for key, value in pairs:
                if key is not None:
                    k = key(env)
                    v = value(env)
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

    def attribute(self, node: ast.Attribute) -> Run:
        if node.attr[:1] == "_":
            return self._private(node)
        value, name, m = self.expression(node.value), node.attr, self.machine
        return lambda env: attribute(m, value(env), name)

    def _private(self, node: ast.Attribute) -> Run:
        """`self._x`: of objects of the program only, whose names are the program's."""
        if node.attr[:2] == "__":
            raise GiveUp
        value, name, m = self.expression(node.value), node.attr, self.machine

        def run(env: Env) -> Any:
            owner = value(env)
            if type(owner) is not Instance and type(owner) is not Class:
                raise GiveUp
            return attribute(m, owner, name)

        return run

    def subscript(self, node: ast.Subscript) -> Run:
        value, index, m = self.expression(node.value), self.expression(node.slice), self.machine
        return lambda env: at(m, value(env), index(env))

    def slice(self, node: ast.Slice) -> Run:
        parts = [self.expression(n) if n is not None else None for n in (node.lower, node.upper, node.step)]
        return lambda env: slice(*[None if part is None else part(env) for part in parts])

    def call(self, node: ast.Call) -> Run:
        m = self.machine
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr[:1] != "_":
            return self._method_call(node, function)
        callee, arguments, keywords = self.expression(function), self.elements(node.args), self.keywords(node.keywords)
        if keywords is None:
            return lambda env: call(m, callee(env), arguments(env), {})
        return lambda env: call(m, callee(env), arguments(env), keywords(env))

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Run:
        m, name = self.machine, function.attr
        owner, arguments, keywords = (
            self.expression(function.value),
            self.elements(node.args),
            self.keywords(node.keywords),
        )

        def run(env: Env) -> Any:
            value = owner(env)
            kind = type(value)
            if kind is Instance or kind is Module or kind is Class or kind is Native:
                return call(m, attribute(m, value, name), arguments(env), keywords(env) if keywords else {})
            native = method(value, name)
            return call(m, native, [value, *arguments(env)], keywords(env) if keywords else {})

        return run

    def keywords(self, nodes: list[ast.keyword]) -> Callable[[Env], dict[str, Any]] | None:
        """Keyword arguments; `**` of a dictionary spread."""
        if not nodes:
            return None
        runs = [(node.arg, self.expression(node.value)) for node in nodes]

        def run(env: Env) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for name, value in runs:
                new = value(env)
                if name is None and type(new) is not dict:
                    raise GiveUp
                for key, v in [(name, new)] if name is not None else list(new.items()):
                    if key in found or type(key) is not str:
                        raise GiveUp
                    found[key] = v
            return found

        return run

    def joined(self, node: ast.JoinedStr) -> Run:
        parts, m = self.all(node.values), self.machine

        def run(env: Env) -> str:
            texts = [part(env) for part in parts]
            m.allocate(sum(map(len, texts)))
            return "".join(texts)

        return run

    def formatted(self, node: ast.FormattedValue) -> Run:
        value, m = self.expression(node.value), self.machine
        spec = None if node.format_spec is None else self.expression(node.format_spec)
        convert = None if node.conversion == -1 else converter(node.conversion)

        def run(env: Env) -> str:
            result = value(env)
            if convert is not None:
                result = text(m, result, convert)
            return formatted(m, result, "" if spec is None else spec(env))

        return run

    def parameters(self, node: ast.arguments) -> Signature:
        """The parameters, without what stands behind them."""
        positional = node.posonlyargs + node.args
        return Signature(
            tuple(a.arg for a in positional),
            len(node.posonlyargs),
            tuple(a.arg for a in node.kwonlyargs),
            node.vararg.arg if node.vararg else None,
            node.kwarg.arg if node.kwarg else None,
        )

    def function(
        self, arguments: ast.arguments, before: Callable[[], None], inside: Callable[[Signature], Callable[[Env], Any]]
    ) -> Callable[[Env], Function]:
        """What makes a function: defaults are translated, then what comes before the body, then the body."""
        signature = self.parameters(arguments)
        defaults = self.all(arguments.defaults)
        keyword = [
            (a.arg, self.expression(d))
            for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if d is not None
        ]
        before()
        cost, skip = self.cost, int(self.scopes.in_class)
        body = inside(signature)
        self.cost = cost

        def run(env: Env) -> Function:
            values = tuple([default(env) for default in defaults])
            named = {name: default(env) for name, default in keyword}
            return Function(signature, body, env[skip:], values, named)

        return run

    def lambda_(self, node: ast.Lambda) -> Run:
        m = self.machine

        def inside(signature: Signature) -> Callable[[Env], Any]:
            with self.scopes.function("lambda", node.lineno, signature.all):
                self.cost = 1
                value = self.expression(node.body)
                cost = self.cost

            def body(env: Env) -> tuple[Any]:
                m.spend(cost)
                return (value(env),)

            return body

        return self.function(node.args, lambda: None, inside)

    def target(self, node: ast.expr) -> Assign:
        """What a value is assigned to."""
        raise NotImplementedError

    def comprehension(self, node: _Comprehension) -> Run:
        name = {ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp"}[type(node)]
        m, first = self.machine, self.iterable(node.generators[0].iter)
        before = self.cost
        with self.scopes.comprehension(name, node.lineno, bound([g.target for g in node.generators])):
            generators = self.generators(node.generators)
            add: Callable[[Env, Any], None]
            if isinstance(node, ast.DictComp):
                value = self.expression(node.value)
                key = self.expression(node.key)

                def add_pair(env: Env, found: Any) -> None:
                    k = key(env)
                    v = value(env)
                    if type(k) not in SCALARS:
                        m.weigh(k)
                    found[k] = v

                make, add = dict, add_pair
            else:
                assert not isinstance(node, ast.GeneratorExp)
                element = self.expression(node.elt)
                if isinstance(node, ast.ListComp):
                    make, add = list, lambda env, found: found.append(element(env))
                else:
                    make, add = set, lambda env, found: found.add(stable(m, element(env)))
        cost, self.cost = self.cost - before, before
        for source, assign, tests in reversed(generators):
            add = _loop(m, source, assign, tests, cost, add)

        def run(env: Env) -> Any:
            found = make()
            add(({_FIRST: iter(first(env))}, *env), found)
            return found

        return run

    def iterable(self, node: ast.expr) -> Run:
        """What is iterated over."""
        constant = _constant_set(node) if isinstance(node, ast.Set) else None
        return self.expression(node) if constant is None else lambda env: constant

    def generators(self, nodes: list[ast.comprehension]) -> list[tuple[Run, Assign, list[Run]]]:
        """Of each `for`: its values, its target, its tests. The values of the first are in the scope's own names."""
        found = []
        for i, node in enumerate(nodes):
            if node.is_async:
                raise GiveUp
            if i == 0:
                assign = self.target(node.target)
                found.append((_first, assign, self.all(node.ifs)))
            else:
                assign = self.target(node.target)
                source = self.iterable(node.iter)
                found.append((source, assign, self.all(node.ifs)))
        return found

    def generator(self, node: ast.GeneratorExp) -> Run:
        if self.scopes.in_class:
            raise GiveUp
        m, first = self.machine, self.iterable(node.generators[0].iter)
        before = self.cost
        with self.scopes.function("genexpr", node.lineno, {".0"}):
            generators = self.generators(node.generators)
            element = self.expression(node.elt)
        cost, self.cost = self.cost - before, before

        def innermost(env: Env) -> Iterator[Any]:
            yield element(env)

        inner: Callable[[Env], Iterator[Any]] = innermost
        for source, assign, tests in reversed(generators):
            inner = _yielding(m, source, assign, tests, cost, element if inner is innermost else None, inner)

        def run(env: Env) -> Any:
            values = first(env)
            if type(values) in ITERATORS:
                values = m.source(values)
            return inner(({_FIRST: iter(values)}, *env))

        return run


def _constant_set(node: ast.Set) -> frozenset[Any] | None:
    """The frozen set that CPython makes of a display of constants; None when they are none.

    How often it is made anew from itself depends on which texts are interned, and each time may change its order.
    """
    values = []
    for element in node.elts:
        negative = isinstance(element, ast.UnaryOp) and type(element.op) is ast.USub
        value = element.operand if isinstance(element, ast.UnaryOp) and negative else element
        if any(isinstance(n, ast.Name | ast.Call) for n in ast.walk(element)):
            return None
        if not isinstance(value, ast.Constant) or type(value.value) not in (int, float, str):
            raise GiveUp  # may be folded, or not
        values.append(-value.value if negative else value.value)
    found = frozenset(values)
    if list(frozenset(list(found))) != list(found):
        raise GiveUp
    return found


_FIRST = ".0"


def _first(env: Env) -> Any:
    return env[0][_FIRST]


def _loop(
    m: Machine, source: Run, assign: Assign, tests: list[Run], cost: int, inner: Callable[[Env, Any], None]
) -> Callable[[Env, Any], None]:
    def run(env: Env, found: Any) -> None:
        for value in source(env):
            m.spend(cost)
            assign(env, value)
            for test in tests:
                if not test(env):
                    break
            else:
                inner(env, found)

    return run


def _yielding(
    m: Machine, source: Run, assign: Assign, tests: list[Run], cost: int, element: Run | None,
    inner: Callable[[Env], Iterator[Any]],
) -> Callable[[Env], Iterator[Any]]:  # fmt: skip
    def run(env: Env) -> Iterator[Any]:
        for value in source(env):
            m.spend(cost)
            assign(env, value)
            for test in tests:
                if not test(env):
                    break
            else:
                if element is not None:
                    yield element(env)
                else:
                    yield from inner(env)

    return run


_EXPRESSIONS: dict[type[ast.expr], Callable[[Expressions, Any], Run]] = {
    ast.Constant: Expressions.constant, ast.Name: Expressions.name, ast.NamedExpr: Expressions.named,
    ast.BinOp: Expressions.binary, ast.UnaryOp: Expressions.unary, ast.BoolOp: Expressions.boolean,
    ast.Compare: Expressions.compare, ast.IfExp: Expressions.if_else, ast.List: Expressions.list,
    ast.Tuple: Expressions.tuple, ast.Set: Expressions.set, ast.Dict: Expressions.dict,
    ast.Attribute: Expressions.attribute, ast.Subscript: Expressions.subscript, ast.Slice: Expressions.slice,
    ast.Call: Expressions.call, ast.JoinedStr: Expressions.joined, ast.FormattedValue: Expressions.formatted,
    ast.Lambda: Expressions.lambda_, ast.ListComp: Expressions.comprehension, ast.SetComp: Expressions.comprehension,
    ast.DictComp: Expressions.comprehension, ast.GeneratorExp: Expressions.generator,
}  # fmt: skip
