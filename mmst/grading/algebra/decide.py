"""Decide with algebra: relations by their solutions, the rest by simplifying. Only the worker process runs it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add, mul
from typing import Any

import sympy

from mmst.grading import read
from mmst.grading.match import expand
from mmst.grading.tree import SCALARS, Node
from mmst.grading.values import limited


class Untranslatable(ValueError):
    """The tree has no meaning in sympy."""


def decide(gold: str, answer: str) -> bool | None:
    """Whether two answers are the same; None if this cannot be decided."""
    one, two = read(gold), read(answer)
    if one is None or two is None:
        return None
    a, b = expand(one.tree), expand(two.tree)
    names = a.names() | b.names()
    if limited(a, b):
        return None
    if a.kind in SCALARS | {"matrix"} and b.kind in SCALARS | {"matrix"}:
        return _same_value(of(a), of(b))
    if a.names() and b.names() and a.names() != b.names():
        return False
    if len(names) <= 1:
        unknown = sympy.Symbol(next(iter(names), "x"), real=True)
        one_set, two_set = solutions(a, unknown), solutions(b, unknown)
        if a.kind == b.kind == "relation" and one_set == two_set and one_set in (sympy.EmptySet, sympy.Reals):
            return None  # always or never true: that says nothing of what was meant
        return _same_set(one_set, two_set)
    if a.kind == b.kind == "relation" and a.value == b.value == ("=",):
        return _same_curve(of(a.parts[0]) - of(a.parts[1]), of(b.parts[0]) - of(b.parts[1]))
    return None


def _same_value(a: Any, b: Any) -> bool | None:
    if getattr(a, "is_Matrix", False) or getattr(b, "is_Matrix", False):
        if getattr(a, "shape", None) != getattr(b, "shape", None):
            return False
        return all(_same_value(x, y) for x, y in zip(a, b, strict=True))
    if a.has(sympy.zoo, sympy.nan) or b.has(sympy.zoo, sympy.nan):
        return False
    difference = sympy.simplify(a - b)
    if difference == 0:
        return True
    if difference.is_number and difference.is_comparable:
        return bool(abs(difference.evalf(30)) < sympy.Float("1e-25"))
    found = difference.equals(0)
    return None if found is None else bool(found)


def _same_set(a: Any, b: Any) -> bool | None:
    if a == b:
        return True
    left = sympy.simplify(sympy.SymmetricDifference(a, b))
    if left.is_empty is not None:
        return bool(left.is_empty)
    if isinstance(a, sympy.FiniteSet) and isinstance(b, sympy.FiniteSet):
        return len(a) == len(b) and all(any(_same_value(x, y) for y in b) for x in a)
    return None


def _same_curve(a: Any, b: Any) -> bool | None:
    """Whether equations of several unknowns have the same zeros, so the same factors, whatever their powers."""
    x, y = (sympy.fraction(sympy.together(e))[0] for e in (a, b))
    symbols = sorted(x.free_symbols | y.free_symbols, key=str)
    if not (x.is_polynomial(*symbols) and y.is_polynomial(*symbols)):
        return True if sympy.simplify(a / b).is_number else None
    p, q = (sympy.Poly(e, *symbols).sqf_part().monic() for e in (x, y))
    return bool(p == q)


def solutions(node: Node, unknown: Any) -> Any:
    """The real numbers that a set, list or relation in one unknown describes."""
    if node.kind in ("set", "list"):
        united = [solutions(p, unknown) for p in node.parts]
        return sympy.Union(*united) if united else sympy.EmptySet
    if node.kind == "interval":
        low, high = map(of, node.parts)
        return sympy.Interval(low, high, str(node.value)[0] == "(", str(node.value)[1] == ")")
    if node.kind == "tuple" and len(node.parts) == 2:
        return sympy.Interval.open(*map(of, node.parts))
    if node.kind in ("union", "intersection", "difference"):
        join = {"union": sympy.Union, "intersection": sympy.Intersection, "difference": sympy.Complement}[node.kind]
        return join(*(solutions(p, unknown) for p in node.parts))
    if node.kind == "name" and str(node.value).startswith("all "):
        return {"R": sympy.Reals, "Z": sympy.Integers, "N": sympy.Naturals}[str(node.value)[4:]]
    if node.kind == "relation" and not node.names():
        raise Untranslatable("true or false, but of no unknown")
    if node.kind == "relation" and isinstance(node.value, tuple):
        if node.value == ("in",):
            return solutions(node.parts[1], unknown)
        pairs = zip(node.parts, node.value, node.parts[1:], strict=False)
        return sympy.Intersection(*(_solved(of(a), sign, of(b), unknown) for a, sign, b in pairs))
    if node.kind in SCALARS and not node.names():
        return sympy.FiniteSet(of(node))
    raise Untranslatable(node.kind)


_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": sympy.Eq, "!=": sympy.Ne, "<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge,
}  # fmt: skip


def _solved(left: Any, sign: str, right: Any, unknown: Any) -> Any:
    if sign == "=":
        return sympy.solveset(left - right, unknown, sympy.Reals)
    relation = _RELATIONS[sign](left, right)
    if relation in (sympy.true, sympy.false):
        return sympy.Reals if relation == sympy.true else sympy.EmptySet
    return sympy.solve_univariate_inequality(relation, unknown, relational=False)


_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "infinity": sympy.oo}
_FUNCTIONS = {"ceil": sympy.ceiling, "max": sympy.Max, "min": sympy.Min, "degrees": lambda x: x}


def of(node: Node) -> Any:
    """The sympy expression of a scalar or matrix."""
    parts = node.parts
    match node.kind:
        case "number" | "decimal":
            return sympy.Rational(str(node.value))
        case "name":
            name = str(node.value)
            return _CONSTANTS[name] if name in _CONSTANTS else sympy.Symbol(name, real=True)
        case "add":
            return reduce(add, map(of, parts))
        case "mul":
            return reduce(mul, map(of, parts))
        case "div":
            return of(parts[0]) / of(parts[1])
        case "neg":
            return -of(parts[0])
        case "pow":
            return of(parts[0]) ** of(parts[1])
        case "root":
            return sympy.real_root(of(parts[0]), of(parts[1])) if parts[1].value != 2 else sympy.sqrt(of(parts[0]))
        case "abs":
            return sympy.Abs(of(parts[0]))
        case "factorial":
            return sympy.factorial(of(parts[0]))
        case "percent":
            return of(parts[0])
        case "matrix" if isinstance(node.value, int):
            return sympy.Matrix(len(parts) // node.value, node.value, list(map(of, parts)))
        case "call":
            return _call(str(node.value), parts)
        case "sum" | "product" | "integral":
            bound = sympy.Symbol(str(node.value), real=True)
            join = {"sum": sympy.summation, "product": sympy.product, "integral": sympy.integrate}[node.kind]
            if any(str(node.value) in name.split("_", 1)[1] for name in parts[2].names() if "_" in name):
                raise Untranslatable("terms that depend on the index by their subscript")
            return join(of(parts[2]), (bound, of(parts[0]), of(parts[1])))
        case "limit":
            return sympy.limit(of(parts[1]), sympy.Symbol(str(node.value), real=True), of(parts[0]))
    raise Untranslatable(node.kind)


def _call(name: str, parts: tuple[Node, ...]) -> Any:
    if name == "base":
        return sympy.Integer(int(str(parts[0].value), int(str(parts[1].value))))
    if name == "det":
        return of(parts[0]).det()
    arguments = list(map(of, parts))
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](*arguments)
    known = name in "sin cos tan cot sec csc asin acos atan sinh cosh tanh log floor binomial gcd lcm".split()
    return getattr(sympy, name)(*arguments) if known else sympy.Function(name)(*arguments)
