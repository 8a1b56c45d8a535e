"""What may follow a number: words that multiply it or change its sign, and units, which may be missing. Pure.

A unit is known (`KNOWN`), or a noun that the question names. If no question is given, anything that looks like a
plural counts as a noun (`apples`, `people`), with its adjectives. Any other word after a number may change it, so
the text is not a number with a unit.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from typing import NamedTuple

from mmst.core.number_words import PARTS
from mmst.grading.unit_words import (
    ALONE,
    ATTACHED,
    BEHIND_INCH,
    CASED,
    CHANGING,
    COMPOUND,
    EACH,
    FILLERS,
    IRREGULAR,
    KNOWN,
    LETTERS,
    MONEY_LETTERS,
    NO_NOUNS,
    NO_UNIT_LETTERS,
    NUMERAL,
    PER,
    POWERS,
    RAISED,
    REAL_THS,
    SCALES,
    SHORT_SCALES,
    SINGULAR_ONLY,
    SYMBOLS,
)


class Behind(NamedTuple):
    """The factor from the words after a number, and the words of its unit: "km", "/hour", "ft2"."""

    scale: Fraction
    unit: frozenset[str]


NO_UNIT: frozenset[str] = frozenset()
PERCENT = frozenset({"percent"})
_WORDS = 8
_COMPARED = frozenset("more fewer less".split())
"""What an answer to "How many more …?" may say again."""

_WORD = re.compile(r"[%°$€£¥₹¢/]|\(?[^\W\d_]+(?:['.\-][^\W\d_]+)*(?:\^?\{?[23]\}?)?\)?\.?")
_ZERO = re.compile(r"\b(?:below|under) 0\b")


def behind(rest: str, currency: str, value: Fraction, question: str = "") -> Behind | None:
    """The meaning of the text after a number's digits; None if it may be something other than a unit.

    >>> behind(" tenths", "", Fraction(3)).scale, behind(" km/h", "", Fraction(3)).unit == unit_of("kph")
    (Fraction(1, 10), True)
    >>> behind("M", "$", Fraction(3)).scale, behind(" below zero", "", Fraction(3)).scale
    (Fraction(1000000, 1), Fraction(-1, 1))
    >>> behind(" less", "", Fraction(3)) is None
    True
    """
    if rest == "s" and value.denominator == 1 and 1000 <= value <= 2090 and value % 10 == 0 and "sec" not in question:
        return None  # the 1990s
    small = abs(value.numerator) <= value.denominator
    return _behind(rest, currency, small and value == 1, small, question)


@functools.lru_cache(maxsize=1024)
def _behind(rest: str, currency: str, one: bool, small: bool, question: str) -> Behind | None:
    if not rest and not currency:
        return Behind(Fraction(1), NO_UNIT)
    attached = bool(rest) and not rest[0].isspace()
    words = _split(_ZERO.sub("below zero", rest))
    if words is None:
        return None
    scale, words = _scaled(words, bool(currency), attached, one)
    if scale is None:
        return None
    sign, words = _signed(words)
    tight = words[0].casefold() if scale == 1 and attached and words else ""
    if tight.isalpha() and len(tight) <= 3 and tight not in ATTACHED:
        return None  # 7xy, 2pi
    lower = [w.casefold() for w in words]
    if len(lower) > 1 and lower[0] in ("st", "nd", "rd", "th"):
        return None  # 5th grader
    money = bool(currency)
    if any(
        len(w) == 1 and w.isalpha() and w not in ATTACHED and not _letter_ok(lower, i, money)
        for i, w in enumerate(lower)
    ):
        return None  # 7 x
    if lower and lower[0] in _COMPARED and re.search(rf"\bhow (?:many|much) {lower[0]}\b", question, re.IGNORECASE):
        lower = lower[1:]
    if small and lower[:1] == ["of"] and len(lower) > 1:  # three tenths of a mile
        lower = lower[2:] if lower[1] in ("a", "an", "the") else lower[1:]
    unit = _unit(lower, small, question, money)
    if unit is None:
        return None
    return Behind(scale * sign, unit | _unit_of_currency(currency))


def _letter_ok(words: list[str], i: int, money: bool) -> bool:
    """A single letter that is not a variable: °C, 5 dollars a day."""
    if i and words[i - 1] in ("°", "degrees", "degree") and words[i] in "cfk":
        return True
    return words[i] == "a" and (i > 0 or money) and i < len(words) - 1


def _split(rest: str) -> list[str] | None:
    words: list[str] = []
    at = 0
    for found in _WORD.finditer(rest):
        if rest[at : found.start()].strip():
            return None
        at = found.end()
        word = found[0].strip("()").rstrip(".") or found[0]
        if words and word.casefold() in RAISED and _known(words[-1].casefold()):
            words[-1:] = [RAISED[word.casefold()], words[-1]]  # feet per second squared
        else:
            tight = not words and not rest[0].isspace() and word.casefold() not in ATTACHED
            words.append(word if tight else _cased(word))
    return None if rest[at:].strip(" .,") or len(words) > _WORDS else words


def _cased(word: str) -> str:
    """The name of a unit whose lower-case symbol is another unit: Mg and mg, with or without a power."""
    symbol = word.rstrip("^{23}")
    return CASED[symbol] + word[len(symbol) :] if symbol in CASED else word


def _scaled(words: list[str], money: bool, attached: bool, one: bool) -> tuple[Fraction | None, list[str]]:
    """The factor of the first words, and the words after them; None if it cannot be decided."""
    scale = Fraction(1)
    if words and not attached and not money and (words[0] in NO_UNIT_LETTERS or words[0] in LETTERS):
        return None, words
    while words:
        word, plural = words[0].casefold(), False
        if word.endswith("s") and word not in SINGULAR_ONLY:
            word, plural = word.removesuffix("s"), True
        if word == "halve":
            word = "half"
        last = len(words) == 1
        letters = MONEY_LETTERS if money else LETTERS if attached else {}
        if word in SCALES and not (word == "ten" and not plural):
            scale *= SCALES[word]
        elif word in SHORT_SCALES and not (word in ("score", "grand") and (plural or not last)):
            scale *= SHORT_SCALES[word]
        elif words[0] in letters:
            scale *= letters[words[0]]
        elif word in PARTS:
            if not plural and not (one and (last or words[1] in ("of", "an", "a", "the"))):
                return None, words  # 5 fifth graders
            scale /= PARTS[word]
        else:
            return scale, words
        words, attached = words[1:], False
        if words and words[0].casefold() == "of" and len(words) > 1:
            words = words[1:]
        if words and words[0].casefold() in ("a", "an") and len(words) == 2:
            words = words[1:]
    return scale, words


def _signed(words: list[str]) -> tuple[int, list[str]]:
    """-1 for "below zero"."""
    last = [w.casefold() for w in words[-2:]]
    if len(last) == 2 and last[1] == "zero" and last[0] in ("below", "under", "above"):
        return (1 if last[0] == "above" else -1), words[:-2]
    return 1, words


def _unit(words: list[str], small: bool, question: str, money: bool) -> frozenset[str] | None:
    """The canonical words of a unit; None if one of them may change the number."""
    if not words:
        return NO_UNIT
    if (words[0] in ALONE and len(words) == 1) or words[:2] in (["in", "total"], ["in", "all"]):
        words = words[2:] if len(words) > 1 else []
    if any(_may_change(words, i) for i in range(len(words))):
        return None
    known, nouns, headed = set[str](), set[str](), money
    named = _stems(question) if question else None
    power, below, unknown = "", "", list[str]()
    for i, word in enumerate(words):
        following = words[i + 1] if i + 1 < len(words) else ""
        if word in PER or (word in EACH and following and headed):
            below = "/"
        elif word in POWERS and following:
            power = POWERS[word]
        elif word in ("us", "u.s") and following in ("dollar", "dollars", "$"):
            continue
        elif word == "and":
            headed = False
        elif (found := _known(word)) and not (word == "in" and (headed or following not in BEHIND_INCH)):
            if unknown and named is None and not below:
                return None  # 5 fewer-like words before a unit
            if below + found[0] + power in COMPOUND:
                known |= COMPOUND[found[0]]
            else:
                known.add(below + found[0] + (power or found[1]))
            power, below, headed = "", "", True
        elif word in FILLERS:
            if not headed and not unknown:
                return None
        elif below:
            known.add(below + _stem(word))
            below = ""
        else:
            unknown.append(word)
            nouns.add(_stem(word))
            if named is not None:
                if _stem(word) not in named:
                    return None
                headed = True
            else:
                headed = headed or _is_noun(word, small)
    if below or power or not (headed or not (known or nouns)) or len(unknown) > 4:
        return None
    return frozenset(known | nouns)


def _may_change(words: list[str], i: int) -> bool:
    """Whether a word, or a part of a hyphenated one, changes numbers; boys and girls is a unit."""
    word = words[i]
    if word == "and" and 0 < i < len(words) - 1:
        return not (_is_noun(words[i - 1], False) and _is_noun(words[i + 1], False))
    return any(w in CHANGING or w in NO_NOUNS or (NUMERAL.fullmatch(w) and w not in REAL_THS) for w in word.split("-"))


def _known(word: str) -> tuple[str, str] | None:
    """The unit that a word means, in its canonical spelling, and its power."""
    if word in SYMBOLS:
        return SYMBOLS[word], ""
    power = ""
    if word[-1:] in ("2", "3") or word.endswith("}"):
        word, power = re.sub(r"\^?\{?[23]\}?$", "", word), re.findall(r"[23]", word)[0]
    if word in ("c", "f"):
        return {"c": "celsius", "f": "fahrenheit"}[word], ""
    for spelling in (word, word.removesuffix("s"), word.removesuffix("es")):
        if spelling in KNOWN and not (spelling != word and len(spelling) == 1):
            return KNOWN[spelling], power
    return None


def _stem(word: str) -> str:
    return word.removesuffix("s") or word


@functools.lru_cache(maxsize=64)
def _stems(question: str) -> frozenset[str]:
    return frozenset(_stem(w) for w in re.findall(r"[^\W\d_]+(?:['\-][^\W\d_]+)*", question.casefold()))


def _is_noun(word: str, small: bool) -> bool:
    """Whether an unknown word looks like a plural; after 1 or less, a singular is enough."""
    if word in IRREGULAR or (len(word) >= 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))):
        return True
    return small and len(word) >= 3


def _unit_of_currency(currency: str) -> frozenset[str]:
    return frozenset({SYMBOLS[currency]}) if currency else NO_UNIT


def unit_of(text: str) -> frozenset[str]:
    """The words of a unit, each in its canonical spelling, whatever they are.

    >>> sorted(unit_of("km/hours")), unit_of("%") == unit_of("pct"), unit_of("square feet")
    (['/hour', 'km'], True, frozenset({'ft2'}))
    """
    found = behind(" " + text.strip(), "", Fraction(2))
    if found is not None and found.scale == 1:
        return found.unit
    return frozenset(_stem(w) for w in re.findall(r"[^\W\d_]+", text.casefold()))


def agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two units may be the same: measures as a whole; of nouns, one may say more; or one has none.

    >>> agree(unit_of("miles per hour"), unit_of("km per hour")), agree(unit_of("red apples"), unit_of("apples"))
    (False, True)
    """
    if not one or not other or one == other:
        return True
    one_measures, other_measures = ({w for w in unit if _is_measure(w)} for unit in (one, other))
    one_words, other_words = one - one_measures, other - other_measures
    if one_measures != other_measures:
        slashed = any(w[0] == "/" for w in one_measures ^ other_measures)
        if (one_measures and other_measures) or slashed:
            return False
        return bool(one_words & other_words)
    return not one_words or not other_words or one_words <= other_words or other_words <= one_words


def _is_measure(word: str) -> bool:
    return word[0] == "/" or word.rstrip("23") in KNOWN
