"""Translates a program into functions; gives up on any node of the syntax tree that is not in the tables.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmst.sandbox.guest.builtin import BUILTINS
from mmst.sandbox.guest.machine import Machine
from mmst.sandbox.guest.scopes import GLOBAL, Scopes
from mmst.sandbox.guest.values import Env, GiveUp

Run = Callable[[Env], Any]
"""An expression as a function of the names: its value. A statement: None where the next one follows, `BREAK` or
`CONTINUE`, or a tuple of the value that is returned."""
Assign = Callable[[Env, Any], None]
BREAK, CONTINUE = ("break",), ("continue",)
EXPRESSIONS: dict[type[ast.expr], Callable[[Translator, Any], Run]] = {}
STATEMENTS: dict[type[ast.stmt], Callable[[Translator, Any], Run | None]] = {}
_NESTING = 80
_MISSING = object()


class Translator:
    """Translates expressions and statements; `cost` counts the nodes since it was last paid for and reset.

    Nodes are translated in the order in which CPython's symbol tables list their scopes.
    """

    def __init__(self, machine: Machine, source: bytes) -> None:
        self.machine, self.scopes, self.cost, self._nesting = machine, Scopes(source), 0, 0

    def expression(self, node: ast.expr) -> Run:
        """A node as a function of the names."""
        translate = EXPRESSIONS.get(type(node))
        if translate is None:
            raise GiveUp
        self._enter()
        run = translate(self, node)
        self._nesting -= 1
        return run

    def all(self, nodes: list[ast.expr]) -> list[Run]:
        """Nodes, none of them starred."""
        return [self.expression(node) for node in nodes]

    def block(self, nodes: list[ast.stmt]) -> Run:
        """Statements one after the other; all their nodes are paid for first."""
        before, self.cost, m = self.cost, 1, self.machine
        runs = [run for node in nodes if (run := self._statement(node)) is not None]
        cost, self.cost = self.cost, before
        if len(runs) == 1:
            only = runs[0]

            def run_one(env: Env) -> Any:
                m.spend(cost)
                return only(env)

            return run_one

        def run_all(env: Env) -> Any:
            m.spend(cost)
            for run in runs:
                ended = run(env)
                if ended is not None:
                    return ended
            return None

        return run_all

    def _statement(self, node: ast.stmt) -> Run | None:
        translate = STATEMENTS.get(type(node))
        if translate is None:
            raise GiveUp
        self._enter()
        run = translate(self, node)
        self._nesting -= 1
        return run

    def _enter(self) -> None:
        self.cost += 1
        self._nesting += 1
        if self._nesting > _NESTING:
            raise GiveUp

    def read(self, name: str) -> Run:
        """A name's value; gives up if CPython would raise."""
        if name[:2] == "__" and not (name == "__name__" and self.scopes.in_module):
            raise GiveUp
        names, level = self.machine.names, self.scopes.level(name)
        builtin = "__main__" if name == "__name__" else BUILTINS.get(name, _MISSING)

        def global_(env: Env) -> Any:
            value = names.get(name, builtin)
            if value is _MISSING:
                raise GiveUp
            return value

        def local(env: Env) -> Any:
            value = env[level].get(name, _MISSING)
            if value is _MISSING:
                raise GiveUp
            return value

        def in_class(env: Env) -> Any:
            return env[0][name] if name in env[0] else global_(env)

        if level == GLOBAL:
            return global_
        return in_class if self.scopes.in_class and level == 0 else local

    def write(self, name: str) -> Assign:
        """Binds a name."""
        if name[:2] == "__":
            raise GiveUp
        level, names = self.scopes.level(name), self.machine.names

        def bind_global(env: Env, value: Any) -> None:
            names[name] = value

        def bind(env: Env, value: Any) -> None:
            env[level][name] = value

        return bind_global if level == GLOBAL else bind

    def unbind(self, name: str, missing: bool = False) -> Run:
        """Deletes a name, which may be missing."""
        if name[:2] == "__":
            raise GiveUp
        level, names = self.scopes.level(name), self.machine.names

        def run(env: Env) -> None:
            own = names if level == GLOBAL else env[level]
            if name in own:
                del own[name]
            elif not missing:
                raise GiveUp

        return run


def expression(kind: type[ast.expr]) -> Callable[[Callable[[Translator, Any], Run]], Callable[[Translator, Any], Run]]:
    """Adds a translation to the table."""

    def enter(translate: Callable[[Translator, Any], Run]) -> Callable[[Translator, Any], Run]:
        EXPRESSIONS[kind] = translate
        return translate

    return enter


def statement(
    kind: type[ast.stmt],
) -> Callable[[Callable[[Translator, Any], Run | None]], Callable[[Translator, Any], Run | None]]:
    """Adds a translation to the table."""

    def enter(translate: Callable[[Translator, Any], Run | None]) -> Callable[[Translator, Any], Run | None]:
        STATEMENTS[kind] = translate
        return translate

    return enter
