"""Where a name is bound, from CPython's own symbol tables. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator
from contextlib import contextmanager

from mmst.sandbox.guest.values import GiveUp

GLOBAL = -1
"""Level of the module's names; other levels count functions outwards."""
_MODULE, _FUNCTION, _CLASS, _COMPREHENSION = "module", "function", "class", "comprehension"


class Scope:
    """A scope of the text: the module, a function, a class, or a comprehension (its targets are its names)."""

    __slots__ = ("at", "children", "kind", "own", "parent", "table")

    def __init__(
        self, kind: str, table: symtable.SymbolTable | None, parent: Scope | None, own: frozenset[str]
    ) -> None:
        self.kind, self.table, self.parent, self.own, self.at = kind, table, parent, own, 0
        self.children = table.get_children() if table is not None else []

    def level(self, name: str) -> int:
        """Number of functions outwards at which the name is bound, or `GLOBAL`."""
        out = 0
        scope: Scope | None = self
        while scope is not None and scope.kind != _MODULE:
            if scope.kind == _COMPREHENSION:
                if name in scope.own:
                    return out
            elif scope.kind == _FUNCTION or scope is self:
                assert scope.table is not None
                symbol = scope.table.lookup(name) if name in scope.own else None
                if symbol is not None and symbol.is_global():
                    return GLOBAL
                if symbol is not None and symbol.is_local():
                    return out
            out += scope.kind != _CLASS or scope is self
            scope = scope.parent
        return GLOBAL


class Scopes:
    """The scope that is being translated. Scopes are entered in the order of CPython's symbol tables."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self.now = Scope(_MODULE, None, None, frozenset())
        self._loaded = False

    @property
    def in_module(self) -> bool:
        """Whether names belong to the module."""
        return self.now.kind == _MODULE

    @property
    def in_class(self) -> bool:
        """Whether names belong to a class."""
        return self.now.kind == _CLASS

    def level(self, name: str) -> int:
        """Where the name is bound (`Scope.level`)."""
        return GLOBAL if self.now.kind == _MODULE else self.now.level(name)

    @contextmanager
    def function(self, name: str, line: int, parameters: set[str]) -> Iterator[None]:
        """The body of a function, lambda or generator expression."""
        table = self._next(name, line)
        if not isinstance(table, symtable.Function) or set(table.get_parameters()) != parameters:
            raise GiveUp
        with self._entered(Scope(_FUNCTION, table, self.now, frozenset(table.get_identifiers()))):
            yield

    @contextmanager
    def class_(self, name: str, line: int) -> Iterator[None]:
        """The body of a class."""
        table = self._next(name, line)
        if not isinstance(table, symtable.Class):
            raise GiveUp
        with self._entered(Scope(_CLASS, table, self.now, frozenset(table.get_identifiers()))):
            yield

    @contextmanager
    def comprehension(self, name: str, line: int, targets: frozenset[str]) -> Iterator[None]:
        """The inside of a comprehension; a newer Python may have no table for it."""
        if self.in_class:
            raise GiveUp
        here, inlined = self.now, True
        self._load()
        child = here.children[here.at] if here.at < len(here.children) else None
        if child is not None and child.get_name() == name and child.get_lineno() == line:
            here.at, inlined = here.at + 1, False
        scope = Scope(_COMPREHENSION, None if inlined else child, here, targets)
        if inlined:
            scope.children, scope.at = here.children, here.at
        with self._entered(scope):
            yield
        if inlined:
            here.at = scope.at

    @contextmanager
    def _entered(self, scope: Scope) -> Iterator[None]:
        before, self.now = self.now, scope
        yield
        if scope.at != len(scope.children) and scope.children is not before.children:
            raise GiveUp
        self.now = before

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            tables = symtable.symtable(self._source, "<program>", "exec")  # type: ignore[arg-type]  # bytes are taken
            self.now.children = tables.get_children()

    def _next(self, name: str, line: int) -> symtable.SymbolTable:
        self._load()
        here = self.now
        if here.at >= len(here.children):
            raise GiveUp
        table = here.children[here.at]
        here.at += 1
        if table.get_name() != name or table.get_lineno() != line:
            raise GiveUp
        return table


def bound(targets: list[ast.expr]) -> frozenset[str]:
    """The names that the targets of a comprehension bind."""
    found = set[str]()
    left = list(targets)
    while left:
        target = left.pop()
        if isinstance(target, ast.Name):
            found.add(target.id)
        elif isinstance(target, ast.Tuple | ast.List):
            left += target.elts
        elif isinstance(target, ast.Starred):
            left.append(target.value)
        else:
            raise GiveUp
    return frozenset(found)
