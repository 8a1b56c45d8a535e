"""Proves from a program's text alone that it is harmless and soon over, or never.

A program that is *harmless* does nothing but arithmetic on numbers and short texts that it states
itself, and prints: no attributes but those of `math`, no imports but `math`, no assignment to
anything but its own names, no exceptions handled. It can't see or change what another program in
the same process sees. The text is followed statement by statement on bounds (`mmst.bounds`) instead
of values; every loop is followed to its end, so a proof also bounds time, memory and output: at most
`STEPS` steps, `OUTPUT` characters printed. Most model-written solutions of word problems are such.

What is not proven is not accused: it gets a process of its own.

Example:
    >>> proof("total = 3 * 4\\nprint(total - 2)")
    <Proof.ENDS: 'ends'>
    >>> proof("n = 3\\nwhile True:\\n    n += 1")
    <Proof.NEVER_ENDS: 'never ends'>
    >>> proof("print(open('/etc/passwd').read())") is None, proof("print(9 ** 9 ** 9)") is None
    (True, True)
"""

from __future__ import annotations

import ast
import enum
import math
import re
import warnings
from dataclasses import dataclass, field
from functools import reduce
from typing import TypeAlias

from mmst import bounds
from mmst.bounds import NONE, UNKNOWN, Items, Number, Other, Text, Unproven, Value

STEPS = 3000
"""Most steps (statements and expressions) that a harmless program takes."""
OUTPUT = 4000
"""Most characters that it prints."""
SOURCE = 4000
"""Longer programs are not looked at."""
_DEPTH = 30
_CODING = re.compile(r"coding[:=]")
"""By such a comment the same bytes may become another program than the text that is read here (PEP 263)."""


class Proof(enum.Enum):
    """What is known of a harmless program."""

    ENDS = "ends"
    """It is over within `STEPS` steps, whatever happens."""
    NEVER_ENDS = "never ends"
    """It does not fail, and within `STEPS` steps it enters a loop that it never leaves."""


def proof(source: str) -> Proof | None:
    """What can be proven of a program; None when nothing can. Raises nothing, takes milliseconds."""
    if len(source) > SOURCE or "\0" in source or _CODING.search(source):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what the compiler says of it would stand in its stderr
            tree = ast.parse(source)
        _Walk().block(tree.body, _Names({"__name__": Text(8)}))
    except _Never:
        return Proof.NEVER_ENDS
    except (Unproven, SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, Warning):
        return None
    return Proof.ENDS


Env: TypeAlias = "dict[str, Value | _Function]"


@dataclass
class _Names:
    """What the names stand for at a place of the program; in a function also the module's."""

    own: Env
    module: Env | None = None
    local: frozenset[str] = frozenset()

    def get(self, name: str) -> Value | _Function | None:
        if self.module is None or name in self.local:
            return self.own.get(name)
        return self.module.get(name)

    def copy(self) -> _Names:
        return _Names(dict(self.own), self.module, self.local)

    def become(self, others: list[_Names]) -> bool:
        """Take on what holds in all of the others; False when there is none."""
        if not others:
            return False
        names = reduce(lambda a, b: a | b, (set(o.own) for o in others))
        self.own = {n: reduce(_either, (o.own.get(n, UNKNOWN) for o in others)) for n in names}
        return True


@dataclass(frozen=True, slots=True)
class _Function:
    """A function that the program defines."""

    node: ast.FunctionDef
    local: frozenset[str]


@dataclass(slots=True)
class _Loop:
    """Where a loop under way was left or begun anew."""

    breaks: list[_Names] = field(default_factory=list)
    continues: list[_Names] = field(default_factory=list)


def _either(a: Value | _Function, b: Value | _Function) -> Value | _Function:
    if isinstance(a, _Function) or isinstance(b, _Function):
        return a if a == b else UNKNOWN
    return bounds.join(a, b)


class _Never(Exception):
    """A loop was surely entered that is never left."""


class _Walk:
    """One way through a program, counting what it costs."""

    def __init__(self) -> None:
        self._sure = True
        """Whether the program surely comes to where the walk is."""
        self._steps = self._output = self._depth = 0
        self._loops: list[_Loop] = []
        self._returns: list[list[Value]] = []

    def step(self) -> None:
        """Count a step; `Unproven` when there were too many."""
        self._steps += 1
        if self._steps > STEPS:
            raise Unproven

    # Statements: each says whether the next one is reached.

    def block(self, body: list[ast.stmt], names: _Names) -> bool:
        """Follow the statements; whether the end is reached."""
        return all(self.statement(s, names) for s in body)

    def statement(self, s: ast.stmt, names: _Names) -> bool:
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
            case ast.Break() | ast.Continue() if self._loops:
                loop = self._loops[-1]
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
                    names.own[alias.asname or alias.name] = bounds.attribute(alias.name)
            case _:
                raise Unproven
        return True

    def _assign(self, target: ast.expr, value: Value, names: _Names) -> None:
        match target:
            case ast.Name(id=name):
                names.own[name] = value
            case ast.Tuple(elts=parts) if isinstance(value, Items) and len(parts) == len(value.items):
                for part, item in zip(parts, value.items, strict=True):
                    self._assign(part, item, names)
            case _:
                raise Unproven

    def _if(self, s: ast.If, names: _Names) -> bool:
        known = self._truth(s.test, names)
        if known is not None:
            return self.block(s.body if known else s.orelse, names)
        other = names.copy()
        ways = [way for way, body in ((names.copy(), s.body), (other, s.orelse)) if self.block(body, way)]
        return names.become(ways)

    def _while(self, s: ast.While, names: _Names) -> bool:
        exits: list[_Names] = []
        loop = _Loop()
        self._loops.append(loop)
        reached, turns, seen = True, 0, set[object]()
        while reached:
            self.step()
            known = self._truth(s.test, names)
            if known is not True:
                exits.append(names.copy())
            if known is False:
                break
            state = (_state(names), self._output)
            if state in seen or (turns & (turns - 1) == 0 and _never_ends(s, names)):
                raise _Never if self._sure else Unproven
            if state[0] is not None:
                seen.add(state)
            reached = self._turn(s.body, names, loop)
            turns += 1
        self._loops.pop()
        return names.become(exits + loop.breaks)

    def _for(self, s: ast.For, names: _Names) -> bool:
        over = self.value(s.iter, names)
        if not isinstance(over, Items):
            raise Unproven
        loop, reached = _Loop(), True
        self._loops.append(loop)
        for item in over.items:
            self.step()
            self._assign(s.target, item, names)
            reached = self._turn(s.body, names, loop)
            if not reached:
                break
        self._loops.pop()
        return names.become(([names.copy()] if reached else []) + loop.breaks)

    def _turn(self, body: list[ast.stmt], names: _Names, loop: _Loop) -> bool:
        """One turn of a loop; whether another may follow."""
        loop.continues = []
        reached = self.block(body, names)
        return names.become(([names.copy()] if reached else []) + loop.continues)

    # Expressions

    def value(self, e: ast.expr, names: _Names) -> Value:
        """The bounds of an expression."""
        self.step()
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
            case ast.Attribute(attr=name) if self.value(e.value, names) == Other("math"):
                return bounds.attribute(name)
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

    def _truth(self, e: ast.expr, names: _Names) -> bool | None:
        """Whether a test holds; None when it may or may not."""
        known = bounds.truth(self.value(e, names))
        self._sure = self._sure and known is not None
        return known

    def _lookup(self, name: str, names: _Names) -> Value:
        found = names.get(name)
        if found is None or found == UNKNOWN or isinstance(found, _Function):
            raise Unproven
        return found

    def _compare(self, e: ast.Compare, names: _Names) -> Value:
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

    def _part(self, part: ast.expr, names: _Names) -> int:
        match part:
            case ast.Constant(value=str(text)):
                return len(text)
            case ast.FormattedValue(value=inner, conversion=-1, format_spec=None):
                return bounds.printed(self.value(inner, names))
            case ast.FormattedValue(
                value=inner, conversion=-1, format_spec=ast.JoinedStr(values=[ast.Constant(value=str(spec))])
            ):
                return bounds.formatted(self.value(inner, names), spec)
        raise Unproven

    def _call(self, e: ast.Call, names: _Names) -> Value:
        if any(isinstance(a, ast.Starred) for a in e.args):
            raise Unproven
        called: Value | _Function | None
        if isinstance(e.func, ast.Name):
            called = names.get(e.func.id)
            called = Other(e.func.id) if called is None and e.func.id not in names.local else called
        else:
            called = self.value(e.func, names)
        args = [self.value(a, names) for a in e.args]
        if isinstance(called, _Function):
            return self._inline(called, args, e, names)
        if called == Other("print"):
            return self._print(args, e.keywords, names)
        if not isinstance(called, Other) or e.keywords:
            raise Unproven
        self._sure = False
        result = bounds.call(called.name, args)
        if isinstance(result, Items):
            self._steps += len(result.items)
        return result

    def _print(self, args: list[Value], keywords: list[ast.keyword], names: _Names) -> Value:
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

    def _inline(self, f: _Function, args: list[Value], e: ast.Call, names: _Names) -> Value:
        parameters = [a.arg for a in f.node.args.args]
        if e.keywords or len(args) != len(parameters) or self._depth >= _DEPTH:
            raise Unproven
        module = names.own if names.module is None else names.module
        inside = _Names(dict(zip(parameters, args, strict=True)), module, f.local)
        loops, self._loops = self._loops, []
        self._returns.append([])
        self._depth += 1
        reached = self.block(f.node.body, inside)
        self._depth -= 1
        self._loops = loops
        results = self._returns.pop() + ([NONE] if reached else [])
        if not results:
            raise Unproven  # never comes back
        return reduce(bounds.join, results)


def _function(node: ast.FunctionDef) -> _Function:
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
    return _Function(node, frozenset(local))


_TYPES = {"int", "float", "str", "bool"}
_UNFOLLOWED = (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Lambda, ast.FunctionDef, ast.ClassDef)


# --- loops that never end -------------------------------------------------------------------------


def _state(names: _Names) -> object:
    """All that the rest of a program depends on, when it is known exactly; else None."""
    for value in names.own.values():
        exact = value.exact if isinstance(value, Number) else not isinstance(value, Text | Items) and value != UNKNOWN
        if not exact:
            return None
    return frozenset((name, str(value)) for name, value in names.own.items())


def _never_ends(loop: ast.While, names: _Names) -> bool:
    """Whether a loop that is entered is never left: bounds that hold on every turn keep its test true.

    Only bodies of which no statement can fail, leave the loop or use up memory: additions,
    subtractions and comparisons of numbers, assignments of them, `if`.
    """
    held = names.copy()
    try:
        for _ in range(4):
            walk = _Steady()
            if bounds.truth(walk.value(loop.test, held)) is not True:
                return False
            after = held.copy()
            if not walk.turn(loop.body, after):
                return False
            wider = {name: _widened(value, after.own.get(name, UNKNOWN)) for name, value in held.own.items()}
            if wider == held.own:
                return True
            held.own = wider
    except (Unproven, OverflowError):
        return False
    return False


def _widened(before: Value | _Function, after: Value | _Function) -> Value | _Function:
    if before == after:
        return before
    if not (isinstance(before, Number) and isinstance(after, Number)):
        return UNKNOWN
    low = before.low if after.low >= before.low else -math.inf
    high = before.high if after.high <= before.high else math.inf
    return Number(low, high, before.whole and after.whole)


class _Steady(_Walk):
    """A turn of a loop in which nothing can go wrong."""

    def turn(self, body: list[ast.stmt], names: _Names) -> bool:
        """Follow one turn; False when the loop may be left."""
        loop = _Loop()
        self._loops.append(loop)
        reached = self._turn(body, names, loop)
        return reached and not loop.breaks

    def statement(self, s: ast.stmt, names: _Names) -> bool:
        """Only what cannot fail."""
        if not isinstance(s, ast.Assign | ast.AugAssign | ast.If | ast.Pass | ast.Break | ast.Continue):
            raise Unproven
        return super().statement(s, names)

    def value(self, e: ast.expr, names: _Names) -> Value:
        """Only what cannot fail."""
        if isinstance(e, ast.BinOp) and not isinstance(e.op, ast.Add | ast.Sub):
            divisor = e.right.value if isinstance(e.op, ast.Mod) and isinstance(e.right, ast.Constant) else 0
            if not (isinstance(divisor, int) and divisor):
                raise Unproven
        if not isinstance(e, ast.BinOp | ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Name | ast.Constant | ast.IfExp):
            raise Unproven
        value = super().value(e, names)
        if not isinstance(value, Number):
            raise Unproven
        return value
