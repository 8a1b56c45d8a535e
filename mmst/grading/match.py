"""Whether two trees are the same answer: collections and relations part by part, scalars by value.

Three-valued: None if algebra is needed (an equation to solve, a union to simplify). The docstring of `mmst.grading`
has the rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from mmst.grading import evaluate, values
from mmst.grading.relations import body_and_label, bounds_of, is_numeric, same_label, same_numeric, same_relation
from mmst.grading.tree import SCALARS, SETS, Node

_T = TypeVar("_T")
_MOST = 64
"""Longer unordered lists are compared in order."""


def same(gold: Node, answer: Node) -> bool | None:
    """Whether two trees are the same answer."""
    if gold == answer:
        return True
    if gold.has("word") or answer.has("word"):
        return False
    with evaluate.one_comparison():
        found = _same(gold, answer)
    return True if found is None and sort(gold) == sort(answer) else found


def sort(node: Node) -> Node:
    """The tree with terms and factors in a fixed order."""
    parts = [sort(part) for part in node.parts]
    return Node(node.kind, node.value, tuple(sorted(parts, key=_order) if node.kind in ("add", "mul") else parts))


def _order(node: Node) -> tuple[Any, ...]:
    """The sort key of trees; not their text, because Python does not print ints of thousands of digits."""
    return (node.kind, type(node.value).__name__, () if node.value is None else node.value, *map(_order, node.parts))


def _same(a: Node, b: Node) -> bool | None:
    a, b = expand(a), expand(b)
    if "matrix" not in (a.kind, b.kind):
        a, b = _alone(a), _alone(b)
    if "about" in (a.kind, b.kind):
        return _about(a, b)
    if a.kind == "relation" or b.kind == "relation":
        return _related(a, b)
    if "list" in (a.kind, b.kind):
        return _listed(a, b)
    if "matrix" in (a.kind, b.kind):
        return _matrices(a, b)
    if a.kind in SETS or b.kind in SETS:
        return _sets(a, b)
    if "tuple" in (a.kind, b.kind):  # a list of three or more that Python printed is no interval
        return a.kind == b.kind and (a.value == b.value or len(a.parts) > 2) and ordered(a.parts, b.parts)
    if "time" in (a.kind, b.kind):  # as it stands: no ratio, no quotient
        return {a.kind, b.kind} <= {"time", "ratio"} and ordered(a.parts, b.parts)
    if "ratio" in (a.kind, b.kind):
        return _ratios(a, b)
    if a.kind in SCALARS and b.kind in SCALARS:
        if a.has(*SETS, "tuple") != b.has(*SETS, "tuple"):
            return False
        infinite = _infinity(a), _infinity(b)
        if any(infinite):
            return infinite[0] == infinite[1]
        return None if _has_matrix(a) or _has_matrix(b) else values.same_value(a, b)
    return None


def _alone(node: Node) -> Node:
    """The only item of a list that Python printed."""
    while node.value == "[]" and len(node.parts) == 1 and node.parts[0].kind in ("tuple", "set", "interval"):
        node = node.parts[0]
    return node


def _about(a: Node, b: Node) -> bool | None:
    """With a value and its rounding, either may match (√3/3 ≈ 0.577); with two such pairs, the values count."""
    if a.kind == b.kind:
        return _same(a.parts[0], b.parts[0])
    about, other = (a, b) if a.kind == "about" else (b, a)
    exact, *rounded = about.parts
    found = [_same(part, other) for part in (exact, *(r for r in rounded if values.is_rounding(exact, r)))]
    return True if True in found else found[0]


def ordered(a: Sequence[Node], b: Sequence[Node]) -> bool | None:
    """Part by part."""
    if len(a) != len(b):
        return False
    return every(_same(x, y) for x, y in zip(a, b, strict=True))


def unordered(a: Sequence[Node], b: Sequence[Node]) -> bool | None:
    """Each part of one with a part of the other, in any order; repeated parts count once."""
    return _unordered(a, b, _same)


def as_often(a: Sequence[Node], b: Sequence[Node]) -> bool:
    """Whether neither has more copies of a part: 3, 3, 4 is not 3, 4, 4."""
    if max(len(a), len(b)) > _MOST:
        return True
    return all(sum(_same(x, y) is True for y in a) == sum(_same(x, y) is True for y in b) for x in (*a, *b))


def _unordered(a: Sequence[_T], b: Sequence[_T], same: Callable[[_T, _T], bool | None]) -> bool | None:
    if max(len(a), len(b)) > _MOST:
        return len(a) == len(b) and every(same(x, y) for x, y in zip(a, b, strict=True))
    doubtful = False
    for these, those in ((a, b), (b, a)):
        for x in these:
            found = [same(x, y) for y in those]
            if True not in found:
                if None not in found:
                    return False
                doubtful = True
    return None if doubtful else True


def every(found: Iterable[bool | None]) -> bool | None:
    """False if one is False, else None if one is None."""
    result: bool | None = True
    for one in found:
        if one is False:
            return False
        if one is None:
            result = None
    return result


def expand(node: Node) -> Node:
    """The two values of ±: 1 ± √2 is the list 1 + √2, 1 - √2."""
    if not node.has("plusminus"):
        return node
    if node.kind in ("list", "set"):
        parts = [expand(p) for p in node.parts]
        flat = itertools.chain.from_iterable(p.parts if p.kind == "list" else (p,) for p in parts)
        return Node(node.kind, node.value, tuple(flat))
    if node.kind == "relation" and isinstance(node.value, tuple) and set(node.value) == {"="}:
        return Node("list", None, tuple(node.replaced(_choose(upper)) for upper in (True, False)))
    if node.kind in SCALARS or node.kind == "plusminus":
        return Node("list", None, tuple(node.replaced(_choose(upper)) for upper in (True, False)))
    return node


def _choose(upper: bool) -> Callable[[Node], Node | None]:
    def change(node: Node) -> Node | None:
        if node.kind != "plusminus":
            return None
        parts = tuple(p.replaced(change) for p in node.parts)
        last = parts[-1] if (node.value == "+") == upper else Node("neg", None, parts[-1:])
        return Node("add", None, (parts[0], last)) if len(parts) == 2 else last

    return change


def _related(a: Node, b: Node) -> bool | None:
    """Relations: a label (x = …) may be missing; an inequality in one unknown is an interval."""
    if a.kind == b.kind:
        if is_numeric(a) or is_numeric(b):
            return is_numeric(a) and is_numeric(b) and same_numeric(a, b)
        (x, x_label), (y, y_label) = body_and_label(a), body_and_label(b)
        if x_label is not None and y_label is not None:
            renamed = same_label(x_label, y_label, x, y)
            if renamed is not None:
                return _same(x, renamed(y))
            if {x_label.kind, y_label.kind} & {"ratio", "tuple"}:
                return False
        for relation, other, label in ((a, y, y_label), (b, x, x_label)):
            if label is not None and other.kind in SETS and label.names() <= relation.names():
                return _related(relation, other)
        one, two = bounds_of(a), bounds_of(b)
        if one is not None and two is not None and one[0] == two[0]:
            return _same(one[1], two[1])
        return same_relation(a, b)
    relation, other = (a, b) if a.kind == "relation" else (b, a)
    body, label = body_and_label(relation)
    if label is not None:
        return _same(body, other)
    if other.kind == "list":
        return None if relation.names() <= other.names() or other.has("relation") or _is_equation(relation) else False
    if other.kind in SETS or other.kind == "tuple":
        bounds = bounds_of(relation)
        if bounds is not None:
            return _same(bounds[1], other)
        return None if other.kind in SETS and len(relation.names()) == 1 else False
    return False


def _is_equation(relation: Node) -> bool:
    """Whether it is one equation, whose solutions may be given as a list."""
    return relation.value == ("=",) and len(relation.names()) == 1


def _listed(a: Node, b: Node) -> bool | None:
    """Items without brackets: in any order against a list or set, in this order against a tuple."""
    if a.kind == "list" and b.kind == "list":
        labels = [[body_and_label(p)[1] for p in node.parts] for node in (a, b)]
        if all(any(found) for found in labels):
            return _unordered(list(_labelled(a)), list(_labelled(b)), _same_items)
        if not any(any(found) for found in labels):
            return every((unordered(a.parts, b.parts), as_often(a.parts, b.parts)))
        return (ordered if any(map(_all_different, labels)) else unordered)(_bodies(a), _bodies(b))
    listed, other = (a, b) if a.kind == "list" else (b, a)
    if other.kind == "set" or other.value == "[]":  # a program prints a list so
        return unordered(_bodies(listed), _printed_rows(other))
    if other.kind == "tuple" and other.value is None:
        return ordered(_bodies(listed), other.parts)
    if other.kind in SETS and any(body_and_label(p)[1] is None and p.kind == "relation" for p in listed.parts):
        return None  # x < -2 or x > 2
    if other.kind in SCALARS or other.kind == "tuple":
        return unordered(_bodies(listed), [other]) if len(listed.parts) == 1 else False
    return False


def _printed_rows(node: Node) -> tuple[Node, ...]:
    """The items of a list that Python printed; the lists in it are pairs, not intervals."""
    if node.value != "[]":
        return node.parts
    return tuple(Node("tuple", None, p.parts) if p.kind == "interval" and p.value == "[]" else p for p in node.parts)


_Item = tuple[Node, Node, Node | None]


def _labelled(node: Node) -> Iterator[_Item]:
    """Each item with its body and its label, which also applies to later items without one: x = 1, 2."""
    label: Node | None = None
    for part in node.parts:
        body, own = body_and_label(part)
        if own is None and part.kind == "relation":
            label = None
        yield part, body, own or label
        label = own or label


def _same_items(a: _Item, b: _Item) -> bool | None:
    """Items of two lists with labels; if both have one, they must agree."""
    if a[2] is None or b[2] is None:
        return _same(a[1], b[1])
    renamed = same_label(a[2], b[2], a[1], b[1])
    if renamed is not None:
        return _same(a[1], renamed(b[1]))
    return _related(a[0], b[0]) if a[0].kind == b[0].kind == "relation" else False


def _all_different(labels: list[Node | None]) -> bool:
    """Whether every item has a different label (p = 5, q = 2); x₁ and x₂ are roots of one unknown."""
    bases = [
        str(label.value).split("_")[0] if label is not None and label.kind == "name" else label for label in labels
    ]
    return None not in labels and len(set(bases)) == len(bases)


def _bodies(node: Node) -> tuple[Node, ...]:
    """The items without their labels; a list of labelled items is a tuple (p = 5, q = 2 is (5, 2))."""
    found = [body_and_label(p)[0] for p in node.parts]
    return tuple(Node("tuple", None, _bodies(p)) if p.kind == "list" else p for p in found)


def _sets(a: Node, b: Node) -> bool | None:
    """Sets as sets; (a, b) is an open interval beside intervals."""
    kinds = {a.kind, b.kind}
    if kinds == {"set", "tuple"} or kinds == {"set", "interval"}:
        listed = a if a.kind != "set" else b
        other = b if listed is a else a
        if listed.value == "[]" and (len(listed.parts) > 2 or any(p.kind not in SCALARS for p in listed.parts)):
            return unordered(_printed_rows(listed), other.parts)  # a list that Python printed
    if kinds == {"interval", "tuple"}:
        interval, pair = (a, b) if a.kind == "interval" else (b, a)
        return interval.value == "()" and pair.value is None and ordered(interval.parts, pair.parts)
    if kinds == {"interval"}:
        return a.value == b.value and ordered(a.parts, b.parts)
    if kinds == {"set"}:
        return unordered(a.parts, b.parts)
    if kinds == {"union"}:
        return True if unordered(_united(a), _united(b)) else None
    if not kinds <= SETS | {"tuple", "name"} or (kinds & {"name"} and not (kinds & {"difference"})):
        return False
    return False if kinds <= {"set", "tuple"} else None


def _united(node: Node) -> list[Node]:
    """The parts of a union; pairs in round brackets are intervals there."""
    return [Node("interval", "()", p.parts) if p.kind == "tuple" and len(p.parts) == 2 else p for p in node.parts]


def _matrices(a: Node, b: Node) -> bool | None:
    """Entry by entry; a column or row is also a tuple, and a list as Python prints it."""
    if a.kind == b.kind:
        return a.value == b.value and ordered(a.parts, b.parts)
    matrix, other = (a, b) if a.kind == "matrix" else (b, a)
    rows = other.parts if _is_printed(other) or (other.kind == "tuple" and len(other.parts) > 1) else ()
    if rows and all(_is_printed(r) or (r.kind == "tuple" and not _is_printed(other)) for r in rows):
        return len({len(r.parts) for r in rows}) == 1 and _matrices(
            matrix, Node("matrix", len(rows[0].parts), tuple(cell for row in rows for cell in row.parts))
        )
    if (other.kind == "tuple" or _is_printed(other)) and 1 in (
        matrix.value,
        len(matrix.parts) // int(str(matrix.value)),
    ):
        return ordered(matrix.parts, other.parts)
    return None if _has_matrix(other) else False


def _is_printed(node: Node) -> bool:
    """Whether it is a list as Python prints one."""
    return node.kind in ("interval", "tuple") and node.value == "[]"


def _has_matrix(node: Node) -> bool:
    return node.has("matrix")


def _ratios(a: Node, b: Node) -> bool | None:
    """1:2 is 2:4, and 1/2."""
    if a.kind == b.kind and len(a.parts) != len(b.parts):
        return False
    if a.kind == b.kind:
        x, y = a.parts, b.parts
        crossed = (Node("mul", None, (x[0], q)) for q in y[1:]), (Node("mul", None, (y[0], p)) for p in x[1:])
        return every(_same(p, q) for p, q in zip(*crossed, strict=True))
    ratio, other = (a, b) if a.kind == "ratio" else (b, a)
    if len(ratio.parts) != 2 or other.kind not in SCALARS:
        return False
    return _same(Node("div", None, ratio.parts), other)


def _infinity(node: Node) -> int:
    """1 for ∞, -1 for -∞, else 0."""
    if node == Node("name", "infinity"):
        return 1
    if node.kind == "neg":
        return -_infinity(node.parts[0])
    return 0
