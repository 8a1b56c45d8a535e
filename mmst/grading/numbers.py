"""Plain numbers as people, data sets and programs write them: exact fractions, with at most a unit. Pure."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from mmst.grading.cleaned import cleaned
from mmst.grading.plain import LONGEST, plain, text_of
from mmst.grading.rounding import Shown, near, shown
from mmst.grading.units import NO_UNIT, PERCENT, agree, behind
from mmst.grading.worded import and_part, in_words

MAX_EXPONENT = 330
"""The largest exponent of scientific notation, beyond that of floats."""
_SIGNIFICANT = 12
_ROUNDS = 20


class Number(NamedTuple):
    """A number as written: its exact value, whether it is a decimal, the words of its unit, and its digits."""

    value: Fraction
    decimal: bool
    unit: frozenset[str]
    shows: Shown | None = None


def same_number(gold: Number, answer: Number) -> bool:
    """Whether two numbers are the same answer; only here it matters which one is gold.

    A gold percentage may be given as the fraction that it is: 25% allows 1/4 and 0.25 besides 25.
    """
    if gold.unit and answer.unit and not agree(gold.unit, answer.unit):
        return False
    if gold.value == answer.value or near(gold.value, gold.shows, answer.value, answer.shows):
        return True
    if gold.unit != PERCENT or answer.unit or answer.value.denominator == 1:
        return False
    step = gold.shows and gold.shows._replace(step=gold.shows.step / 100)
    return near(gold.value / 100, step, answer.value, answer.shows)


def normalise(answer: str) -> str:
    """The same spelling for equal answers, to count votes; units of numbers are dropped.

    >>> normalise(" $1,234.50 "), normalise("2/4"), normalise("Seven apples."), normalise("Yes.")
    ('1234.5', '0.5', '7', 'yes')
    """
    for _ in range(_ROUNDS):  # what is under the dress of one round may be dress again
        before, answer = answer, _normalised(answer)
        if answer == before:
            break
    return answer


def _normalised(answer: str) -> str:
    answer = cleaned(answer)
    found = number(answer)
    if found is None:
        return text_of(answer)
    value = _rounded(found.value) if found.decimal else found.value
    return written(value)


def number(text: str, question: str = "") -> Number | None:
    """The number in `text`, or None if it is not one number with at most a unit."""
    if text.isdigit() and text.isascii() and len(text) < 300:
        return Number(Fraction(int(text)), False, NO_UNIT)
    if len(text) > LONGEST:
        return None
    text = plain(text)
    match = _NUMBER.match(text)
    value = _value(match) if match else None
    if match is None or value is None:
        return _in_words(text, question)
    rest = text[match.end() :]
    if rest.startswith(" and ") and (added := and_part(rest)) is not None and value.denominator == 1:
        value, rest = value + added[0], added[1]
    scale, unit, shows = Fraction(1), NO_UNIT, None
    if rest or match["currency"]:
        said = behind(rest, match["currency"], value, question)
        if said is None:
            return None
        scale, unit = said
    if match["fraction"]:
        shows = shown(re.sub("[, ]", "", match["whole"]), match["fraction"], int(match["exponent"] or 0))
        if shows is not None and scale != 1:
            shows = shows._replace(step=shows.step * abs(scale))
    if scale != 1 or "-" in match["sign"] + match["sign2"]:
        value *= scale * (-1) ** (match["sign"] + match["sign2"]).count("-")
    return Number(value, bool(match["fraction"] or match["exponent"]), unit, shows)


_NUMBER = re.compile(
    r"""
    (?P<sign>[-+]?)\s*(?P<currency>[$€£¥₹]?)\s*(?P<sign2>[-+]?)\s*
    (?: (?P<mixed>\d{1,9})\s+(?P<over>\d{1,9})\s*/\s*(?P<under>\d{1,9})
      | (?P<top>\d{1,300})\s*/\s*(?P<bottom>\d{1,300})
      | (?P<whole>[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\ \d{3})+)(?!\d)|\d*)
        (?:\.(?P<fraction>\d*))?(?:[eE](?P<exponent>[-+]?\d{1,4}))?
    )
    """,
    re.VERBOSE,
)


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


def _in_words(text: str, question: str) -> Number | None:
    found = in_words(text)
    if found is None:
        return None
    value, rest = found
    said = behind(rest, "", value, question)
    return None if said is None else Number(value * said.scale, False, said.unit)


def _rounded(value: Fraction) -> Fraction:
    """Rounded to twelve significant digits, so that float noise does not split votes."""
    return Fraction(f"{float(value):.{_SIGNIFICANT - 1}e}") if abs(value) < 10**300 else value


def written(value: Fraction) -> str:
    """A fraction as an integer, a short decimal, or p/q."""
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
