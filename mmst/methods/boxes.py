r"""Find `\boxed` in a text as TeX reads it: with braces, or with the next term. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BOXED = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])[ \t]{0,99}\n?[ \t]{0,99}")
_NUMBER = re.compile(r"[-+]?(?:\\\$)?(?:\d+(?:,\d{3}(?!\d))*(?:\.\d+)?|\.\d+)")
_LONGEST = 2_000
"""Maximum length of a box and of the formula around it."""
_BRACES = re.compile(r"\\[^A-Za-z]|[{}]")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")
_CLOSES = re.compile(r"\$|\\[)\]]|\n\s*\n|\\boxed|\\fbox|\\end\b|&|\\\\|\Z")
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|ne|approx|quad|qquad|text)\b")
_ARGUMENTS = {"frac": 2, "dfrac": 2, "tfrac": 2, "cfrac": 2, "binom": 2, "dbinom": 2, "tbinom": 2}
_ONE_ARGUMENT = ("sqrt", "text", "textbf", "mathrm", "mathbf", "overline", "vec", "hat", "bar")
_WORDS_BETWEEN = re.compile(r"\b(?:and|or)\b")
_APART = re.compile(r"\b(?:not|nor|never|rather|instead|mistake|wrong|incorrect)\b|n['’]t\b")
_GAP = 40


@dataclass(frozen=True, slots=True)
class Box:
    """The content of a box, and where the box begins and ends."""

    start: int
    end: int
    content: str


def boxes(text: str) -> list[Box]:
    r"""The boxes of a text; of nested boxes, the outer one.

    >>> [b.content for b in boxes(r"\boxed{\boxed{7}}, \boxed 2, \boxed\frac12")]
    ['7', '2', '\\frac12']
    """
    found: list[Box] = []
    for m in _BOXED.finditer(text):
        if found and m.start() < found[-1].end:
            continue
        braced = text[m.end() : m.end() + 1] == "{"
        content, end = _braced(text, m.end()) if braced else _bare(text, m.end())
        while inner := _BOXED.match(content.strip()):
            content = content.strip()[inner.end() :]
            content = content[1:-1] if content[:1] == "{" and content[-1:] == "}" else content
        found.append(Box(m.start(), end, content))
    return found


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Each `\boxed{X}` of a text, as position and X."""
    return [(box.start, box.content) for box in boxes(text)]


def grouped(found: list[Box], text: str) -> Iterator[Box]:
    """The boxes of a text; those that belong together are one list."""
    group: list[str] = []
    first = end = 0
    for box in found:
        if group and not _together(text[end : box.start]):
            yield Box(first, end, ", ".join(dict.fromkeys(group)))
            group = []
        first = first if group else box.start
        group += [box.content] if box.content.strip() else []
        end = box.end
    if group:
        yield Box(first, end, ", ".join(dict.fromkeys(group)))


def _together(gap: str) -> bool:
    """Whether two boxes with this text between them are one answer."""
    if len(gap) > _GAP or "\n\n" in gap or re.search(r"[.;!?]\s", gap) or _APART.search(gap):
        return False
    return not re.search(r"[^\W_]", re.sub(r"\\[a-z]+", "", gap)) or bool(_WORDS_BETWEEN.search(gap))


def _braced(text: str, start: int) -> tuple[str, int]:
    """What the braces at `start` enclose, and where that ends; nothing if they are never closed."""
    depth = 0
    for mark in _BRACES.finditer(text, start, start + _LONGEST):
        depth += (mark[0] == "{") - (mark[0] == "}")
        if depth == 0:
            return text[start + 1 : mark.start()], mark.end()
    return "", start + 1


def _bare(text: str, start: int) -> tuple[str, int]:
    """The content of a box without braces: the rest of its formula, or the one term after it."""
    end = _term(text, start)
    closes = _CLOSES.search(text, start)
    stop = closes.start() if closes else len(text)
    rest = text[start:stop].rstrip().rstrip(".,;:")
    in_formula = closes is not None and closes[0] in ("$", r"\)", r"\]")
    if (
        in_formula
        and _opened(text[max(start - _LONGEST, 0) : start])
        and end <= stop
        and not _RELATION.search(text, end, stop)
    ):
        return rest, stop
    return text[start:end], end


def _opened(before: str) -> bool:
    """Whether a formula is still open at the end of this text; a blank line ends every formula."""
    before = before[before.rfind("\n\n") + 1 :]
    dollars = before.replace(r"\$", "")
    inline = dollars.replace("$$", "").count("$") % 2 == 1
    display = dollars.count("$$") % 2 == 1
    return inline or display or any(before.rfind(o) > before.rfind(c) for o, c in ((r"\(", r"\)"), (r"\[", r"\]")))


def _term(text: str, start: int) -> int:
    """Where the number, letter or command with its arguments at `start` ends."""
    if number := _NUMBER.match(text, start):
        return number.end()
    sign = start + 1 if text[start : start + 1] in ("-", "+") else start
    command = _COMMAND.match(text, sign)
    if command is None:
        return min(sign + 1, len(text)) if text[sign : sign + 1] not in ("", "$", "}", "\n", " ") else start
    name = command[0][1:]
    if name in (")", "]", "boxed", "fbox", "end"):
        return start
    end = command.end()
    if name in ("left", "bigl", "Bigl"):
        closed = re.search(r"\\(?:right|bigr|Bigr)\s*(?:\\[a-zA-Z]+|\\?.)", text[end:])
        return end + closed.end() if closed else end
    if name in _ONE_ARGUMENT and (option := re.compile(r"\s*\[[^\]]*\]").match(text, end)):
        end = option.end()
    for _ in range(_ARGUMENTS.get(name, int(name in _ONE_ARGUMENT))):
        end = _argument(text, end)
    return end


def _argument(text: str, start: int) -> int:
    """Where an argument ends: a group in braces, a command, or one character."""
    while text[start : start + 1] == " ":
        start += 1
    if text[start : start + 1] == "{":
        return _braced(text, start)[1]
    command = _COMMAND.match(text, start)
    return command.end() if command else min(start + 1, len(text))
