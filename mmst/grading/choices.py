"""Which of a question's options an answer names: by its label, by its text, or by both. Pure.

    options A 36, B 38, C 40:   B    (B)    B) 38    B. 38    option B    b    38    38 apples    → B
                                A or B    B) 40    not B    B, but 40                             → None: not known
                                neither   39                                                      → "": none of them

An answer is read in every way in which it can be: its letter as a label, and all of it as the text of an option. It
names an option if every reading leads to that one. Where readings lead to several, where another option is mentioned
too, or where the option is denied, nobody knows which was meant, so that it is never the right one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mmst.grading.plain import plain, text_of

Same = Callable[[str, str], bool | None]
"""Whether two texts are the same; None if that isn't known."""

LONGEST = 300
"""A longer answer is no choice."""

_NAMES = r"(?:(?:the|my|correct|right|best|final|option|choice|answer|letter|it|is)[ :]\s*)*"
_LABELLED = re.compile(
    rf"{_NAMES}(?:[(\[](?P<bracketed>[A-Za-z0-9]{{1,2}})[)\]]|(?P<bare>[A-Za-z0-9]{{1,2}})(?![A-Za-z0-9]))"
    r"(?P<mark>\s*[).:,=]\s*|\s+[–—-]\s+|\s+|$)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DENIES = re.compile(
    r"\b(?:not|\w+n't|cannot|no|nor|neither|never|none|wrong|false|incorrect|except|unless|but|or|either|both|maybe"
    r"|perhaps|if|unsure|instead|rather|however|though|although|rul(?:e|es|ed|ing) (?:\w+ )?out"
    r"|(?:eliminat|exclud|reject|discard|dismiss|doubt|unlikel|implausib|impossib|fail|contradict|violat|worst|least|invalid|mistak|err(?:or|on))\w*)\b"
    r"|[?/&]",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(r"(?:because|since|as|for|so|due)\b", re.IGNORECASE)
_SAYS_OF_IT = re.compile(r"(?:which|that|it|this)\b", re.IGNORECASE)
_WORD = re.compile(r"(?<!\w)-?\d+(?:[.,:/]\d+)*|[^\W_]+")
_ARTICLE = re.compile(r"(?:an?|the)\s+(?=[^\W\d])", re.IGNORECASE)


def chosen(options: Mapping[str, str], answer: str, same: Same) -> str | None:
    """The label of the option that the answer names; "" if it certainly names none, None if that isn't known.

    >>> chosen({"A": "36", "B": "38"}, "(b) 38", lambda one, other: one == other)
    'B'
    """
    text = plain(answer)
    if len(answer) > LONGEST or not text:
        return "" if not text else None
    labels = {label.casefold(): label for label in options}
    whole, open_ones = _by_text(options, text, same)
    label, apart, rest = _labelled(labels, text)
    if label and rest:
        by_rest, unsure = _by_text(options, rest, same)
        mentioned = _mentioned(options, rest)
        told = _EXPLAINS.match(rest) or (_SAYS_OF_IT.match(rest) and label in mentioned)
        explained = told and not _DENIES.search(rest) and not mentioned - {label}
        if by_rest == {label} or (explained and not by_rest and not unsure):
            pass
        elif apart or (by_rest and not _ARTICLE.match(text)):  # "B) 40", "B, but 40", "B 40"
            return None
        else:  # "a bank", "I think"
            label = ""
    readings = whole | ({label} if label else set())
    if len(readings) == 1 and not (open_ones and not label):
        return next(iter(readings))
    return None if readings or open_ones or _mentioned(options, text) or _part_of(options, text) else ""


def _labelled(labels: Mapping[str, str], text: str) -> tuple[str, bool, str]:
    """The label at the beginning, whether it is set apart as one, and what follows."""
    found = _LABELLED.fullmatch(text)
    if found is None:
        return "", False, ""
    written, mark, rest = found["bracketed"] or found["bare"], found["mark"].strip(), found["rest"].strip()
    if written.isdigit() and mark in (".", ",", "-") and rest[:1].isdigit():  # 3.5, 1,000
        return "", False, ""
    return labels.get(written.casefold(), ""), bool(found["bracketed"] or mark), rest


def _by_text(options: Mapping[str, str], text: str, same: Same) -> tuple[set[str], bool]:
    """The options whose text it is, and whether it may be that of another one; one that reads the same goes first."""
    bare = _bare(text)
    exact = {label for label, option in options.items() if _bare(plain(option)) == bare}
    if exact:
        return exact, False
    found = {label: same(option, text) for label, option in options.items()}
    equal = {label for label, is_same in found.items() if is_same}
    unsure = None in found.values() or bool(equal and _mentioned(options, text) - equal)  # "0/B" has the value 0
    return (set(), True) if unsure else (equal, False)


def _mentioned(options: Mapping[str, str], text: str) -> set[str]:
    """The options that a text speaks of, by a label or by all words of their texts."""
    words = f" {_words(text)} "
    by_text = {label for label, option in options.items() if (said := _words(option)) and f" {said} " in words}
    return by_text | {label for label in options if re.search(rf"(?<![\w'.]){label}(?![\w'])", text)}


def _part_of(options: Mapping[str, str], text: str) -> bool:
    """Whether it says less than the text of some option: "none" of "none of these"."""
    said = _words(text)
    return bool(said) and any(f" {said} " in f" {_words(option)} " for option in options.values())


def _words(text: str) -> str:
    return " ".join(_WORD.findall(_bare(plain(text)).casefold()))


def _bare(text: str) -> str:
    return _ARTICLE.sub("", text_of(text), count=1) if _ARTICLE.match(text) else text_of(text)


def laid_out(options: Mapping[str, str]) -> str:
    r"""The options as a question shows them.

    >>> laid_out({"A": "36", "B": "38"})
    '(A) 36\n(B) 38'
    """
    return "\n".join(f"({label}) {text}" for label, text in options.items())
