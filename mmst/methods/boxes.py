r"""`\boxed` in a text, as TeX reads it: with braces, or around what follows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BOXED = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])[ \t]{0,99}\n?[ \t]{0,99}")
_MACRO = re.compile(r"\\(?:[A-Za-z]+|.)")
_PLAIN = re.compile(r"[-+−]?(?:\\?\$[ ]?)?(?:\d+(?:(?:,|\{,\})\d{3})*+(?:\.\d+)?|\.\d+)(?:/\d+)?(?:[ ]?\\?%)?|[A-Za-z]")
_BRACKETS = re.compile(r"\\left[^\n]{1,300}?\\right(?:\\[{}|]|.)|\([^()\n]{1,300}\)|\[[^\[\]\n]{1,300}[\])]")
_ARGUMENTS = {"frac": 2, "dfrac": 2, "tfrac": 2, "cfrac": 2, "binom": 2, "sqrt": 1, "text": 1, "textbf": 1, "mathrm": 1}
_ARGUMENTS |= {"mathbf": 1, "mathbb": 1, "overline": 1, "operatorname": 1, "textit": 1, "mbox": 1, "bar": 1, "vec": 1}
_WORDS_BETWEEN = re.compile(r"\b(?:and|or)\b")
_GAP = 40
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Box:
    """What stands in a box, and where the box begins and ends."""

    start: int
    end: int
    content: str


def boxes(text: str) -> list[Box]:
    r"""Every box of a text; of one in another, the outer one.

    >>> [b.content for b in boxes(r"\boxed{\boxed{7}}, \boxed 2, \boxed\frac12")]
    ['7', '2', '\\frac12']
    """
    found: list[Box] = []
    for m in _BOXED.finditer(text):
        if found and m.start() < found[-1].end:
            continue
        if text[m.end() : m.end() + 1] == "{":
            content = _braced(text, m.end() + 1)
            end = m.end() + len(content) + 2 if content else m.end() + 1
        else:
            end = _token(text, m.end())
            content = text[m.end() : end]
        while inner := _BOXED.match(content.strip()):
            content = content.strip()[inner.end() :]
            content = content[1:-1] if content[:1] == "{" and content[-1:] == "}" else content
        found.append(Box(m.start(), end, content))
    return found


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Every `\boxed{X}` of a text, as position and X."""
    return [(box.start, box.content) for box in boxes(text)]


def grouped(found: list[Box], text: str) -> Iterator[tuple[int, str]]:
    """The boxes, those that belong together as one list."""
    group: list[str] = []
    first = end = 0
    for box in found:
        if group and not _together(text[end : box.start]):
            yield first, ", ".join(dict.fromkeys(group))
            group = []
        first = first if group else box.start
        group += [box.content] if box.content.strip() else []
        end = box.end
    if group:
        yield first, ", ".join(dict.fromkeys(group))


def _together(gap: str) -> bool:
    """Whether two boxes with this between them are one answer."""
    if len(gap) > _GAP or "\n\n" in gap or re.search(r"[.;!?]\s", gap):
        return False
    return not re.search(r"[^\W_]", re.sub(r"\\[a-z]+", "", gap)) or bool(_WORDS_BETWEEN.search(gap))


def _braced(text: str, start: int, limit: int = _LONGEST) -> str:
    """What stands up to the brace that closes one opened just before `start`; "" when none does."""
    depth = 1
    for at, c in enumerate(text[start : start + limit], start):
        depth += (c == "{") - (c == "}")
        if depth == 0:
            return text[start:at]
    return ""


def _token(text: str, start: int) -> int:
    """Where what a box without braces holds ends: a number, a letter, or a macro with its arguments."""
    if plain := _PLAIN.match(text, start):
        return plain.end()
    sign = re.compile(r"[-+−]\s?").match(text, start)
    if brackets := _BRACKETS.match(text, start):
        return brackets.end()
    macro = _MACRO.match(text, sign.end() if sign else start)
    if macro is None:
        return start
    at = macro.end()
    for _ in range(_ARGUMENTS.get(macro[0][1:], 0)):
        option = re.compile(r"\s?\[[^\]\n]{0,20}\]").match(text, at)
        at = option.end() if option else at
        at += len(text[at : at + 9]) - len(text[at : at + 9].lstrip(" "))
        if text[at : at + 1] == "{":
            content = _braced(text, at + 1)
            at += len(content) + 2 if content else 1
        elif inner := _MACRO.match(text, at):
            at = inner.end()
        else:
            at = min(len(text), at + 1)
    return at
