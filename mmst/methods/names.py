"""Which names a program binds and which it reads from elsewhere, to see whether it continues another. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmst.methods.source import KNOWN


@dataclass(slots=True)
class Names:
    """The names of a program at module level."""

    bound: set[str] = field(default_factory=set)
    free: set[str] = field(default_factory=set)
    """Names that it reads before, or without, binding them; without built-ins."""
    changed: set[str] = field(default_factory=set)
    """Names whose value it changes in place: `x[0] = 1`, `x.append(1)`."""
    star: bool = False
    """Whether `from … import *` may bind further names."""


def names(tree: ast.Module) -> Names:
    """The names of a program.

    >>> found = names(ast.parse("total = total + f(x for x in xs)"))
    >>> sorted(found.free), sorted(found.bound)
    (['f', 'total', 'xs'], ['total'])
    """
    visitor = _Visitor()
    visitor.visit_all(tree.body)
    free = visitor.free | (visitor.later - visitor.bound)
    return Names(visitor.bound, free - KNOWN, visitor.changed, visitor.star)


def continued(parts: Sequence[Names], last: int) -> list[int]:
    """Which of `parts`, up to `last`, make up one program: those that bind or change names that a later one reads."""
    chosen, needed = [last], set(parts[last].free)
    for n in range(last - 1, -1, -1):
        part = parts[n]
        if needed & (part.bound | part.changed) or (part.star and needed):
            chosen.insert(0, n)
            needed = (needed - part.bound) | part.free
    return chosen


class _Visitor(ast.NodeVisitor):
    """Walks a scope in execution order."""

    def __init__(self, bound: Iterable[str] = ()) -> None:
        self.bound = set(bound)
        self.free: set[str] = set()
        self.later: set[str] = set()
        self.changed: set[str] = set()
        self.star = False

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.free |= {node.id} - self.bound
        else:
            self.bound.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit_all([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all([node.annotation, node.value, node.target if node.value else None])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.free |= {node.target.id} - self.bound
        self.visit_all([node.value, node.target])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit_all([node.value, node.target])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit_all([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._place(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._place(node)

    def _place(self, node: ast.Subscript | ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            self.changed.add(node.value.id)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            self.changed.add(called.value.id)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
        self.star = self.star or any(a.name == "*" for a in node.names)

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.bound |= {node.name} if node.name else set()
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self.bound |= {node.name} if node.name else set()
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(node.decorator_list)
        self._function(node.args, node.body)
        self.bound.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node.args, [node.body])

    def _function(self, args: ast.arguments, body: Sequence[ast.AST]) -> None:
        self.visit_all([*args.defaults, *args.kw_defaults])
        inner = [node for part in body for node in ast.walk(part)]
        globals_ = {name for node in inner if isinstance(node, ast.Global) for name in node.names}
        own = {a.arg for a in ast.walk(args) if isinstance(a, ast.arg)}
        own |= {n.id for n in inner if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)} - globals_
        visitor = _Visitor(own)
        visitor.visit_all(body)
        self.later |= visitor.free | (visitor.later - visitor.bound)
        self.bound |= globals_

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *(k.value for k in node.keywords)])
        visitor = _Visitor(self.bound)
        visitor.visit_all(node.body)
        self.free |= visitor.free
        self.later |= visitor.later
        self.bound.add(node.name)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        inner = _Visitor(self.bound)
        for part in node.generators:
            inner.visit_all([part.iter, part.target, *part.ifs])
        inner.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.free |= inner.free
        self.later |= inner.later

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension
