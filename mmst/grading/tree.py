"""A formula as a small tree; `evaluate` and `match` give it meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Node:
    r"""A part of a formula; `value` says which of its kind.

    number, decimal     a Fraction; `decimal` when it was written with a point or an exponent
    name, word          x, x_1, π; a word that is no formula
    add mul div pow neg root (base, degree) abs factorial percent
    about               a value and what it is rounded to: √3/3 ≈ 0.577; its value is the first
    plusminus           of one or two parts; `value` is "+" for ± and "-" for ∓
    call                `value` is the function: sin, log (argument, base), f
    sum, product        `value` is the index; from, to, body
    integral, limit     `value` is the variable; from, to, body; at, body
    tuple list set      (1, 2); 1, 2; {1, 2}. A list has no brackets, and so no order
    interval            `value` is its brackets: "[)"
    time                12:30: hour and minute
    union intersection difference complement matrix (`value`: columns) ratio
    relation            `value` is a tuple of signs: ("<", "<=") of a < x ≤ b
    """

    kind: str
    value: object = None
    parts: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.parts)

    def has(self, *kinds: str) -> bool:
        """Whether it contains a node of one of these kinds."""
        return any(node.kind in kinds for node in self.walk())

    def names(self) -> frozenset[str]:
        """Its variables, without constants and the index of a sum."""
        if self.kind == "name":
            return frozenset() if self.value in CONSTANTS else frozenset({str(self.value)})
        found = frozenset(name for part in self.parts for name in part.names())
        return found - {str(self.value)} if self.kind in BINDERS else found

    def replaced(self, change: Callable[[Node], Node | None]) -> Node:
        """The tree with nodes replaced, from the top, wherever `change` gives something."""
        new = change(self)
        if new is not None:
            return new
        return Node(self.kind, self.value, tuple(p.replaced(change) for p in self.parts)) if self.parts else self


CONSTANTS = frozenset({"pi", "e", "i", "infinity"})
BINDERS = frozenset({"sum", "product", "integral", "limit"})
SCALARS = frozenset(
    "number decimal name add mul div pow neg root abs factorial percent about call sum product integral limit".split()
)
"""Kinds whose trees have one value; `plusminus` has two."""
SETS = frozenset({"set", "interval", "union", "intersection", "difference", "complement"})


def number(value: int | Fraction) -> Node:
    """An exact number."""
    return Node("number", Fraction(value))


def is_whole(node: Node) -> bool:
    """Whether it is written as an integer."""
    return node.kind == "number" and isinstance(node.value, Fraction) and node.value.denominator == 1
