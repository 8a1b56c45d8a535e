"""Follows expressions: the bounds of their values, what they cost, and whether they may fail."""

from __future__ import annotations

import ast
from functools import reduce
from typing import NoReturn

from mmst.harmless import bounds, calls
from mmst.harmless.bounds import NONE, UNKNOWN, Items, Number, Other, Text, Unproven, Value
from mmst.harmless.names import Function, Names

STEPS = 10_000
"""Most steps (statements and expressions) that a harmless program takes."""
OUTPUT = 4000
"""Most characters that it prints."""
NAP = 60
"""Seconds of sleep from which a program is taken for one that never ends; time limits are shorter."""
MAIN = Other("__main__")
"""The text that `__name__` stands for."""
_LONGEST_SLEEP = 10**9
"""Longer ones may fail at once: the clock has no such time."""
_GATHER = {"sum", "min", "max", "sorted", "list", "tuple"}
"""What takes all of a generator at once."""


class Never(Exception):
    """Here the program surely stays for ever, or at least `NAP` seconds."""


class Expressions:
    """One way through a program's expressions."""

    def __init__(self) -> None:
        self._sure = True
        """Whether the program surely comes to where the walk is."""
        self._steps = self._output = 0

    def step(self) -> None:
        """Count a step; `Unproven` when there were too many."""
        self._steps += 1
        if self._steps > STEPS:
            raise Unproven

    def inline(self, f: Function, args: list[Value], names: Names) -> Value:
        """What a call of a function of the program gives."""
        raise Unproven

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
            case ast.Attribute(attr=name):
                return calls.attribute(self.value(e.value, names), name)
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
        match e:
            case ast.Compare(ast.Name(id=name), [ast.Eq()], [ast.Constant(value="__main__")]):
                if self._lookup(name, names) == MAIN:
                    return Number(1, 1, True)
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
        called = self._called(e.func, names)
        args = [self._argument(a, called, names) for a in e.args]
        if isinstance(called, Function):
            if e.keywords:
                raise Unproven
            return self.inline(called, args, names)
        if called == Other("print"):
            return self._print(args, e.keywords, names)
        if not isinstance(called, Other) or e.keywords:
            raise Unproven
        if called == calls.SLEEP:
            self._sleep(args)
        self._sure = False
        self._steps += sum(len(a.items) for a in args if isinstance(a, Items)) // 8
        return calls.call(called.name, args)

    def _called(self, f: ast.expr, names: Names) -> Value | Function | None:
        """What is called by this expression: of the program's, or a builtin."""
        if not isinstance(f, ast.Name):
            return self.value(f, names)
        found = names.get(f.id)
        return Other(f.id) if found is None and f.id not in names.local else found

    def _sleep(self, args: list[Value]) -> NoReturn:
        """Only a long sleep that surely comes is of use to a proof."""
        match args:
            case [Number(whole=True, low=low, high=high)] if self._sure and low >= NAP and high <= _LONGEST_SLEEP:
                raise Never
        raise Unproven

    def _argument(self, e: ast.expr, called: Value | Function | None, names: Names) -> Value:
        if isinstance(e, ast.GeneratorExp) and isinstance(called, Other) and called.name in _GATHER:
            return self._comprehension(e, names)
        return self.value(e, names)

    def _comprehension(self, e: ast.ListComp | ast.GeneratorExp, names: Names) -> Items:
        (part,) = e.generators if len(e.generators) == 1 else [None]
        over = self.value(part.iter, names) if part and not part.is_async else None
        if part is None or not isinstance(over, Items):
            raise Unproven
        own = names.own if names.module is not None else {}
        targets = frozenset(n.id for n in ast.walk(part.target) if isinstance(n, ast.Name))
        # Its variables are not the module's, also where the module writes it.
        module = names.own if names.module is None else names.module
        inside, found = Names(dict(own), module, names.local | targets), list[Value]()
        for item in over.items:
            self.step()
            self.assign(part.target, item, inside)
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

    def assign(self, target: ast.expr, value: Value, names: Names) -> None:
        """Give a name, or each name of a tuple, its value."""
        match target:
            case ast.Name(id=name):
                names.own[name] = value
            case ast.Tuple(elts=parts) if isinstance(value, Items) and len(parts) == len(value.items):
                for part, item in zip(parts, value.items, strict=True):
                    self.assign(part, item, names)
            case _:
                raise Unproven
