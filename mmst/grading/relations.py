"""Equations and inequalities: their labels, their intervals, and when two are the same."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from mmst.grading import evaluate, values
from mmst.grading.arithmetic import Arithmetic, Unsuitable
from mmst.grading.tree import SCALARS, Node

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
_LABELS = frozenset({"name", "call", "abs", "mul", "div", "ratio", "tuple"})


def body_and_label(node: Node) -> tuple[Node, Node | None]:
    """The value of a relation, and its label: 5 of x = 5, [0, 1) of x ∈ [0, 1), 7:32 of S:T = 7:32; 5 of a = b = 5."""
    if node.kind != "relation" or not isinstance(node.value, tuple):
        return node, None
    first, last = node.parts[0], node.parts[-1]
    if node.value == ("in",):
        return (last, first) if is_label(first) else (node, None)
    if set(node.value) != {"="} or not is_label(first):
        if set(node.value) == {"="} and len(node.parts) > 2 and is_label(node.parts[-2]) and not last.names():
            return last, node.parts[-2]
        if node.value == ("=",) and last.kind == "name" and not first.names():
            return first, last
        if set(node.value) == {"="} and not node.names() and _holds(node):
            return last, first
        return node, None
    return last, first


def _holds(node: Node) -> bool:
    """Whether an equation between numbers is true: 3 + 4 = 7 gives 7, 3 + 4 = 8 gives nothing."""
    return all(values.same_value(node.parts[0], part) for part in node.parts[1:])


def is_label(node: Node) -> bool:
    """Whether it is only a name: x, AB, |AB|, f(2), NO/BO, (p, q); not 2x + z, nor x²."""
    if node.kind == "call":
        return node.value not in evaluate.KNOWN
    return node.kind in _LABELS and all(is_label(p) for p in node.parts) and (bool(node.parts) or node.kind == "name")


def same_label(a: Node, b: Node, body_a: Node, body_b: Node) -> Callable[[Node], Node] | None:
    """A function that puts the names of a into the right side of b (f(x) = …, f(t) = …); None if the labels differ.

    A name in a label is the argument of a function only where the body has it too: P(A) = 1/2 is not P(B) = 1/2.
    """
    if a == b:
        return lambda node: node
    if not (a.kind == b.kind == "call" and a.value == b.value and len(a.parts) == len(b.parts)):
        return None
    bound = all(p.kind == "name" and str(p.value) in body_a.names() for p in a.parts)
    if bound and all(p.kind == "name" and str(p.value) in body_b.names() for p in b.parts):
        names = dict(zip(b.parts, a.parts, strict=True))
        return lambda node: node.replaced(names.get)
    return None


def is_numeric(node: Node) -> bool:
    """Whether a relation is between numbers, so true or false."""
    return not node.names() and not any(n.kind == "call" and n.value not in evaluate.KNOWN for n in node.walk())


def same_numeric(a: Node, b: Node) -> bool:
    """Equations between numbers: true ones by the value of their sides, false ones side by side.

    2 + 2 = 4 is 4 = 1 + 3, not 3 + 3 = 6.
    """
    if a.value == b.value and len(a.parts) == len(b.parts) and _side_by_side(a.parts, b.parts):
        return True
    if isinstance(a.value, tuple) and isinstance(b.value, tuple) and {*a.value, *b.value} == {"="}:
        return _holds(a) and _holds(b) and values.same_value(a.parts[0], b.parts[0]) is True
    flipped = tuple(_FLIPPED.get(sign, "") for sign in reversed(b.value)) if isinstance(b.value, tuple) else ()
    return a.value == flipped and len(a.parts) == len(b.parts) and _side_by_side(a.parts, b.parts[::-1])


def _side_by_side(a: tuple[Node, ...], b: tuple[Node, ...]) -> bool:
    return all(values.same_value(x, y) is True for x, y in zip(a, b, strict=True))


def bounds_of(node: Node) -> tuple[Node, Node] | None:
    """The unknown of an inequality and its interval: x < 5 is (-∞, 5), 0 < f(x) ≤ 1 is (0, 1]."""
    if not isinstance(node.value, tuple):
        return None
    parts, signs = node.parts, node.value
    if signs[0] in (">", ">="):
        parts, signs = parts[::-1], tuple(_FLIPPED.get(s, "") for s in reversed(signs))
    if not set(signs) <= {"<", "<="}:
        return None
    infinity = Node("name", "infinity")
    below, above, opening, closing = Node("neg", None, (infinity,)), infinity, "(", ")"
    if len(parts) == 3 and is_label(parts[1]) and not parts[0].names() and not parts[2].names():
        below, above = parts[0], parts[2]
        opening, closing = "[" if signs[0] == "<=" else "(", "]" if signs[1] == "<=" else ")"
        unknown = parts[1]
    elif len(parts) == 2 and is_label(parts[0]) and not parts[1].names():
        unknown, above, closing = parts[0], parts[1], "]" if signs[0] == "<=" else ")"
    elif len(parts) == 2 and is_label(parts[1]) and not parts[0].names():
        unknown, below, opening = parts[1], parts[0], "[" if signs[0] == "<=" else "("
    else:
        return None
    if unknown.kind == "abs":
        return None
    return unknown, Node("interval", opening + closing, (below, above))


def same_relation(a: Node, b: Node) -> bool | None:
    """Sign by sign: l - r of one is a constant multiple of the other's, a positive one for < and ≤."""
    if a.names() != b.names():
        return False
    if any(p.kind in SCALARS and p.has("relation", "union", "intersection") for p in (*a.parts, *b.parts)):
        return False  # P(X = 1) and P(X = 2)
    found_a, found_b = _named(a), _named(b)
    if found_a.names() != found_b.names():  # f(2) and f(3), or f(2x) and f(x + x)
        return None if a.names() and _functions(a) == _functions(b) is not None else False
    a, b = found_a, found_b
    one, two = _upward(a), _upward(b)
    if len(one) != len(two) or [s for _, s in one] != [s for _, s in two]:
        return None if a.names() else False
    found = [_proportional(x, y, either_sign=sign in ("=", "!=")) for (x, sign), (y, _) in zip(one, two, strict=True)]
    if all(f is True for f in found):
        return True
    return None


def _named(node: Node) -> Node:
    """The relation with each value of an unknown function replaced by its own unknown."""

    def change(part: Node) -> Node | None:
        if part.kind != "call" or part.value in evaluate.KNOWN:
            return None
        arguments = ",".join(_spelled(p) for p in part.parts)
        return Node("name", f"{part.value}({arguments})")

    return node.replaced(change)


def _functions(node: Node) -> set[object] | None:
    """Its functions; None if the argument of one is not a value: P(A ∪ B), P(X = 1)."""
    calls = [n for n in node.walk() if n.kind == "call"]
    return {n.value for n in calls} if all(p.kind in SCALARS for n in calls for p in n.parts) else None


def _spelled(node: Node) -> str:
    try:
        value = evaluate.Evaluation(evaluate.EXACT, {}, evaluate.Budget()).of(node)
        return f"{value.numerator:x}/{value.denominator:x}"
    except (Unsuitable, RecursionError):
        return "".join([node.kind, hex(node.value.numerator) if isinstance(node.value, Fraction) else str(node.value),
                        "(", *(_spelled(p) for p in node.parts), ")"])  # fmt: skip


def _upward(node: Node) -> list[tuple[Node, str]]:
    """The chain as differences that are < or ≤ (or =, ≠) 0, starting with the smallest."""
    assert isinstance(node.value, tuple)
    pairs = list(zip(node.parts, node.value, node.parts[1:], strict=False))
    if any(sign in (">", ">=") for _, sign, _ in pairs):
        pairs = [(right, _FLIPPED.get(sign, sign), left) for left, sign, right in reversed(pairs)]
    return [(Node("add", None, (left, Node("neg", None, (right,)))), sign) for left, sign, right in pairs]


def _proportional(a: Node, b: Node, either_sign: bool) -> bool | None:
    """Whether a is a constant multiple of b."""
    names = sorted(a.names() | b.names())
    ratios: list[Any] = []
    budget = evaluate.Budget()
    for i in range(evaluate.POINTS):
        where = evaluate.point(names, i)
        arithmetics: tuple[Arithmetic, ...] = (evaluate.EXACT, evaluate.REAL)
        for arithmetic in arithmetics:
            try:
                found = evaluate.Evaluation(arithmetic, where, budget)
                ratio = arithmetic.divide(found.of(a), found.of(b))
            except (Unsuitable, RecursionError):
                continue
            if ratios and type(ratio) is type(ratios[0]) and arithmetic.near(ratio, ratios[0]) is False:
                return False
            ratios.append(ratio)
            break
    if len(ratios) < 2 or not ratios[0]:
        return None
    return either_sign or all(r > 0 for r in ratios)
