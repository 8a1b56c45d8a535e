"""When a rounded number equals another: only as far as its digits show. Pure.

A number without a decimal point is exact, and so is one with few digits. There are two reasons for a tolerance:

- rounded: at least six digits with some behind the point, and half a unit of the last of them, where the other
  number has more digits than that (2/3 = 0.666667, but 1000000.1 ≠ 1000000.14). Cut off instead of rounded counts
  too, against what never ends (2/3 = 0.666666, not 0.666668). Never more than a millionth of the value;
- a float: at least 15 digits, as Python prints what it has calculated (0.30000000000000004 = 0.3).

So 0.9999999999 is not 1: it is not a float as Python prints one, and 1 has no digits that were rounded away.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

RELATIVE = Fraction(1, 10**6)
"""The largest relative error of a rounded number."""
_ROUNDED, _FLOAT = 6, 15
_FLOAT_ERROR = Fraction(1, 10**10)
_FLOAT_MOST = Fraction(1, 10**5)
_ULP = Fraction(4, 2**52)
_FINER = 100


class Shown(NamedTuple):
    """The digits of a number: the value of one unit in the last place, and their count.

    Final zeros after the point are not counted, because Python prints them for whole numbers.
    """

    step: Fraction
    digits: int


def shown(whole: str, fraction: str, exponent: int) -> Shown | None:
    """The digits of a number that is written like this; None if nothing in it can be a rounding.

    >>> shown("7654322", "0", 0), shown("0", "667", 0).digits, shown("6", "6260", -34).step == Fraction(1, 10**37)
    (None, 3, True)
    """
    fraction = fraction.rstrip("0")
    if not fraction:
        return None
    digits = len((whole + fraction).lstrip("0"))
    power = exponent - len(fraction)
    return Shown(Fraction(10**power) if power >= 0 else Fraction(1, 10**-power), digits)


def of_decimal(value: Fraction) -> Shown | None:
    """The digits of a decimal of which only the value is known."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    behind = max(twos, fives)
    if not behind or rest != 1:
        return None
    digits = abs(value.numerator) * (10**behind // value.denominator)
    return Shown(Fraction(1, 10**behind), int(digits.bit_length() * 0.30103) + 1)


def slack(value: Fraction) -> Fraction:
    """The possible error of a decimal that was rounded or calculated in floats; 0 if it is exact."""
    shows = of_decimal(value)
    if shows is None or shows.digits < _ROUNDED:
        return Fraction(0)
    half = min(shows.step / 2, RELATIVE * abs(value))
    return half if shows.digits < _FLOAT else max(half, _float_error(value))


def is_rounded(value: Fraction) -> bool:
    """Whether a decimal may be rounded, and is not a float as calculated."""
    shows = of_decimal(value)
    return shows is not None and _ROUNDED <= shows.digits < _FLOAT


def _float_error(value: Fraction) -> Fraction:
    size = abs(value)
    return min(_FLOAT_ERROR * size, max(_FLOAT_MOST, _ULP * size))


def near(x: Fraction, x_shows: Shown | None, y: Fraction, y_shows: Shown | None) -> bool:
    """Whether two numbers, as they are written, are the same."""
    if x == y:
        return True
    if x_shows is None and y_shows is None:
        return False
    gap = abs(x - y)
    return _covers(x_shows, x, gap, y, y_shows) or _covers(y_shows, y, gap, x, x_shows)


def _covers(shows: Shown | None, value: Fraction, gap: Fraction, other: Fraction, other_shows: Shown | None) -> bool:
    """Whether a number explains its difference from the other by how it was written."""
    if shows is None or shows.digits < _ROUNDED:
        return False
    if shows.digits >= _FLOAT and (gap <= _float_error(other) or _same_float(value, other)):
        return True
    if gap > RELATIVE * abs(other):
        return False
    endless = not _ends(other) if other_shows is None else other_shows.digits >= _FLOAT
    if endless:
        return gap <= shows.step / 2 or (gap < shows.step and abs(value) < abs(other))
    return (other_shows is None or other_shows.step * _FINER <= shows.step) and gap <= shows.step / 2


def _same_float(x: Fraction, y: Fraction) -> bool:
    """Whether both are the same float: the smallest floats have few digits of their own."""
    return abs(x) < 1 and abs(y) < 1 and float(x) == float(y) != 0


def _ends(value: Fraction) -> bool:
    """Whether its decimal fraction ends."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1
