"""An answer without its formatting: LaTeX wrappers, markdown, typographic signs, final period. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata

LONGEST = 1000
"""Longer answers are compared as text."""

_DASHES = str.maketrans(dict.fromkeys("−–—‐‑‒", "-") | {"’": "'", "‘": "'", "“": '"', "”": '"'})
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_LATEX = (
    (re.compile(r"(?<=\d)(?:\s?\{,\s?\}|,?\s?\\[,!])\s*(?=\d{3}(?!\d))"), ""),
    (_BOXED, r"\1"),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textnormal|textrm|textit|rm)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[dtc]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(?:(\d)(?!\d)|\{\s*(\d+)\s*\})"), r" \1/\2\3"),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-z])|\\[!,;:() \[\]]|~"), " "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?"), "°"),
    (re.compile(r"\\([$%])"), r"\1"),
)
_RELATION = re.compile(r"[=≈]|\\approx")
_BARE = re.compile(r"[-+]?\$?\d[\d,./]*\d(?: [a-z]+)?|\d")
"""Numbers without any formatting: a shortcut."""
_MARKS = "*`\"'"


@functools.lru_cache(maxsize=64)  # one comparison asks several times
def plain(text: str) -> str:
    """The text without its formatting: LaTeX, markdown, typographic signs, final period."""
    if _BARE.fullmatch(text):
        return text
    if not text.isascii():
        text = re.sub(r"([\u00bc-\u00be\u2150-\u215f])", r" \1", text)
        text = re.sub(r"([\u00b2\u00b3\u00b9\u2070-\u2079])", r"^\1", text)
        text = unicodedata.normalize("NFKC", text).replace("\u2044", "/").translate(_DASHES)
    before = ""
    while text != before:  # each round takes something off, so that it ends, and nothing is left to take off
        before = text
        for pattern, bare in _LATEX if "\\" in text or "{" in text else ():
            text = pattern.sub(bare, text)
        text = _undressed(text)
    return text


_LABEL = re.compile(
    r"""(?:[\s$]|\\[,;:!])* (?: (?:m\s*)?(?:\\angle|∠|\\triangle|△)\s*(?P<figure>[A-Z]{1,3})
               | (?:\\(?:text|textbf|mathrm|mathbf)\s*\{)? \s*(?P<words>[A-Za-z][A-Za-z' ]{2,60}?)\s* \}? )
        \s*\$?\s* (?:=(?!=)|≈|\\approx(?![a-z])) \s*(?P<rest>\S.*)""",
    re.VERBOSE | re.DOTALL,
)
_NO_LABEL = re.compile(
    r"\b(?:(?:arc|a)?(?:sin|cos|tan)h?|cot|sec|csc|log|ln|lg|exp|sqrt|cbrt|abs|floor|ceil|max|min|gcd|lcm|det|mod|"
    r"not|no|never|if|unless|or|and|less|more|than|at|either|neither|both|about|approximately|roughly|almost|nearly|"
    r"maybe|perhaps|probably|suppose|assume)\b",
    re.IGNORECASE,
)


def labelled(text: str) -> tuple[str, str]:
    r"""The words that name an answer, and the answer; "" if there is only the answer.

    Words have four letters or more: what is shorter may be variables or a function.

    >>> labelled("Area of ABC = 12"), labelled(r"\angle APC = 74^\circ"), labelled("x = 5"), labelled("sin x = 1")
    (('area of abc', '12'), ('apc', '74^\\circ'), ('', 'x = 5'), ('', 'sin x = 1'))
    """
    if len(text) > LONGEST or not _RELATION.search(text):
        return "", text
    text = text.strip()
    if text.count("$") == 2 and text[0] == text[-1] == "$":
        text = text[1:-1]
    found = _LABEL.match(text)
    if found is None:
        return "", text
    words = found["words"] or ""
    if words and (_NO_LABEL.search(words) or not re.search(r"[A-Za-z]{4}", words)):
        return "", text
    return " ".join((found["figure"] or words).casefold().removeprefix("the ").split()), found["rest"].strip()


def _undressed(text: str) -> str:
    text = text.strip().strip(_MARKS).strip()
    if text.count("$") >= 2:
        text = re.sub(r"\$+([^$]*)\$+", r"\1", text)
    text = re.sub(r"^(?:[a-zA-Z]\s*)?=\s*", "", text.strip())
    return re.sub(r"\s+", " ", text).strip().rstrip(".").rstrip()


def text_of(answer: str) -> str:
    """The text by which answers that are not numbers are compared."""
    if len(answer) > LONGEST:
        return answer.strip()
    text = plain(answer).casefold()
    return re.sub(r"\s+", "", text) if "\\" in text or "{" in text or "^" in text else text
