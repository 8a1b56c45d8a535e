r"""When are two answers the same? Numbers in all usual ways of writing them, else text. Pure.

    1,234.50 = 1234.5      $3 = 3           25% = 25         7 apples. = 7
    1/2 = 0.5              1 1/2 = 1.5      −4 = -4          1.5e3 = 1500
    seven = 7              016 = 16         \boxed{7} = 7    \frac{1}{2} = 1/2

Numbers are compared as exact fractions. Only when one side is written with a decimal point or an
exponent (a float was printed, a quotient rounded) may they differ by 1e-6 of the larger one.
A unit may be left out, yet two units that have no word in common contradict: 5 hours ≠ 5 minutes.
A percent sign is a unit: 25% is 25, never 0.25. Everything else is compared as text, without
regard to case, spacing and a closing period.

Nothing here raises or takes long, whatever a model wrote: powers are not computed, and texts of
more than `LONGEST` characters are compared as they stand.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 1000
"""Longer answers are text."""
RELATIVE = Fraction(1, 10**6)
ABSOLUTE = Fraction(1, 10**12)
_MAX_EXPONENT = 330
_SIGNIFICANT = 12


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: its exact value, whether as a decimal, and the words of its unit."""

    value: Fraction
    decimal: bool
    unit: frozenset[str]


def equal(gold: str, answer: str) -> bool:
    """Whether `answer` is the gold answer.

    >>> equal("1234.5", "$1,234.50"), equal("1/3", "0.3333"), equal("5 hours", "5 minutes")
    (True, False, False)
    """
    if gold == answer:
        return True
    a, b = number(gold), number(answer)
    if a is None or b is None:
        return a is b and _text(gold) == _text(answer)
    if a.unit and b.unit and not a.unit & b.unit:
        return False
    gap = abs(a.value - b.value)
    if a.decimal or b.decimal:
        return gap <= max(RELATIVE * max(abs(a.value), abs(b.value)), ABSOLUTE)
    return gap == 0


def normalise(answer: str) -> str:
    """One spelling for equal answers, to count votes by; units of numbers are dropped.

    >>> normalise(" $1,234.50 "), normalise("2/4"), normalise("Seven apples."), normalise("Yes.")
    ('1234.5', '1/2', '7', 'yes')
    """
    found = number(answer)
    if found is None:
        return _text(answer)
    value = _rounded(found.value) if found.decimal else found.value
    return written(value)


def number(text: str) -> Number | None:
    """The number that `text` is, or None when it is not one number with at most a unit."""
    if len(text) > LONGEST:
        return None
    text = _plain(text)
    match = _NUMBER.match(text)
    value = _value(match) if match else None
    if match is None or value is None:
        return _in_words(text)
    words = [w for w in re.split(r"[\s/]+|(?<=[%°$€£¥])", text[match.end() :]) if w]
    if len(words) > _UNIT_WORDS or not all(_UNIT_WORD.fullmatch(w) for w in words):
        return None
    sign = -1 if (match["sign"] + match["sign2"]).count("-") % 2 else 1
    unit = _unit(" ".join([match["currency"], *words]))
    return Number(sign * value, bool(match["fraction"] or match["exponent"]), unit)


_NUMBER = re.compile(
    r"""
    (?P<sign>[-+]?)\s*(?P<currency>[$€£¥]?)\s*(?P<sign2>[-+]?)\s*
    (?: (?P<mixed>\d{1,9})\s+(?P<over>\d{1,9})\s*/\s*(?P<under>\d{1,9})
      | (?P<top>\d{1,300})\s*/\s*(?P<bottom>\d{1,300})
      | (?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<fraction>\d*))?(?:[eE](?P<exponent>[-+]?\d{1,4}))?
    )
    """,
    re.VERBOSE,
)
_UNIT_WORD = re.compile(r"[%°$€£¥]|\(?[^\W\d_][^\W\d_]*(?:['.\-][^\W\d_]+)*(?:\^[23])?\)?\.?")
_UNIT_WORDS = 6


def _value(match: re.Match[str]) -> Fraction | None:
    if match["mixed"]:
        under = int(match["under"])
        return int(match["mixed"]) + Fraction(int(match["over"]), under) if under else None
    if match["top"]:
        bottom = int(match["bottom"])
        return Fraction(int(match["top"]), bottom) if bottom else None
    whole, fraction, exponent = match["whole"].replace(",", ""), match["fraction"] or "", match["exponent"] or "0"
    if not whole + fraction or abs(int(exponent)) > _MAX_EXPONENT:
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
    return Number(Fraction(-value if match["sign"] else value), False, _unit(match["unit"]))


_SYMBOLS = {"$": " dollar ", "€": " euro ", "£": " pound ", "¥": " yen ", "%": " percent ", "°": " degree "}


def _unit(text: str) -> frozenset[str]:
    if not text or text.isspace():
        return frozenset()
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    return frozenset(w.removesuffix("s") or w for w in re.findall(r"[^\W\d_]+", text.casefold()))


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
    scaled = scaled.rjust(digits + 1, "0")
    return f"{sign}{scaled[:-digits]}.{scaled[-digits:]}".rstrip("0")


_DASHES = str.maketrans(dict.fromkeys("−–—‐‑‒", "-") | {"’": "'", "‘": "'", "“": '"', "”": '"'})
_LATEX = (
    (re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"), r"\1"),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\[dtc]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\\(?:left|right|displaystyle)|\\[!,;: ]|~"), " "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?"), "°"),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"(\d)\{,\}(?=\d{3})"), r"\1,"),
)


def _plain(text: str) -> str:
    """The text without its dress: LaTeX, markdown, typographic signs, closing period."""
    if not text.isascii():
        text = re.sub(r"([\u00bc-\u00be\u2150-\u215f])", r" \1", text)
        text = re.sub(r"([\u00b2\u00b3\u00b9\u2070-\u2079])", r"^\1", text)
        text = unicodedata.normalize("NFKC", text).replace("\u2044", "/").translate(_DASHES)
    for pattern, plain in _LATEX if "\\" in text or "{" in text else ():
        text = pattern.sub(plain, text)
    text = text.strip().strip("*`\"'").strip()
    if len(text) > 2 and text[0] == text[-1] == "$":
        text = text[1:-1]
    text = re.sub(r"^(?:[a-zA-Z]\s*)?=\s*", "", text.strip())
    return re.sub(r"\s+", " ", text).strip().rstrip(".").rstrip()


def _text(answer: str) -> str:
    if len(answer) > LONGEST:
        return answer.strip()
    text = _plain(answer).casefold()
    return re.sub(r"\s+", "", text) if "\\" in text or "{" in text or "^" in text else text
