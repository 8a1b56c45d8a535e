r"""Text from outside made fit to be seen: what would move the cursor, turn the line or hide is shown as `\x1b`.

Servers, models, files and programs may write anything. Nothing is lost: what is unsafe stands there escaped,
and what people write with (accents, any script, emoji) stays as it is.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

LONGEST = 4000
"""Characters of a line of a message; the rest is counted."""
MOST_LINES = 100
_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe-\uffff\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U000fffff\U00100000-\U0010ffff"
)
"""Control and format characters, line and paragraph separators, surrogates, private use, what is seen as nothing."""
_HOSTILE = re.compile(f"[{_UNSAFE}]")
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_PILE = re.compile(f"([{_MARKS}]{{4}})[{_MARKS}]+")
"""Marks piled on one letter, which would be drawn over other lines."""
_IN_JSON = re.compile(f"[{_UNSAFE}\\x85]")
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe0e\ufe0f"


def clean(text: str) -> str:
    r"""Text of one or more lines, safe on a terminal; its line ends and tabs stay.

    >>> clean("red \x1b[31m, back\r")
    'red \\x1b[31m, back\\r'
    """
    if text.isascii() and text.isprintable():
        return text
    text = _HOSTILE.sub(_escaped, text.replace("\r\n", "\n"))
    return text if text.isascii() else _PILE.sub(_piled, text)


def line(text: str, most: int = LONGEST) -> str:
    r"""Text as one line of at most `most` characters, so that it cannot pass for a second one.

    >>> line("no such file\nmmst: all is well")
    'no such file\\nmmst: all is well'
    """
    text = clean(text[: most + 1] if len(text) > 4 * most else text).replace("\n", r"\n").replace("\t", " ")
    return text if len(text) <= most else f"{text[:most]}…"


def message(text: str) -> str:
    r"""A message of ours with words from outside in it; the only line ends are ours, each before four spaces.

    >>> message("it died. Its last lines:\n    one\n    two")
    'it died. Its last lines:\n    one\n    two'
    """
    first, *others = text.replace("\r\n", "\n").split("\n    ")
    if len(others) > MOST_LINES:
        others = [f"… {len(others) - MOST_LINES:,} more lines …", *others[-MOST_LINES:]]
    return "\n    ".join(line(part.rstrip("\n")) for part in (first, *others))


def replaced(text: str) -> str:
    """Text for a page, where one mark stands for each unsafe character."""
    return _HOSTILE.sub(lambda m: m[0] if _in_place(m) else "\N{REPLACEMENT CHARACTER}", text)


def json_text(value: Any, indent: int | None = None) -> str:
    r"""JSON whose strings hold exactly the data, what is unsafe as an escape; for standard output and logs.

    >>> json_text({"said": "\x1b[2J\x9b\u202e é"})
    '{"said": "\\u001b[2J\\u009b\\u202e é"}'
    """
    return in_json(json.dumps(value, ensure_ascii=False, indent=indent, default=str))


def in_json(text: str) -> str:
    """The same JSON, what is unsafe in its strings as an escape; outside of strings JSON has none of it."""
    return text if text.isascii() and "\x7f" not in text else _IN_JSON.sub(_unit, text)


def _unit(found: re.Match[str]) -> str:
    c = found[0]
    if c in "\r\n" or _in_place(found):
        return c
    data = c.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[i : i + 2].hex()}" for i in range(0, len(data), 2))


def _escaped(found: re.Match[str]) -> str:
    return found[0] if _in_place(found) else found[0].encode("unicode_escape").decode()


def _piled(found: re.Match[str]) -> str:
    return found[1] + found[0][len(found[1]) :].encode("unicode_escape").decode()


def _in_place(found: re.Match[str]) -> bool:
    """Whether a joiner stands between signs that it joins, or a selector after a sign that it selects a look of."""
    c, text, at = found[0], found.string, found.start()
    if at == 0:
        return False
    before = text[at - 1]
    if c in _SELECTORS:  # ☎️, 1️⃣
        return unicodedata.category(before) in ("So", "Sm", "Po", "Nd")
    if "\U000e0100" <= c <= "\U000e01ef":  # a form of an ideograph
        return unicodedata.category(before) == "Lo"
    if c in _JOINERS and at + 1 < len(text):  # Persian, Hindi; families of emoji
        return _joins(before) and _joins(text[at + 1])
    return False


def _joins(c: str) -> bool:
    """Whether a sign is an emoji, or a letter or mark of a script without capitals: those that joiners are for."""
    return c > "\u0590" and (c in _SELECTORS or unicodedata.category(c) in ("Lo", "Mn", "Mc", "So", "Sk"))
