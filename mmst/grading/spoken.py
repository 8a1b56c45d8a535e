"""Answers with a form that is neither number nor formula. Pure.

Choices, yes and no, times of day; 1 hour 30 minutes, 4 remainder 1, and a ratio in words (2 to 3 = 2:3).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from mmst.grading.unit_words import KNOWN

_CHOICE = re.compile(
    r"(?:(?:the|option|choice|answer) )*(?:\(([A-Ja-j])\)(\s.*)?|(?-i:([A-J]))(?:[).:](\s.*)?)?)",
    re.IGNORECASE | re.DOTALL,
)
_HEDGES = re.compile(
    r"(?:or|and|nor|[/,;&])\s*(?:(?:the|option|choice) )*\(?(?-i:[A-J])(?![A-Za-z])"
    r"|(?:(?:is )?(?:not|wrong|false|incorrect)|isn't right|\?)\W*$",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:at )?(\d{1,2})(?::(\d{2})(?::(\d{2}))?)?\s*(?:([ap])\.?\s?m\.?)?(?:\s*(?:o'clock|hours|hrs))?", re.IGNORECASE
)
_NAMED_TIMES = {"noon": (12, 0, 0), "12 noon": (12, 0, 0), "midnight": (0, 0, 0), "12 midnight": (0, 0, 0)}
_YES = re.compile(
    r"(?:(?:the )?answer is:? |(?:definitely|certainly|absolutely|surely|clearly|of course),? )?(yes|no|true|false)"
    r"(?:[,.;:!]\s*(\S.*)|[,.;:!]|\s[-–—]\s(\S.*)|\s\(([^()]+)\)"
    r"|\s((?:because|since|as|it|he|she|they|this|that|there)\b.*))?",
    re.DOTALL,
)
_MEANS = {"true": "yes", "false": "no"}  # what a program prints
_TURNS = re.compile(
    r"\b(?:yes|no|true|false|but|only|unless|except|if|when|however|though|although|sometimes|partly|not always|or|"
    r"maybe|perhaps|neither)\b"
)
_EXPLAINS = re.compile(
    r"(?:because|since|as|for|so|it|this|that|these|those|there|the|they|he|she|we|you|i|its|all|both|every|each|any|none|"
    r"[a-z]+ (?:is|are|was|were|has|have|had|can|could|does|do|did|will|would|should|must|may))\b.*\s\S.*|"
    r"(?:it|this|that|they|he|she|we|you|i|there) \S+",
    re.DOTALL,
)
_MEASURE = r"(\d{1,9}(?:\.\d{1,9})?)\s?([A-Za-z]{1,20})\.?"
_MEASURES = re.compile(rf"{_MEASURE}(?:(?:,\s|\s|,?\sand\s){_MEASURE}){{1,3}}")
_REMAINDER = re.compile(
    r"(-?\d{1,99}),?\s?(?:with )?(?:an? )?(?:remainder|rem|r)\.?(?: of)?\s?(\d{1,99})", re.IGNORECASE
)
_RATIO = re.compile(r"(\d{1,30})\s?(:| to )\s?(\d{1,30})")


def same_form(a: str, b: str, same: Callable[[str, str], bool]) -> bool | None:
    """Whether two answers of such a form are the same; None if they have none. `same` compares the text after it.

    >>> same_form("B", "(b)", str.__eq__), same_form("3:30 pm", "15:30", str.__eq__), same_form("7", "8", str.__eq__)
    (True, True, None)
    """
    one, other = _choice(a), _choice(b)
    if one and other:
        return one[0] == other[0] if not (one[1] and other[1]) else None
    x, y = _time(a), _time(b)
    if x is not None and y is not None:
        return x == y
    for form in (_measures, _remainder):
        left, right = form(a), form(b)
        if left is not None and right is not None:
            return left == right
    if (ratio := _ratio_in_words(a, b)) is not None:
        return ratio
    one, other = _yes(a), _yes(b)
    if one is None or other is None:
        return None
    if one[0] != other[0]:
        return False
    if one[1] and other[1]:
        return same(one[1], other[1])
    return not (one[1] or other[1]) or _explains(one[1] or other[1])


def _choice(text: str) -> tuple[str, str] | None:
    """The letter, and the text after it; None if that names another letter or takes this one back."""
    found = _CHOICE.fullmatch(text)
    if found is None:
        return None
    rest = (found[2] or found[4] or "").strip()
    return None if _HEDGES.match(rest) else ((found[1] or found[3]).upper(), rest)


def _time(text: str) -> tuple[int, int, int] | None:
    """Hour, minute, second; without am or pm, on a 24-hour clock. An hour alone needs one of them."""
    if text.casefold() in _NAMED_TIMES:
        return _NAMED_TIMES[text.casefold()]
    found = _TIME.fullmatch(text)
    if found is None or not (found[2] or found[4]):
        return None
    hour, minute, second = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    if hour > 24 or minute > 59 or second > 59 or (found[4] and hour > 12 and found[4].casefold() == "a"):
        return None
    half = hour % 12 + 12 * (found[4].casefold() == "p") if found[4] and hour <= 12 else hour
    return half, minute, second


def _yes(text: str) -> tuple[str, str] | None:
    """The first word, if it is an answer, and the text after it."""
    found = _YES.fullmatch(text.casefold().strip("[]"))
    if found is None:
        return None
    return _MEANS.get(found[1], found[1]), next((rest for rest in found.groups()[1:] if rest), "")


def _explains(text: str) -> bool:
    """Whether the text after yes or no only explains it: no other answer, and no retraction."""
    return _TURNS.search(text) is None and _EXPLAINS.fullmatch(text) is not None


def _measures(text: str) -> dict[str, Fraction] | None:
    """What is measured in several units: 5 feet 2 inches. All must be known, and none stand twice."""
    if _MEASURES.fullmatch(text) is None:
        return None
    found: dict[str, Fraction] = {}
    for digits, word in re.findall(_MEASURE, text):
        if word.casefold() == "and":
            return None
        spellings = (word.casefold(), word.casefold().removesuffix("s"))
        unit = next((KNOWN[w] for w in spellings if w in KNOWN), None)
        if unit is None or unit in found:
            return None
        found[unit] = Fraction(digits)
    return found


def _remainder(text: str) -> tuple[int, int] | None:
    """Quotient and remainder: 4 R 1."""
    found = _REMAINDER.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def _ratio_in_words(a: str, b: str) -> bool | None:
    """Whether a ratio with a colon is one with "to"; None when they are not such a pair, or of a time of day."""
    one, other = _RATIO.fullmatch(a), _RATIO.fullmatch(b)
    if one is None or other is None or (one[2] == " to ") == (other[2] == " to "):
        return None
    (p, q), (r, s) = ((int(m[1]), int(m[3])) for m in (one, other))
    return (p, q) == (r, s) or (None if _time(a) or _time(b) else p * s == q * r and q * s > 0)
