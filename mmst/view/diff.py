"""Two texts side by side, word by word."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator

LONGEST = 400
"""Words of each text that are compared; what follows is shown as it is."""
MOST = 40_000
"""Pairs of equal words from which on texts are shown unmarked: those that repeat themselves take minutes to compare."""
_WORD = re.compile(r"\s+|\w+|[^\w\s]")

Pieces = list[tuple[bool, str]]
"""A text in pieces, each with whether the other text has it too, at its place."""


def differing(first: str, second: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces.

    >>> differing("3 + 4 = 7", "3 + 5 = 8")
    ([(True, '3 + '), (False, '4'), (True, ' = '), (False, '7')], [(True, '3 + '), (False, '5'), (True, ' = '), \
(False, '8')])
    """
    one, other = (list(_words(text)) for text in (first, second))
    counts = Counter(other[:LONGEST])
    if sum(counts[word] for word in one[:LONGEST]) > MOST:
        return [(True, first)], [(True, second)]
    codes = difflib.SequenceMatcher(a=one[:LONGEST], b=other[:LONGEST], autojunk=False).get_opcodes()
    return (
        list(_pieces(one, ((code == "equal", a, b) for code, a, b, _, _ in codes))),
        list(_pieces(other, ((code == "equal", a, b) for code, _, _, a, b in codes))),
    )


def _words(text: str) -> Iterator[str]:
    """The first words, and the rest in one."""
    end = 0
    for n, found in enumerate(_WORD.finditer(text)):
        if n == LONGEST:
            break
        end = found.end()
        yield found[0]
    if end < len(text):
        yield text[end:]


def _pieces(words: list[str], parts: Iterator[tuple[bool, int, int]]) -> Iterator[tuple[bool, str]]:
    for same, start, end in parts:
        if start < end:
            yield same, "".join(words[start:end])
    if len(words) > LONGEST:
        yield True, "".join(words[LONGEST:])
