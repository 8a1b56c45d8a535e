"""Statements: each becomes a function of the names that tells how it ended.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmst.inside.calls import attribute, call
from mmst.inside.expressions import Assign, Expressions, Run
from mmst.inside.library import MODULES
from mmst.inside.machine import Machine
from mmst.inside.operators import at, binary, extension, put, remove
from mmst.inside.values import EXCEPTIONS, ITERABLES, SCALARS, SEQUENCES, Class, Env, GiveUp, Instance, Module, Native, Signature

_BREAK, _CONTINUE = ("break",), ("continue",)
Ended = Any
"""None; `_BREAK` or `_CONTINUE`; a tuple of the value that is returned."""
Do = Callable[[Env], Ended]


class Statements(Expressions):
    """Translates statements."""

    def block(self, nodes: list[ast.stmt]) -> Do:
        """Statements one after the other; all their nodes are paid for first."""
        before, self.cost, m = self.cost, 1, self.machine
        runs = [run for node in nodes if (run := self.statement(node)) is not None]
        cost, self.cost = self.cost, before
        if len(runs) == 1:
            only = runs[0]

            def run_one(env: Env) -> Ended:
                m.spend(cost)
                return only(env)

            return run_one

        def run(env: Env) -> Ended:
            m.spend(cost)
            for statement in runs:
                ended = statement(env)
                if ended is not None:
                    return ended
            return None

        return run

    def statement(self, node: ast.stmt) -> Do | None:
        """A node as a function of the names; None where nothing is to be done."""
        translate = _STATEMENTS.get(type(node))
        self.cost += 1
        self._nesting += 1
        if translate is None or self._nesting > 60:
            raise GiveUp
        run = translate(self, node)
        self._nesting -= 1
        return run

    def expr(self, node: ast.Expr) -> Do | None:
        if isinstance(node.value, ast.Constant):
            return None
        value = self.expression(node.value)

        def run(env: Env) -> None:
            value(env)

        return run

    def nothing(self, node: ast.stmt) -> None:
        return None

    def assign(self, node: ast.Assign) -> Do:
        targets, value = [self.target(target) for target in node.targets], self.expression(node.value)
        if len(targets) == 1:
            target = targets[0]

            def run_one(env: Env) -> None:
                target(env, value(env))

            return run_one

        def run(env: Env) -> None:
            result = value(env)
            for target in targets:
                target(env, result)

        return run

    def target(self, node: ast.expr) -> Assign:
        m = self.machine
        self.cost += 1
        if isinstance(node, ast.Name):
            return self.write(node.id)
        if isinstance(node, ast.Subscript):
            values, index = self.expression(node.value), self.expression(node.slice)
            return lambda env, value: put(m, values(env), index(env), value)
        if isinstance(node, ast.Attribute):
            owner, name = self.expression(node.value), self.own(node.attr)
            return lambda env, value: _set_attribute(owner(env), name, value)
        if isinstance(node, ast.Tuple | ast.List):
            return self.unpacked(node)
        raise GiveUp

    def own(self, name: str) -> str:
        """A name of an attribute that a program may set."""
        if name[:2] == "__":
            raise GiveUp
        return name

    def unpacked(self, node: ast.Tuple | ast.List) -> Assign:
        m, n = self.machine, len(node.elts)
        star = next((i for i, e in enumerate(node.elts) if isinstance(e, ast.Starred)), None)
        targets = [self.target(e.value if isinstance(e, ast.Starred) else e) for e in node.elts]

        def run(env: Env, value: Any) -> None:
            if type(value) not in ITERABLES:
                raise GiveUp
            if type(value) is tuple or type(value) is list:
                found = list(value)
            elif star is None:
                found = [v for _, v in zip(range(n + 1), value, strict=False)]
            else:
                found = list(m.source(value))
            if star is not None and len(found) >= n - 1:
                m.allocate(16 * len(found))
                end = len(found) - (n - 1 - star)
                found[star:end] = [found[star:end]]
            if len(found) != n:
                raise GiveUp
            for target, v in zip(targets, found, strict=True):
                target(env, v)

        return run

    def augmented(self, node: ast.AugAssign) -> Do:
        m = self.machine
        if type(node.op) is ast.MatMult:
            raise GiveUp
        operate = binary(m, type(node.op), in_place=True)
        target = node.target
        if isinstance(target, ast.Name):
            read, write = self.read(target.id), self.write(target.id)
            value = self.expression(node.value)

            def run_name(env: Env) -> None:
                before = read(env)
                write(env, operate(before, value(env)))

            return run_name
        owner = self.expression(target.value)
        if isinstance(target, ast.Attribute):
            name = self.own(target.attr)
            value = self.expression(node.value)

            def run_attribute(env: Env) -> None:
                o = owner(env)
                if type(o) is not Instance and type(o) is not Class:
                    raise GiveUp
                before = attribute(m, o, name)
                _set_attribute(o, name, operate(before, value(env)))

            return run_attribute
        index = self.expression(target.slice)
        value = self.expression(node.value)

        def run(env: Env) -> None:
            o, i = owner(env), index(env)
            before = at(m, o, i)
            put(m, o, i, operate(before, value(env)))

        return run

    def annotated(self, node: ast.AnnAssign) -> Do:
        if not isinstance(node.target, ast.Name):
            raise GiveUp
        local = not self.scopes.in_module and not self.scopes.in_class
        write = self.write(node.target.id)
        annotation = self.annotation(node.annotation)
        value = None if node.value is None else self.expression(node.value)

        def run(env: Env) -> None:
            if value is not None:
                write(env, value(env))
            if not local:
                annotation(env)

        return run

    def annotation(self, node: ast.expr | None) -> Run:
        """Gives up unless CPython would evaluate the annotation without an error."""
        if node is None or isinstance(node, ast.Constant) and type(node.value) in SCALARS:
            return lambda env: None
        if isinstance(node, ast.Name):
            read = self.read(node.id)

            def name(env: Env) -> Any:
                found = read(env)
                if type(found) is not Class and not (type(found) is Native and found.annotates is not None):
                    raise GiveUp
                return found

            return name
        if not isinstance(node, ast.Subscript):
            raise GiveUp
        generic = self.annotation(node.value)
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not all(isinstance(n, ast.Name | ast.Subscript) for n in inner):
            raise GiveUp
        parts = [self.annotation(n) for n in inner]

        def run(env: Env) -> None:
            found = generic(env)
            if type(found) is not Native or found.annotates not in (-1, len(parts)) or not parts:
                raise GiveUp
            for part in parts:
                part(env)

        return run

    def delete(self, node: ast.Delete) -> Do:
        runs = [self.deleted(target) for target in node.targets]

        def run(env: Env) -> None:
            for one in runs:
                one(env)

        return run

    def deleted(self, node: ast.expr) -> Run:
        m = self.machine
        if isinstance(node, ast.Name):
            return self.unbind(node.id)
        if not isinstance(node, ast.Subscript):
            raise GiveUp
        values, index = self.expression(node.value), self.expression(node.slice)
        return lambda env: remove(m, values(env), index(env))

    def unbind(self, name: str, missing: bool = False) -> Run:
        """Deletes a name."""
        level, names = self.scopes.level(name), self.machine.names
        if name[:2] == "__":
            raise GiveUp

        def run(env: Env) -> None:
            own = names if level < 0 else env[level]
            if name in own:
                del own[name]
            elif not missing:
                raise GiveUp

        return run

    def if_(self, node: ast.If) -> Do:
        test, body = self.expression(node.test), self.block(node.body)
        other = self.block(node.orelse) if node.orelse else None

        def run(env: Env) -> Ended:
            if test(env):
                return body(env)
            return None if other is None else other(env)

        return run

    def while_(self, node: ast.While) -> Do:
        m, before = self.machine, self.cost
        test = self.expression(node.test)
        cost, body = self.cost - before, self.block(node.body)
        other = self.block(node.orelse) if node.orelse else None

        def run(env: Env) -> Ended:
            while test(env):
                m.spend(cost)
                ended = body(env)
                if ended is not None:
                    if ended is _BREAK:
                        return None
                    if ended is not _CONTINUE:
                        return ended
            return None if other is None else other(env)

        return run

    def for_(self, node: ast.For) -> Do:
        assign, values = self.target(node.target), self.iterable(node.iter)
        body = self.block(node.body)
        other = self.block(node.orelse) if node.orelse else None

        def run(env: Env) -> Ended:
            for value in values(env):
                assign(env, value)
                ended = body(env)
                if ended is not None:
                    if ended is _BREAK:
                        return None
                    if ended is not _CONTINUE:
                        return ended
            return None if other is None else other(env)

        return run

    def break_(self, node: ast.Break) -> Do:
        return lambda env: _BREAK

    def continue_(self, node: ast.Continue) -> Do:
        return lambda env: _CONTINUE

    def return_(self, node: ast.Return) -> Do:
        if node.value is None:
            return lambda env: (None,)
        value = self.expression(node.value)
        return lambda env: (value(env),)

    def import_(self, node: ast.Import) -> Do:
        pairs = [(self.write(a.asname or a.name), _module(a.name)) for a in node.names]

        def run(env: Env) -> None:
            for write, module in pairs:
                write(env, module)

        return run

    def import_from(self, node: ast.ImportFrom) -> Do:
        if node.level or node.module is None:
            raise GiveUp
        members = _module(node.module).members
        if not all(a.name in members for a in node.names):
            raise GiveUp
        pairs = [(self.write(a.asname or a.name), members[a.name]) for a in node.names]

        def run(env: Env) -> None:
            for write, value in pairs:
                write(env, value)

        return run

    def define(self, node: ast.FunctionDef) -> Do:
        m, scopes = self.machine, self.scopes
        write: Assign
        if scopes.in_class and node.name == "__init__":
            write = lambda env, value: env[0].__setitem__("__init__", value)  # noqa: E731
        else:
            write = self.write(node.name)
        decorators: list[Run] = []
        annotations: list[Run] = []

        def before() -> None:
            a = node.args
            every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x)]
            annotations.extend(self.annotation(x.annotation) for x in every if x.annotation)
            annotations.append(self.annotation(node.returns))
            decorators.extend(self.all(node.decorator_list))

        def inside(signature: Signature) -> Do:
            with scopes.function(node.name, node.lineno, signature.all):
                return self.block(node.body)

        make = self.function(node.args, before, inside)

        def run(env: Env) -> None:
            wrappers = [decorator(env) for decorator in decorators]
            made: Any = make(env)
            for annotation in annotations:
                annotation(env)
            for wrapper in reversed(wrappers):
                made = call(m, wrapper, [made], {})
            write(env, made)

        return run

    def class_(self, node: ast.ClassDef) -> Do:
        if node.bases or node.keywords or node.decorator_list or self.scopes.in_class:
            raise GiveUp
        allowed = (ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Pass, ast.Expr)
        if not all(isinstance(s, allowed) for s in node.body):
            raise GiveUp
        write = self.write(node.name)
        with self.scopes.class_(node.name, node.lineno):
            body = self.block(node.body)

        def run(env: Env) -> None:
            names: dict[str, Any] = {}
            body((names, *env))
            write(env, Class(names))

        return run

    def raise_(self, node: ast.Raise) -> Do:
        if node.exc is None or node.cause is not None:
            raise GiveUp
        value = self.expression(node.exc)

        def run(env: Env) -> Ended:
            error = value(env)
            if type(error) is Native and error.real in EXCEPTIONS:
                error = error.real()
            if type(error) not in EXCEPTIONS:
                raise GiveUp
            raise error

        return run

    def assert_(self, node: ast.Assert) -> Do:
        test = self.expression(node.test)
        message = None if node.msg is None else self.expression(node.msg)

        def run(env: Env) -> None:
            if test(env):
                return
            found = [] if message is None else [message(env)]
            if not all(type(v) in SCALARS for v in found):
                raise GiveUp
            raise AssertionError(*found)

        return run

    def try_(self, node: ast.Try) -> Do:
        body = self.block(node.body)
        other = self.block(node.orelse) if node.orelse else None
        handlers = [self.handler(h) for h in node.handlers]
        final = self.block(node.finalbody) if node.finalbody else None

        def handled(env: Env) -> Ended:
            try:
                ended = body(env)
            except Exception as e:
                error = _catchable(e)
                for handles, handle in handlers:
                    if handles(env, error):
                        return handle(env, error)
                raise
            return other(env) if ended is None and other is not None else ended

        def run(env: Env) -> Ended:
            assert final is not None
            try:
                ended = handled(env)
            except Exception as e:
                error = _catchable(e)
            else:
                last = final(env)
                return ended if last is None else last
            last = final(env)
            if last is not None:
                return last
            raise error

        return handled if final is None else run

    def handler(
        self, node: ast.ExceptHandler
    ) -> tuple[Callable[[Env, Exception], bool], Callable[[Env, Exception], Ended]]:
        kinds = None if node.type is None else self.expression(node.type)
        write = unbind = None
        if node.name:
            write, unbind = self.write(node.name), self.unbind(node.name, missing=True)
        block = self.block(node.body)

        def handles(env: Env, error: Exception) -> bool:
            if kinds is None:
                return True
            found = kinds(env)
            for kind in found if type(found) is tuple else (found,):
                if type(kind) is not Native or kind.real not in EXCEPTIONS:
                    raise GiveUp
            return isinstance(error, tuple(k.real for k in found) if type(found) is tuple else found.real)

        def handle(env: Env, error: Exception) -> Ended:
            if write is None or unbind is None:
                return block(env)
            write(env, error)
            try:
                return block(env)
            finally:
                unbind(env)

        return handles, handle


def _catchable(error: Exception) -> Exception:
    """An error that CPython raises alike; its frames are dropped."""
    if type(error) not in EXCEPTIONS:
        raise GiveUp
    return error.with_traceback(None)


def _set_attribute(owner: Any, name: str, value: Any) -> None:
    if type(owner) is not Instance and type(owner) is not Class:
        raise GiveUp
    owner.names[name] = value


def _module(name: str) -> Module:
    if name not in MODULES:
        raise GiveUp
    return MODULES[name]


_STATEMENTS: dict[type[ast.stmt], Callable[[Statements, Any], Do | None]] = {
    ast.Expr: Statements.expr, ast.Assign: Statements.assign, ast.AugAssign: Statements.augmented,
    ast.AnnAssign: Statements.annotated, ast.Delete: Statements.delete, ast.If: Statements.if_,
    ast.While: Statements.while_, ast.For: Statements.for_, ast.Break: Statements.break_,
    ast.Continue: Statements.continue_, ast.Return: Statements.return_, ast.Import: Statements.import_,
    ast.ImportFrom: Statements.import_from, ast.FunctionDef: Statements.define, ast.ClassDef: Statements.class_,
    ast.Raise: Statements.raise_, ast.Assert: Statements.assert_, ast.Try: Statements.try_,
    ast.Pass: Statements.nothing, ast.Global: Statements.nothing, ast.Nonlocal: Statements.nothing,
}  # fmt: skip
_ = (Machine, SEQUENCES, extension)
