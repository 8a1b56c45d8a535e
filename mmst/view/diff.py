"""Two texts side by side, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

LONGEST = 2000
"""Words of each text that are compared; what follows is shown as it is."""


def differing(first: str, second: str) -> tuple[list[tuple[bool, str]], list[tuple[bool, str]]]:
    """Both texts in pieces, each with whether the other has it too, at its place.

    >>> differing("3 + 4 = 7", "3 + 5 = 8")
    ([(True, '3 + '), (False, '4'), (True, ' = '), (False, '7')], [(True, '3 + '), (False, '5'), (True, ' = '), \
(False, '8')])
    """
    one, other = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (first, second))
    matcher = difflib.SequenceMatcher(a=one[:LONGEST], b=other[:LONGEST], autojunk=False)
    codes = matcher.get_opcodes()
    return (
        list(_pieces(one, ((code == "equal", a, b) for code, a, b, _, _ in codes))),
        list(_pieces(other, ((code == "equal", a, b) for code, _, _, a, b in codes))),
    )


def _pieces(words: list[str], parts: Iterator[tuple[bool, int, int]]) -> Iterator[tuple[bool, str]]:
    for same, start, end in parts:
        if start < end:
            yield same, "".join(words[start:end])
    if len(words) > LONGEST:
        yield True, "".join(words[LONGEST:])
