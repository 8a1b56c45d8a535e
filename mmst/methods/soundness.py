r"""Equations that a solution in words states: whether its steps are true, though its answer is right.

>>> false_equations("47 - 20 = 29 , and 29 + 1 = 30 .\nThe answer is 30")
('47 - 20 = 29',)

Only what is plainly an equation between numbers counts: "x + 3 = 5", "3 apples * 2 = 6" and "10:30 - 2 = 8:30" are
none. A rounded result is true, and "2 + 3 = 5 + 1 = 6" reads as two steps.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
from fractions import Fraction

# Nothing is given back (++, ?>), and a chain begins where no other could: the time is in proportion to the length.
_NUMBER = r"(?>\$?(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?%?)"
_SIDE = rf"(?:{_NUMBER}|[-+*/×÷()−–]|(?<=[\d\s)])[xX](?=[\s(]{{0,9}}\$?\d)|[ \t])++"
_CHAIN = re.compile(rf"(?<![\d%$+\-*/×÷()−– \t])(?<![\d \t)][xX]){_SIDE}(?:={_SIDE})++")
_TOUCHES_BEFORE = re.compile(r"[\w.,:^\\/_%]")
_TOUCHES_AFTER = re.compile(r"[\w:^\\/]|[.,]\d")
_GOES_ON = re.compile(r"\s*[+*/×÷^(]")
_SIGNS = str.maketrans({"×": "*", "x": "*", "X": "*", "÷": "/", "−": "-", "–": "-", "$": "", ",": ""})
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_LONGEST = 300


def false_equations(text: str) -> tuple[str, ...]:
    """The equations in a text that are not true, as they are written."""
    found = []
    for chain in _CHAIN.finditer(text):
        if len(chain[0]) > _LONGEST:
            continue
        sides = chain[0].split("=")
        for i, (left, right) in enumerate(itertools.pairwise(sides)):
            if i == 0 and _cut_off(text, chain.start()):
                continue
            if i == len(sides) - 2 and _continues(text, chain.end()):
                continue
            if _is_false(left, right):
                found.append(f"{left.strip()} = {right.strip()}")
    return tuple(found)


def _cut_off(text: str, start: int) -> bool:
    """Whether what stands before a chain belongs to its first side."""
    return start > 0 and not text[start].isspace() and _TOUCHES_BEFORE.match(text, start - 1) is not None


def _continues(text: str, end: int) -> bool:
    """Whether what stands after a chain belongs to its last side."""
    apart = text[end - 1].isspace()
    return bool(_GOES_ON.match(text, end)) or (not apart and bool(_TOUCHES_AFTER.match(text, end)))


def _is_false(left: str, right: str) -> bool:
    a, b = _value(left), _value(right)
    if a is None or b is None or not re.search(r"[-+*/×÷xX−–]", left.strip()):
        return False
    wanted = [b]
    if first := re.match(rf"\s*({_NUMBER})", right):  # of "5 + 1" the 5
        wanted += [v for v in (_value(first[1]), _value(first[1].rstrip("%"))) if v is not None]
    decimals = re.search(r"\.(\d+)%?\s*$", right)
    near = Fraction(1, 10 ** (len(decimals[1]) if decimals else 0))
    exact = (a / near).denominator == 1
    return all(a != b and (exact or abs(a - b) >= near) for b in wanted)


def _value(side: str) -> Fraction | None:
    """What an expression comes to; None if it is not one."""
    plain = re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", side.translate(_SIGNS).strip())
    if re.search(r"[\d)]\s+[\d(]|[\d)]\(", plain):
        return None
    try:
        return _of(ast.parse(re.sub(r"(?<![\d.])0+(?=\d)", "", plain), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError):
        return None


def _of(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.BinOp) and (apply := _OPERATORS.get(type(node.op))):
        value: Fraction = apply(_of(node.left), _of(node.right))
        return value
    raise ValueError("no arithmetic")
