"""Plain numbers as people, data sets and programs write them: exact fractions with at most a unit. Pure."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from mmst.answers.plain import LONGEST, plain, text_of

RELATIVE = Fraction(1, 10**6)
"""By how much of the larger two numbers may differ of which one is a decimal."""
ABSOLUTE = Fraction(1, 10**12)
_UNITLESS: frozenset[str] = frozenset()
PERCENT = frozenset({"percent"})
MAX_EXPONENT = 330
"""Of a number in scientific notation, beyond those of floats."""
_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: its exact value, whether as a decimal, and the words of its unit."""

    value: Fraction
    decimal: bool
    unit: frozenset[str]


def same_number(gold: Number, answer: Number) -> bool:
    """Whether two numbers are the same answer; only here does it matter which one is the gold one.

    A gold percentage may be given as the fraction that it is: 25% allows 1/4 and 0.25 besides 25.
    """
    if gold.unit and answer.unit and not gold.unit & answer.unit:
        return False
    if _near(gold, answer, gold.value):
        return True
    fraction = gold.unit == PERCENT and not answer.unit and answer.value.denominator > 1
    return fraction and _near(gold, answer, gold.value / 100)


def _near(gold: Number, answer: Number, value: Fraction) -> bool:
    if value == answer.value:
        return True
    if not (gold.decimal or answer.decimal):
        return False
    return abs(value - answer.value) <= max(RELATIVE * max(abs(value), abs(answer.value)), ABSOLUTE)


def normalise(answer: str) -> str:
    """One spelling for equal answers, to count votes by; units of numbers are dropped.

    >>> normalise(" $1,234.50 "), normalise("2/4"), normalise("Seven apples."), normalise("Yes.")
    ('1234.5', '1/2', '7', 'yes')
    """
    found = number(answer)
    if found is None:
        return text_of(answer)
    value = _rounded(found.value) if found.decimal else found.value
    return written(value)


def number(text: str) -> Number | None:
    """The number that `text` is, or None when it is not one number with at most a unit."""
    if text.isdigit() and text.isascii() and len(text) < 300:
        return Number(Fraction(int(text)), False, _UNITLESS)
    if len(text) > LONGEST:
        return None
    text = plain(text)
    match = _NUMBER.match(text)
    value = _value(match) if match else None
    if match is None or value is None:
        return _in_words(text)
    behind = _behind(text[match.end() :], match["currency"])
    if behind is None:
        return None
    scale, unit = behind
    if scale != 1 or "-" in match["sign"] + match["sign2"]:
        value *= scale * (-1) ** (match["sign"] + match["sign2"]).count("-")
    return Number(value, bool(match["fraction"] or match["exponent"]), unit)


@functools.lru_cache(maxsize=1024)
def _behind(rest: str, currency: str) -> tuple[int, frozenset[str]] | None:
    """What stands behind the digits, a scale and a unit (" million dollars"), or None when it is something else."""
    words = [w for w in re.split(r"[\s/]+|(?<=[%°$€£¥])", rest.casefold()) if w]
    scale = _SCALES.get(words[0], 1) if words else 1
    if scale != 1:
        del words[0]
    elif words and not rest[0].isspace() and words[0].isalpha() and len(words[0]) <= 3 and words[0] not in _SHORT:
        return None  # 7xy, 2pi
    if len(words) > _UNIT_WORDS or not all(_UNIT_WORD.fullmatch(w) and w not in _NO_UNITS for w in words):
        return None
    if any(len(w) == 1 and w.isalpha() and w not in _SHORT and before != "°" for before, w in pairwise(["", *words])):
        return None  # 7 x
    return scale, unit_of(" ".join([currency, *words]))


_NUMBER = re.compile(
    r"""
    (?P<sign>[-+]?)\s*(?P<currency>[$€£¥]?)\s*(?P<sign2>[-+]?)\s*
    (?: (?P<mixed>\d{1,9})\s+(?P<over>\d{1,9})\s*/\s*(?P<under>\d{1,9})
      | (?P<top>\d{1,300})\s*/\s*(?P<bottom>\d{1,300})
      | (?P<whole>[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\ \d{3})+)(?!\d)|\d*)
        (?:\.(?P<fraction>\d*))?(?:[eE](?P<exponent>[-+]?\d{1,4}))?
    )
    """,
    re.VERBOSE,
)
_UNIT_WORD = re.compile(r"[%°$€£¥]|\(?[^\W\d_][^\W\d_]*(?:['.\-][^\W\d_]+)*(?:\^[23])?\)?\.?")
_UNIT_WORDS = 6
_SHORT = frozenset(
    "m g s h l cm mm km nm kg mg ml cl dl ft in yd mi oz lb lbs hr hrs min sec mph kph kmh deg rad am pm st nd rd th "
    "usd eur pct gb mb kb hz khz mhz kw mw kj".split()
)
"""The short words that are units also without a space before them; other letters there are variables."""
_NO_UNITS = frozenset(
    "and or not half halves quarter quarters third thirds more less than to minus plus point over times pi sqrt sin "
    "cos tan log ln i e mod remainder squared cubed if when".split()
)
"""Words that change a number."""
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def _value(match: re.Match[str]) -> Fraction | None:
    if match["mixed"]:
        under = int(match["under"])
        return int(match["mixed"]) + Fraction(int(match["over"]), under) if under else None
    if match["top"]:
        bottom = int(match["bottom"])
        return Fraction(int(match["top"]), bottom) if bottom else None
    whole, fraction, exponent = (
        match["whole"].replace(",", "").replace(" ", ""),
        match["fraction"] or "",
        match["exponent"] or "0",
    )
    if not whole + fraction or abs(int(exponent)) > MAX_EXPONENT:
        return None
    if not (fraction or match["exponent"]):
        return Fraction(int(whole))
    power = int(exponent) - len(fraction)
    return Fraction(int(whole + fraction) * 10 ** max(power, 0), 10 ** max(-power, 0))


_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: n for n, word in enumerate(["zero", *_UNITS, *_TEENS])} | {"hundred": 100}
_WORDS |= {ten: n * 10 for n, ten in enumerate(_TENS, 2)}
_WORDS |= {f"{ten}{gap}{one}": _WORDS[ten] + _WORDS[one] for ten in _TENS for one in _UNITS for gap in "- "}
_WORDED = re.compile(
    rf"(?P<sign>(?:minus |negative )?)(?P<word>{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
    r"(?P<unit>(?: [^\W\d_]+){0,3})",
    re.IGNORECASE,
)


def _in_words(text: str) -> Number | None:
    match = _WORDED.fullmatch(text)
    if match is None or any(w in _WORDS for w in match["unit"].casefold().split()):
        return None
    value = _WORDS[match["word"].casefold()]
    return Number(Fraction(-value if match["sign"] else value), False, unit_of(match["unit"]))


_SYMBOLS = {"$": " dollar ", "€": " euro ", "£": " pound ", "¥": " yen ", "%": " percent ", "°": " degree "}


_SYNONYMS = {
    "pct": "percent", "percentage": "percent", "deg": "degree", "usd": "dollar", "eur": "euro",
    "h": "hour", "hr": "hour", "min": "minute", "sec": "second", "s": "second",
    "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "kilometer": "km", "kilometre": "km",
    "millimeter": "mm", "millimetre": "mm", "gram": "g", "kilogram": "kg", "liter": "l", "litre": "l",
    "foot": "ft", "feet": "ft", "inch": "in", "inche": "in", "mile": "mi", "pound": "lb", "ounce": "oz",
}  # fmt: skip
_POWERED = re.compile(r"([^\W\d_]+)\^?([23²³])?")
_SQUARED = re.compile(r"\b(square|sq\.?|cubic|cu\.?) +([^\W\d_]+)")


def unit_of(text: str) -> frozenset[str]:
    """The words of a unit, each in one spelling.

    >>> sorted(unit_of("km/hours")), unit_of("%") == unit_of("pct"), unit_of("square feet")
    (['hour', 'km'], True, frozenset({'ft2'}))
    """
    if not text or text.isspace():
        return frozenset()
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = _SQUARED.sub(lambda m: f"{m[2].removesuffix('s')}^{2 if m[1][0] == 's' else 3}", text.casefold())
    words = ((w.removesuffix("s") or w, power) for w, power in _POWERED.findall(text))
    return frozenset(_SYNONYMS.get(w, w) + power for w, power in words)


def _rounded(value: Fraction) -> Fraction:
    """Twelve significant digits: what is left of float noise counts as one vote."""
    return Fraction(f"{float(value):.{_SIGNIFICANT - 1}e}") if abs(value) < 10**300 else value


def written(value: Fraction) -> str:
    """A fraction as an integer, a decimal where it ends soon, or p/q."""
    if value.denominator == 1:
        return str(value.numerator)
    digits = next((d for d in range(1, 2 * _SIGNIFICANT) if 10**d % value.denominator == 0), None)
    if digits is None:
        return f"{value.numerator}/{value.denominator}"
    sign, scaled = "-" if value < 0 else "", str(abs(value.numerator) * 10**digits // value.denominator)
    if len(scaled.lstrip("0")) > _SIGNIFICANT:
        return f"{value.numerator}/{value.denominator}"  # as a decimal it would count as rounded
    scaled = scaled.rjust(digits + 1, "0")
    return f"{sign}{scaled[:-digits]}.{scaled[-digits:]}".rstrip("0")
