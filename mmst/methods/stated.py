r"""What answer a solution in words commits to. Pure.

1. An answer is committed to by "the answer is X", "Answer: X", "the correct option is X", "#### X" or `\boxed{X}`.
   The last one counts; a solution that says none of it has no answer: its last number is not taken for one.
2. "Answer:" at the end of a line means the next line that is not empty.
3. X ends with its sentence; not at a point inside a formula or number. Where X is itself a sentence
   ("the largest n is 34"), what is behind its last "is" counts, else its only number or formula.
   Quotes and markdown around it are dropped.
4. Boxes that belong together are one list: side by side, or with "and", "or" and a few words between.
5. What only says that there is no answer ("unknown", "I don't know", "not …") is none; so is a box that
   is never closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(
    r"(?:answers?|(?:correct|right|best) (?:option|choice))\b[*_`\"'\])]*"
    r"(?:[ \t]+(?:to|of|for)[ \t][^.:\n]{1,80}?)?"
    r"(?:[ \t]+(?:would|must|should|will|therefore|thus|then|hence|simply))*"
    r"(?:[ \t]*(?::|=)|[ \t]+(?:is|are|be)\b)[*_`]*[ \t]*:?|####(?!#)",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LINE = re.compile(r"[ \t]*([^\n]{0,1000})")
_NEXT_LINE = re.compile(r"\s*([^\n]{0,1000})")
_END = re.compile(r"\s*(?:[.!;](?=\s|$|\"|\\\")|<\|)")
_SAYS = re.compile(
    r"(?:.*[^\\\w])?(?:is|are|equals?)(?:[ \t]+(?:approximately|about|exactly|equal to))?[ \t]*:?[ \t]+(.+)"
)
_VALUE = re.compile(r"\$[^$]+\$|\\\(.+?\\\)|(?<![\w.])[-+]?\$?\d(?:[\d,.]*\d)?(?:/\d+)?%?(?!\w)")
_NONE = re.compile(
    r"(?:not|unknown|unclear|undetermined|uncertain|i (?:do not|don't|am not)|n/?a)\b|\?+$", re.IGNORECASE
)
_WORDS_BETWEEN = re.compile(r"\b(?:and|or)\b")
_GAP = 40
_LONGEST = 1000
_TAIL = 50_000
"""How many characters at the end of a solution are looked at, so that any takes bounded time."""


def answer_in(solution: str) -> str | None:
    r"""The answer that a solution commits to, or None.

    >>> answer_in("So \Delta E = 3. Answer: D"), answer_in(r"\boxed{1} and \boxed{2}"), answer_in("3 + 4 = 7")
    ('D', '1, 2', None)
    """
    solution = solution[-_TAIL:]
    given = sorted([*_stated(solution), *_grouped(boxed(solution), solution)])
    return next((text for _, text in reversed(given) if any(c.isalnum() for c in text) or "\\" in text), None)


def boxed(text: str) -> list[tuple[int, str]]:
    r"""Every `\boxed{X}` of a text, as position and X."""
    return [(m.start(), _braced(text, m.end())) for m in _BOXED.finditer(text)]


def _stated(solution: str) -> Iterator[tuple[int, str]]:
    for found in _MARKER.finditer(solution):
        line = _LINE.match(solution, found.end())
        if line is not None and not line[1].strip(" \t*_`\"'$:"):
            line = _NEXT_LINE.match(solution, line.end())
        text = "" if line is None else line[1]
        if _MARKER.search(text):
            continue  # "Final answer: the answer is 7" says it again
        text = _bare(_sentence(text))
        if not _NONE.match(text):
            yield found.start(), text


def _sentence(text: str) -> str:
    """Up to where the sentence ends; a point inside a formula ends none."""
    for end in _END.finditer(text):
        before = text[: end.start()]
        if before.count("$") % 2 == 0 and before.count(r"\(") == before.count(r"\)"):
            return before
    return text


def _bare(text: str) -> str:
    text = text.strip().strip("*_`\"'").strip()
    if re.match(r"(?:[A-Za-z]{2,}|\$?[A-Za-z]\$?) ", text):
        said = _SAYS.fullmatch(text)
        prose = text.count(" ") >= 3 and not re.search(r"[=<>^\\]", _VALUE.sub("", text))
        values = _VALUE.findall(text) if prose else []
        text = said[1] if said else values[0] if len(values) == 1 else text
    return text.strip().strip("*_`\"'").removesuffix("\\").removeprefix('\\"').strip()


def _grouped(boxes: list[tuple[int, str]], text: str) -> Iterator[tuple[int, str]]:
    """The boxes, those that belong together as one list."""
    group: list[str] = []
    first = end = 0
    for start, content in boxes:
        if group and not _together(text[end:start]):
            yield first, ", ".join(dict.fromkeys(group))
            group = []
        first = first if group else start
        group += [content] if content.strip() else []
        end = text.index("{", start) + 1 + len(content) + 1
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
