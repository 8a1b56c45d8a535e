"""Follows a program statement by statement, with bounds in place of values; see `mmst.harmless`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce

from mmst.harmless import bounds, calls
from mmst.harmless.bounds import NONE, Items, Number, Other, Unproven, Value
from mmst.harmless.expressions import Expressions, Never
from mmst.harmless.names import Function, Names, state_of

_DEPTH = 30


@dataclass(slots=True)
class Loop:
    """Where a loop under way was left or begun anew."""

    breaks: list[Names] = field(default_factory=list)
    continues: list[Names] = field(default_factory=list)


class Walk(Expressions):
    """One way through a program, counting what it costs. Statements tell whether the next one is reached."""

    def __init__(self, never_ends: Callable[[ast.While, Names], bool]) -> None:
        super().__init__()
        self._never_ends = never_ends
        self._depth = 0
        self.loops: list[Loop] = []
        self._returns: list[list[Value]] = []

    def block(self, body: list[ast.stmt], names: Names) -> bool:
        """Follow the statements; whether the end is reached."""
        return all(self.statement(s, names) for s in body)

    def statement(self, s: ast.stmt, names: Names) -> bool:
        """Follow one statement."""
        self.step()
        match s:
            case ast.Expr() | ast.Pass():
                if isinstance(s, ast.Expr):
                    self.value(s.value, names)
            case ast.Assign():
                value = self.value(s.value, names)
                for target in s.targets:
                    self.assign(target, value, names)
            case ast.AugAssign(target=ast.Name(id=name)):
                before = self._lookup(name, names)
                if isinstance(before, Items):
                    raise Unproven  # changes the list that other names may stand for
                self.assign(s.target, self._operation(s.op, before, self.value(s.value, names)), names)
            case ast.If():
                return self._if(s, names)
            case ast.While(orelse=[]):
                return self._while(s, names)
            case ast.For(orelse=[], type_comment=None):
                return self._for(s, names)
            case ast.Break() | ast.Continue() if self.loops:
                loop = self.loops[-1]
                (loop.breaks if isinstance(s, ast.Break) else loop.continues).append(names.copy())
                return False
            case ast.Return() if self._returns:
                self._returns[-1].append(NONE if s.value is None else self.value(s.value, names))
                return False
            case ast.FunctionDef(decorator_list=[]) if names.module is None:
                names.own[s.name] = _function(s)
            case ast.Import(names=[ast.alias(name="math" | "time" | "itertools" as module, asname=name)]):
                names.own[name or module] = Other(module)
            case ast.ImportFrom(module="math" | "time" | "itertools" as module, level=0):
                for alias in s.names:
                    names.own[alias.asname or alias.name] = calls.attribute(Other(module), alias.name)
            case _:
                raise Unproven
        return True

    def _if(self, s: ast.If, names: Names) -> bool:
        known = self._truth(s.test, names)
        if known is not None:
            return self.block(s.body if known else s.orelse, names)
        other = names.copy()
        ways = [way for way, body in ((names.copy(), s.body), (other, s.orelse)) if self.block(body, way)]
        return names.become(ways)

    def _while(self, s: ast.While, names: Names) -> bool:
        exits: list[Names] = []
        loop = Loop()
        self.loops.append(loop)
        reached, turns, look, seen = True, 0, 0, set[object]()
        while reached:
            self.step()
            known = self._truth(s.test, names)
            if known is not True:
                exits.append(names.copy())
            if known is False:
                break
            state = (state_of(names), self._output)
            if state in seen or (turns == look and self._never_ends(s, names)):
                raise Never if self._sure else Unproven
            if turns == look:
                look += turns // 4 + 1
            if state[0] is not None:
                seen.add(state)
            reached = self.turn(s.body, names, loop)
            turns += 1
        self.loops.pop()
        return names.become(exits + loop.breaks)

    def _for(self, s: ast.For, names: Names) -> bool:
        if isinstance(s.iter, ast.Call) and self._called(s.iter.func, names) == calls.COUNT:
            return self._count(s, s.iter, names)
        over = self.value(s.iter, names)
        if not isinstance(over, Items):
            raise Unproven
        loop, reached = Loop(), True
        self.loops.append(loop)
        for item in over.items:
            self.step()
            self.assign(s.target, item, names)
            reached = self.turn(s.body, names, loop)
            if not reached:
                break
        self.loops.pop()
        return names.become(([names.copy()] if reached else []) + loop.breaks)

    def _count(self, s: ast.For, count: ast.Call, names: Names) -> bool:
        """`for target in itertools.count(first)`, as the loop that it stands for."""
        match count:
            case ast.Call(args=[] | [_] as args, keywords=[]):
                first = self.value(args[0], names) if args else Number(0, 0, True)
            case _:
                raise Unproven
        if not (isinstance(first, Number) and first.whole):
            raise Unproven
        at = f"count in line {s.lineno}, {s.col_offset}"  # no name of the program's
        names.own[at] = first
        names.local |= {at}
        take = ast.Assign(targets=[s.target], value=ast.Name(id=at, ctx=ast.Load()))
        advance = ast.AugAssign(target=ast.Name(id=at, ctx=ast.Store()), op=ast.Add(), value=ast.Constant(value=1))
        return self._while(ast.While(test=ast.Constant(value=True), body=[take, advance, *s.body], orelse=[]), names)

    def turn(self, body: list[ast.stmt], names: Names, loop: Loop) -> bool:
        """One turn of a loop; whether another may follow."""
        loop.continues = []
        reached = self.block(body, names)
        return names.become(([names.copy()] if reached else []) + loop.continues)

    def inline(self, f: Function, args: list[Value], names: Names) -> Value:
        """What a call gives, by following the function's body."""
        parameters = [a.arg for a in f.node.args.args]
        if len(args) != len(parameters) or self._depth >= _DEPTH:
            raise Unproven
        module = names.own if names.module is None else names.module
        inside = Names(dict(zip(parameters, args, strict=True)), module, f.local)
        loops, self.loops = self.loops, []
        self._returns.append([])
        self._depth += 1
        reached = self.block(f.node.body, inside)
        self._depth -= 1
        self.loops = loops
        results = self._returns.pop() + ([NONE] if reached else [])
        if not results:
            raise Unproven  # never comes back
        return reduce(bounds.join, results)


@lru_cache(maxsize=16)
def _function(node: ast.FunctionDef) -> Function:
    """A function with plain parameters, whose names are its own or the module's."""
    a = node.args
    if a.posonlyargs or a.kwonlyargs or a.vararg or a.kwarg or a.defaults:
        raise Unproven
    for annotation in (node.returns, *(p.annotation for p in a.args)):
        if annotation is not None and not (isinstance(annotation, ast.Name) and annotation.id in _TYPES):
            raise Unproven
    local = {p.arg for p in a.args}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            local.add(inner.id)
        elif isinstance(inner, _UNFOLLOWED) and inner is not node:
            raise Unproven
    return Function(node, frozenset(local))


_TYPES = {"int", "float", "str", "bool"}
_UNFOLLOWED = (
    ast.Yield,
    ast.YieldFrom,
    ast.Await,
    ast.Import,
    ast.ImportFrom,
    ast.Global,
    ast.Nonlocal,
    ast.Lambda,
    ast.FunctionDef,
    ast.ClassDef,
)
