"""Answers that are neither numbers nor formulas but have a form: choices, yes and no, times of day. Pure."""

from __future__ import annotations

import re

_CHOICE = re.compile(
    r"(?:(?:the|option|choice|answer) )*(?:\(([A-Ja-j])\)(\s.*)?|(?-i:([A-J]))(?:[).:](\s.*)?)?)",
    re.IGNORECASE | re.DOTALL,
)
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:([ap])\.?\s?m\.?)?", re.IGNORECASE)
_YES = re.compile(r"(yes|no|true|false)(?:[,.;:!]\s.*)?", re.DOTALL)

_MEANS = {"true": "yes", "false": "no"}  # what a program prints


def same_form(a: str, b: str) -> bool | None:
    """Whether two answers of such a form are the same; None when they are not of one.

    >>> same_form("B", "(b)"), same_form("3:30 pm", "15:30"), same_form("yes", "no, never"), same_form("7", "8")
    (True, True, False, None)
    """
    one, other = _choice(a), _choice(b)
    if one and other:
        return one[0] == other[0] if not (one[1] and other[1]) else None
    for form in (_time, _yes):
        x, y = form(a), form(b)
        if x is not None and y is not None:
            return x == y
    return None


def _choice(text: str) -> tuple[str, str] | None:
    """The letter, and what is behind it."""
    found = _CHOICE.fullmatch(text)
    return None if found is None else ((found[1] or found[3]).upper(), (found[2] or found[4] or "").strip())


def _time(text: str) -> tuple[int, int, int] | None:
    """Hour, minute, second; without am or pm, as on a clock of 24 hours."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    return (hour % 12 + 12 * (found[4].casefold() == "p") if found[4] else hour), minute, second


def _yes(text: str) -> str | None:
    """The first word, when it is an answer."""
    found = _YES.fullmatch(text.casefold())
    return _MEANS.get(found[1], found[1]) if found else None
