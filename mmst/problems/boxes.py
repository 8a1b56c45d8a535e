r"""What a reference solution marks as its answer: `\boxed{…}`. Pure.

- Without braces the box holds the formula behind it: `\boxed 2`, `\boxed\frac12`.
- The different boxes of a solution are one answer together ("3, -3"): in a reference solution only answers are boxed.
- Where the last one is announced ("the answer is …"), it counts alone.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_NUMBER = re.compile(r"[-+]?(?:\\\$)?(?:\d+(?:,\d{3}(?!\d))*(?:\.\d+)?|\.\d+)")
_LONGEST = 2_000
"""No box and no formula around one is longer."""
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|.)")
_CLOSES = re.compile(r"\$|\\[)\]]|\n\s*\n|\\boxed|\\fbox|\\end\b|&|\\\\|\Z")
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|ne|approx|quad|qquad|text)\b")
_ANNOUNCED = re.compile(r"answers?(?: \w+)?(?: is| are|:)(?:(?![.!?]\s)[^\n]){0,40}\Z", re.IGNORECASE)
_ARGUMENTS = {"frac": 2, "dfrac": 2, "tfrac": 2, "cfrac": 2, "binom": 2, "dbinom": 2, "tbinom": 2}
_ONE_ARGUMENT = ("sqrt", "text", "textbf", "mathrm", "mathbf", "overline", "vec", "hat", "bar")


def answer_in_boxes(solution: str) -> str:
    r"""The answer that a reference solution boxes; "" when it boxes none.

    >>> answer_in_boxes(r"$x = \boxed{3}$ or $x = \boxed{-3}$"), answer_in_boxes(r"It is $\boxed\frac12$.")
    ('3, -3', '\\frac12')
    """
    return ", ".join(answers_in_boxes(solution))


def answers_in_boxes(solution: str) -> list[str]:
    """The different answers that a reference solution boxes, in their order."""
    boxes = boxed(solution)
    if boxes and _ANNOUNCED.search(solution[boxes[-2][1] if len(boxes) > 1 else 0 : boxes[-1][0]]):
        boxes = boxes[-1:]
    return list(dict.fromkeys(content for _, _, content in boxes))


def boxed(text: str) -> list[tuple[int, int, str]]:
    """The boxes that hold something: where each begins and ends, and what it holds."""
    found: list[tuple[int, int, str]] = []
    at = 0
    while box := _BOX.search(text, at):
        braced = text[box.end() : box.end() + 1] == "{"
        content, at = _braced(text, box.end()) if braced else _bare(text, box.end())
        content = content.strip()
        while (inner := _BOX.match(content)) and content[inner.end() :].startswith("{") and content.endswith("}"):
            content = content[inner.end() + 1 : -1].strip()
        if content:
            found.append((box.start(), at, content))
    return found


def _braced(text: str, start: int) -> tuple[str, int]:
    """What the braces at `start` enclose, and where that ends; nothing when they are never closed."""
    depth = 0
    at = start
    while at < min(len(text), start + _LONGEST):
        c = text[at]
        if c == "\\":
            at += 1
        depth += (c == "{") - (c == "}")
        at += 1
        if depth == 0:
            return text[start + 1 : at - 1], at
    return "", start + 1


def _bare(text: str, start: int) -> tuple[str, int]:
    """What a box without braces holds: the rest of its formula, else the one term behind it."""
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
    """Whether a formula is open at the end of this text; none goes on over a blank line."""
    before = before[before.rfind("\n\n") + 1 :]
    dollars = before.replace(r"\$", "")
    inline = dollars.replace("$$", "").count("$") % 2 == 1
    display = dollars.count("$$") % 2 == 1
    return inline or display or any(before.rfind(o) > before.rfind(c) for o, c in ((r"\(", r"\)"), (r"\[", r"\]")))


def _term(text: str, start: int) -> int:
    """Where the number, letter, or command with its arguments at `start` ends."""
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
