r"""Read an answer as a formula: the tree, and the unit at its end."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from mmst.grading.cleaned import cleaned
from mmst.grading.parse import parse
from mmst.grading.plain import LONGEST
from mmst.grading.tree import SCALARS, Node, number
from mmst.grading.units import NO_UNIT, behind

_STYLED_UNIT = re.compile(
    r"(?<=[\d)}|\s$])\s*\\(?:text|mbox|mathrm|textbf|textnormal|textrm|rm)\s*\{([^{}]*)\}\s*(\^\s*\{?[23]\}?)?[\s.$\\)\]]*$"
)
_PLAIN_UNIT = re.compile(
    r"(?:(?<=[\d)}$])|(?<=\\pi)|(?<=π))\s*\$?\s+((?:(?:square|cubic|sq\.?)\s+)?(?:[cmk]?m|[mk]?g|ft|feet|foot|inch(?:es)?|miles?|degrees?|"
    r"units?|hours?|minutes?|seconds?|days?|years?|dollars?|cents?|meters?|metres?|centimeters?|percent|pct|"
    r"percentage|radians?))(\s*\^\s*\{?[23]\}?)?[\s.$]*$"
)
_CONNECTIVES = frozenset({"and", "or", ""})
_MARKS = re.compile(r"^[\s*`\"]+|[\s*`\"]+$")


class Reading(NamedTuple):
    """A formula and the words of its unit."""

    tree: Node
    unit: frozenset[str]


def read(text: str, question: str = "") -> Reading | None:
    r"""The formula of an answer, or None. A multiplying word becomes part of the tree: `\frac12` dozen is 12 · 1/2.

    >>> read(r"3\sqrt{2} \text{ cm}").unit, read("Evelyn") is None or read("Evelyn").tree.kind
    (frozenset({'cm'}), 'word')
    """
    if len(text) > LONGEST:
        return None
    text = _MARKS.sub("", cleaned(text)).strip().rstrip(".").rstrip()
    unit, scale = NO_UNIT, Fraction(1)
    for pattern in (_STYLED_UNIT, _PLAIN_UNIT):
        found = pattern.search(text)
        if found and found[1].strip() not in _CONNECTIVES and len(found[1].strip("( )")) > 0 and not unit:
            words = found[1].strip() + (found[2] or "").strip(" {}").replace("{", "")
            said = behind(f" {words}", "", Fraction(2), question)
            if said is None:
                return None
            unit, scale, text = said.unit, said.scale, text[: found.start()]
    tree = parse(text)
    if tree is None:
        return None
    if scale != 1:
        if tree.kind not in SCALARS:
            return None
        tree = Node("mul", None, (tree, number(scale)))
    return Reading(tree, unit)
