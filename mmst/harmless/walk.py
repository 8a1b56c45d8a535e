"""Follows a program statement by statement, with bounds in place of values; see `mmst.harmless`."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import TypeAlias

from mmst.harmless import bounds, calls
from mmst.harmless.bounds import NONE, UNKNOWN, Items, Number, Other, Text, Unproven, Value

STEPS = 3000
"""Most steps (statements and expressions) that a harmless program takes."""
OUTPUT = 4000
"""Most characters that it prints."""
_DEPTH = 30


Env: TypeAlias = "dict[str, Value | Function]"


@dataclass
class Names:
    """What the names stand for at a place of the program; in a function also the module's."""

    own: Env
    module: Env | None = None
    local: frozenset[str] = frozenset()

    def get(self, name: str) -> Value | Function | None:
        """What a name stands for; None when the program has not given it a meaning."""
        if self.module is None or name in self.local:
            return self.own.get(name)
        return self.module.get(name)

    def copy(self) -> Names:
        """The same, to follow one of several ways."""
        return Names(dict(self.own), self.module, self.local)

    def become(self, others: list[Names]) -> bool:
        """Take on what holds in all of the others; False when there is none."""
        if not others:
            return False
        names = reduce(lambda a, b: a | b, (set(o.own) for o in others))
        self.own = {n: reduce(_either, (o.own.get(n, UNKNOWN) for o in others)) for n in names}
        return True


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the program defines."""

    node: ast.FunctionDef
    local: frozenset[str]


@dataclass(slots=True)
class Loop:
    """Where a loop under way was left or begun anew."""

    breaks: list[Names] = field(default_factory=list)
    continues: list[Names] = field(default_factory=list)


def _either(a: Value | Function, b: Value | Function) -> Value | Function:
    if isinstance(a, Function) or isinstance(b, Function):
        return a if a == b else UNKNOWN
    return bounds.join(a, b)


class Never(Exception):
    """A loop was surely entered that is never left."""


class Walk:
    """One way through a program, counting what it costs."""

    def __init__(self, never_ends: Callable[[ast.While, Names], bool]) -> None:
        self._never_ends = never_ends
        self._sure = True
        """Whether the program surely comes to where the walk is."""
        self._steps = self._output = self._depth = 0
        self.loops: list[Loop] = []
        self._returns: list[list[Value]] = []

    def step(self) -> None:
        """Count a step; `Unproven` when there were too many."""
        self._steps += 1
        if self._steps > STEPS:
            raise Unproven

    # Statements: each says whether the next one is reached.

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
                    self._assign(target, value, names)
            case ast.AugAssign(target=ast.Name(id=name)):
                before = self._lookup(name, names)
                if isinstance(before, Items):
                    raise Unproven  # changes the list that other names may stand for
                self._assign(s.target, self._operation(s.op, before, self.value(s.value, names)), names)
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
            case ast.Import(names=[ast.alias(name="math")]):
                names.own[s.names[0].asname or "math"] = Other("math")
            case ast.ImportFrom(module="math", level=0):
                for alias in s.names:
                    names.own[alias.asname or alias.name] = calls.attribute(alias.name)
            case _:
                raise Unproven
        return True

    def _assign(self, target: ast.expr, value: Value, names: Names) -> None:
        match target:
            case ast.Name(id=name):
                names.own[name] = value
            case ast.Tuple(elts=parts) if isinstance(value, Items) and len(parts) == len(value.items):
                for part, item in zip(parts, value.items, strict=True):
                    self._assign(part, item, names)
            case _:
                raise Unproven

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
        reached, turns, seen = True, 0, set[object]()
        while reached:
            self.step()
            known = self._truth(s.test, names)
            if known is not True:
                exits.append(names.copy())
            if known is False:
                break
            state = (_state(names), self._output)
            if state in seen or (turns & (turns - 1) == 0 and self._never_ends(s, names)):
                raise Never if self._sure else Unproven
            if state[0] is not None:
                seen.add(state)
            reached = self.turn(s.body, names, loop)
            turns += 1
        self.loops.pop()
        return names.become(exits + loop.breaks)

    def _for(self, s: ast.For, names: Names) -> bool:
        over = self.value(s.iter, names)
        if not isinstance(over, Items):
            raise Unproven
        loop, reached = Loop(), True
        self.loops.append(loop)
        for item in over.items:
            self.step()
            self._assign(s.target, item, names)
            reached = self.turn(s.body, names, loop)
            if not reached:
                break
        self.loops.pop()
        return names.become(([names.copy()] if reached else []) + loop.breaks)

    def turn(self, body: list[ast.stmt], names: Names, loop: Loop) -> bool:
        """One turn of a loop; whether another may follow."""
        loop.continues = []
        reached = self.block(body, names)
        return names.become(([names.copy()] if reached else []) + loop.continues)

    # Expressions

    def value(self, e: ast.expr, names: Names) -> Value:
        """The bounds of an expression."""
        self.step()
        value = self._value(e, names)
        if isinstance(value, Items):
            self._steps += len(value.items) // 8
        return value

    def _value(self, e: ast.expr, names: Names) -> Value:
        match e:
            case ast.Constant(value=value, kind=None):
                return bounds.constant(value)
            case ast.Name(id=name):
                return self._lookup(name, names)
            case ast.BinOp():
                return self._operation(e.op, self.value(e.left, names), self.value(e.right, names))
            case ast.UnaryOp():
                return bounds.unary(e.op, self.value(e.operand, names))
            case ast.Compare():
                return self._compare(e, names)
            case ast.BoolOp():
                return reduce(bounds.join, [self.value(v, names) for v in e.values])
            case ast.IfExp():
                known = self._truth(e.test, names)
                ways = [e.body, e.orelse] if known is None else [e.body if known else e.orelse]
                return reduce(bounds.join, [self.value(way, names) for way in ways])
            case ast.Call():
                return self._call(e, names)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return bounds.items([self.value(part, names) for part in parts])
            case ast.ListComp():
                return self._comprehension(e, names)
            case ast.Attribute(attr=name) if self.value(e.value, names) == Other("math"):
                return calls.attribute(name)
            case ast.Subscript(slice=ast.Slice()):
                raise Unproven
            case ast.Subscript():
                self._sure = False
                return self._item(self.value(e.value, names), self.value(e.slice, names))
            case ast.JoinedStr():
                self._sure = False
                return bounds.text(sum(self._part(part, names) for part in e.values))
        raise Unproven

    def _operation(self, op: ast.operator, left: Value, right: Value) -> Value:
        if not isinstance(op, ast.Add | ast.Sub | ast.Mult):
            whole = isinstance(op, ast.Mod | ast.FloorDiv) and isinstance(right, Number) and right.exact
            self._sure = self._sure and whole and right != Number(0, 0, True)  # else it may fail
        return bounds.binary(op, left, right)

    def _truth(self, e: ast.expr, names: Names) -> bool | None:
        """Whether a test holds; None when it may or may not."""
        known = bounds.truth(self.value(e, names))
        self._sure = self._sure and known is not None
        return known

    def _lookup(self, name: str, names: Names) -> Value:
        found = names.get(name)
        if found is None or found == UNKNOWN or isinstance(found, Function):
            raise Unproven
        return found

    def _compare(self, e: ast.Compare, names: Names) -> Value:
        results, left = [], self.value(e.left, names)
        for op, operand in zip(e.ops, e.comparators, strict=True):
            right = self.value(operand, names)
            results.append(bounds.compare(op, left, right))
            left = right
        known = [bounds.truth(r) for r in results]
        if all(known):
            return results[-1]
        return Number(0, 0, True) if False in known and None not in known else bounds.BIT

    def _item(self, of: Value, at: Value) -> Value:
        if not (isinstance(at, Number) and at.whole):
            raise Unproven
        if isinstance(of, Text):
            return Text(1)
        if not isinstance(of, Items) or not of.items:
            raise Unproven
        if at.exact and -len(of.items) <= at.low < len(of.items):
            return of.items[int(at.low)]
        return reduce(bounds.join, of.items)

    def _part(self, part: ast.expr, names: Names) -> int:
        match part:
            case ast.Constant(value=str(text)):
                return bounds.printed(bounds.constant(text))
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                return bounds.printed(self.value(inner, names))
            case ast.FormattedValue(
                value=inner, conversion=-1, format_spec=ast.JoinedStr(values=[ast.Constant(value=str(spec))])
            ):
                return bounds.formatted(self.value(inner, names), spec)
        raise Unproven

    def _call(self, e: ast.Call, names: Names) -> Value:
        if any(isinstance(a, ast.Starred) for a in e.args):
            raise Unproven
        called: Value | Function | None
        if isinstance(e.func, ast.Name):
            called = names.get(e.func.id)
            called = Other(e.func.id) if called is None and e.func.id not in names.local else called
        else:
            called = self.value(e.func, names)
        args = [self._argument(a, called, names) for a in e.args]
        if isinstance(called, Function):
            return self._inline(called, args, e, names)
        if called == Other("print"):
            return self._print(args, e.keywords, names)
        if not isinstance(called, Other) or e.keywords:
            raise Unproven
        self._sure = False
        self._steps += sum(len(a.items) for a in args if isinstance(a, Items)) // 8
        return calls.call(called.name, args)

    def _argument(self, e: ast.expr, called: Value | Function | None, names: Names) -> Value:
        if isinstance(e, ast.GeneratorExp) and isinstance(called, Other) and called.name in _GATHER:
            return self._comprehension(e, names)
        return self.value(e, names)

    def _comprehension(self, e: ast.ListComp | ast.GeneratorExp, names: Names) -> Items:
        (part,) = e.generators if len(e.generators) == 1 else [None]
        over = self.value(part.iter, names) if part and not part.is_async else None
        if part is None or not isinstance(over, Items):
            raise Unproven
        inside, found = names.copy(), list[Value]()
        for item in over.items:
            self.step()
            self._assign(part.target, item, inside)
            tests = [self._truth(test, inside) for test in part.ifs]
            if None in tests:
                raise Unproven
            if all(tests):
                found.append(self.value(e.elt, inside))
        return bounds.items(found)

    def _print(self, args: list[Value], keywords: list[ast.keyword], names: Names) -> Value:
        between = {"sep": 1, "end": 1}
        for keyword in keywords:
            value = self.value(keyword.value, names)
            if keyword.arg not in between or not isinstance(value, Text):
                raise Unproven
            between[keyword.arg] = value.longest
        self._output += sum(bounds.printed(a) + between["sep"] for a in args) + between["end"]
        if self._output > OUTPUT:
            raise Unproven
        return NONE

    def _inline(self, f: Function, args: list[Value], e: ast.Call, names: Names) -> Value:
        parameters = [a.arg for a in f.node.args.args]
        if e.keywords or len(args) != len(parameters) or self._depth >= _DEPTH:
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


_GATHER = {"sum", "min", "max", "sorted", "list", "tuple"}
"""What takes all of a generator at once."""
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


def _state(names: Names) -> object:
    """All that the rest of a program depends on, when it is known exactly; else None."""
    for value in names.own.values():
        exact = value.exact if isinstance(value, Number) else not isinstance(value, Text | Items) and value != UNKNOWN
        if not exact:
            return None
    return frozenset(names.own.items())
