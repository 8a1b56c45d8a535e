r"""An answer as a formula: the tree and, taken off its end, the unit."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmst.answers.numbers import unit_of
from mmst.answers.parse import parse
from mmst.answers.plain import LONGEST
from mmst.answers.tree import Node

_STYLED_UNIT = re.compile(
    r"(?<=[\d)}|\s$])\s*\\(?:text|mbox|mathrm|textbf|textnormal|textrm|rm)\s*\{([^{}]*)\}\s*(\^\s*\{?[23]\}?)?[\s.$\\)\]]*$"
)
_PLAIN_UNIT = re.compile(
    r"(?<=[\d)}$])\s*\$?\s+((?:(?:square|cubic|sq\.?)\s+)?(?:[cmk]?m|[mk]?g|ft|feet|foot|inch(?:es)?|miles?|degrees?|"
    r"units?|hours?|minutes?|seconds?|days?|years?|dollars?|cents?|meters?|metres?|centimeters?|percent|pct|"
    r"percentage|radians?))(\s*\^\s*\{?[23]\}?)?[\s.$]*$"
)
_CONNECTIVES = frozenset({"and", "or", ""})
_MARKS = re.compile(r"^[\s*`\"]+|[\s*`\"]+$")


class Reading(NamedTuple):
    """A formula and the words of its unit."""

    tree: Node
    unit: frozenset[str]


def read(text: str) -> Reading | None:
    r"""The formula that an answer is, or None.

    >>> read(r"3\sqrt{2} \text{ cm}").unit, read("Evelyn") is None or read("Evelyn").tree.kind
    (frozenset({'cm'}), 'word')
    """
    if len(text) > LONGEST:
        return None
    text = _MARKS.sub("", text).strip().rstrip(".").rstrip()
    unit: frozenset[str] = frozenset()
    for pattern in (_STYLED_UNIT, _PLAIN_UNIT):
        found = pattern.search(text)
        if found and found[1].strip() not in _CONNECTIVES and len(found[1].strip("( )")) > 0 and not unit:
            unit, text = (
                unit_of(found[1].strip() + (found[2] or "").strip(" {}").replace("{", "")),
                text[: found.start()],
            )
    tree = parse(text)
    return None if tree is None else Reading(tree, unit)
