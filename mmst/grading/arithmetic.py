"""Three ways to calculate, each refusing what it cannot do: exact fractions, 50 digits, complex floats.

`Unsuitable` says that this arithmetic has no value for it: √2 among fractions, √-1 among decimals,
a value of more than `_BITS` bits. Every operation takes bounded time and memory.
"""

from __future__ import annotations

import cmath
import math
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DecimalException
from fractions import Fraction
from typing import Any, Protocol

_BITS = 40_000
_FACTORIAL = 3000


class Unsuitable(ArithmeticError):
    """This arithmetic has no value for it."""


class Arithmetic(Protocol):
    """What `evaluate` needs of an arithmetic; each has its own type of values."""

    def of(self, value: Fraction) -> Any:
        """A given number."""

    def constant(self, name: str) -> Any:
        """π, e or i."""

    def add(self, a: Any, b: Any) -> Any:
        """Sum."""

    def multiply(self, a: Any, b: Any) -> Any:
        """Product."""

    def divide(self, a: Any, b: Any) -> Any:
        """Quotient."""

    def power(self, a: Any, b: Any) -> Any:
        """Power, the principal one."""

    def root(self, a: Any, degree: int) -> Any:
        """Root; odd ones of negative numbers are negative."""

    def function(self, name: str, a: Any) -> Any:
        """A function of one argument."""

    def near(self, a: Any, b: Any) -> bool | None:
        """Whether two values are equal; None: too few digits to decide."""

    def gap(self, a: Any, b: Any) -> Any:
        """Their distance, as a number that can be compared with others of this arithmetic."""


class Exact:
    """Fractions of bounded size; roots and powers only if the result is a fraction."""

    def of(self, value: Fraction) -> Fraction:
        """A given number."""
        return _bounded(value)

    def constant(self, name: str) -> Fraction:
        """None is a fraction."""
        raise Unsuitable

    def add(self, a: Fraction, b: Fraction) -> Fraction:
        """Sum."""
        return _bounded(a + b)

    def multiply(self, a: Fraction, b: Fraction) -> Fraction:
        """Product."""
        return _bounded(a * b)

    def divide(self, a: Fraction, b: Fraction) -> Fraction:
        """Quotient."""
        if not b:
            raise Unsuitable
        return _bounded(a / b)

    def power(self, a: Fraction, b: Fraction) -> Fraction:
        """Power with an integer, or an exact root of a positive number."""
        if b.denominator != 1:
            if a < 0 or b.denominator > 64:
                raise Unsuitable
            return self.power(self.root(a, b.denominator), Fraction(b.numerator))
        n = b.numerator
        size = max(a.numerator.bit_length(), a.denominator.bit_length())
        if abs(n) * (size if abs(a) != 1 else 0) > _BITS or (not a and n <= 0):
            raise Unsuitable
        return a**n if abs(a) != 1 else Fraction(1) if n % 2 == 0 else a

    def root(self, a: Fraction, degree: int) -> Fraction:
        """A root that is exactly a fraction."""
        if degree < 1 or (a < 0 and degree % 2 == 0):
            raise Unsuitable
        found = Fraction(_whole_root(abs(a.numerator), degree), _whole_root(a.denominator, degree))
        return -found if a < 0 else found

    def function(self, name: str, a: Fraction) -> Fraction:
        """Functions that give fractions for fractions."""
        if name == "abs":
            return abs(a)
        if name == "floor":
            return Fraction(math.floor(a))
        if name == "ceil":
            return Fraction(math.ceil(a))
        if name == "factorial" and a.denominator == 1 and 0 <= a <= _FACTORIAL:
            return Fraction(math.factorial(int(a)))
        if a == (1 if name == "log" else 0) and name in ("log", "sin", "tan", "asin", "atan", "cos"):
            return Fraction(name == "cos")
        raise Unsuitable

    def near(self, a: Fraction, b: Fraction) -> bool:
        """Exactly equal."""
        return a == b

    def gap(self, a: Fraction, b: Fraction) -> Fraction:
        """Their distance."""
        return abs(a - b)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _BITS:
        raise Unsuitable
    return value


def _whole_root(n: int, degree: int) -> int:
    if n < 2:
        return n
    if degree == 2:
        root = math.isqrt(n)
    elif degree > 64 or n.bit_length() > 4000:
        raise Unsuitable
    else:
        root = 1 << -(-n.bit_length() // degree)
        while (better := ((degree - 1) * root + n // root ** (degree - 1)) // degree) < root:
            root = better
    if root**degree != n:
        raise Unsuitable
    return root


class Real:
    """Decimals of 50 digits."""

    def __init__(self) -> None:
        self._context = Context(prec=50, Emax=MAX_EMAX // 4, Emin=MIN_EMIN // 4)
        self._half_pi = Decimal("1.57079632679489661923132169163975144209858469968755291048747229615390820314")
        self._pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")

    def of(self, value: Fraction) -> Decimal:
        """A given number."""
        return self._context.divide(Decimal(value.numerator), Decimal(value.denominator))

    def constant(self, name: str) -> Decimal:
        """π or e."""
        if name == "i":
            raise Unsuitable
        return self._pi if name == "pi" else self._context.exp(Decimal(1))

    def add(self, a: Decimal, b: Decimal) -> Decimal:
        """Sum."""
        return self._do("add", a, b)

    def multiply(self, a: Decimal, b: Decimal) -> Decimal:
        """Product."""
        return self._do("multiply", a, b)

    def divide(self, a: Decimal, b: Decimal) -> Decimal:
        """Quotient."""
        return self._do("divide", a, b)

    def power(self, a: Decimal, b: Decimal) -> Decimal:
        """Power."""
        if a < 0 and b != b.to_integral_value():
            raise Unsuitable
        return self._do("power", a, b)

    def root(self, a: Decimal, degree: int) -> Decimal:
        """Root."""
        if degree == 2:
            return self._do("sqrt", a)
        if degree < 1 or (a < 0 and degree % 2 == 0):
            raise Unsuitable
        found = self._do("power", self._context.abs(a), self._do("divide", Decimal(1), Decimal(degree)))
        return self._context.minus(found) if a < 0 else found

    def function(self, name: str, a: Decimal) -> Decimal:
        """Functions of reals."""
        if name == "abs":
            return self._context.abs(a)
        if name == "log":
            return self._do("ln", a)
        if name in ("sin", "cos", "tan"):
            sine = self._sine(a)
            cosine = self._sine(self.add(a, self._half_pi))
            return self._do("divide", sine, cosine) if name == "tan" else sine if name == "sin" else cosine
        raise Unsuitable

    def gap(self, a: Decimal, b: Decimal) -> Decimal:
        """Their distance."""
        return self._context.abs(self._context.subtract(a, b))

    def near(self, a: Decimal, b: Decimal) -> bool | None:
        """Equal to 40 digits; different beyond the 20th; undecided between, because digits may have cancelled."""
        c = self._context
        gap, size = c.abs(c.subtract(a, b)), max(c.abs(a), c.abs(b))
        if gap <= c.multiply(size, Decimal("1e-40")):
            return True
        return None if gap <= c.multiply(size, Decimal("1e-20")) or size < Decimal("1e-35") else False

    def _do(self, operation: str, *values: Decimal) -> Decimal:
        try:
            found: Decimal = getattr(self._context, operation)(*values)
        except (DecimalException, MemoryError):
            raise Unsuitable from None
        if not found.is_finite():
            raise Unsuitable
        return found

    def _sine(self, a: Decimal) -> Decimal:
        """Its series, after whole turns are subtracted."""
        c = self._context
        if c.abs(a) > 10**9:
            raise Unsuitable
        turn = c.multiply(self._pi, Decimal(2))
        a = c.subtract(a, c.multiply(turn, c.divide(a, turn).to_integral_value()))
        term = total = a
        square = c.multiply(a, a)
        for n in range(2, 80, 2):
            term = c.divide(c.multiply(c.minus(term), square), Decimal(n * (n + 1)))
            total = c.add(total, term)
        return total


class Complex:
    """Complex floats, for what the others cannot do; exact to about twelve digits."""

    def of(self, value: Fraction) -> complex:
        """A given number."""
        try:
            return complex(float(value))
        except OverflowError:
            raise Unsuitable from None

    def constant(self, name: str) -> complex:
        """π, e or i."""
        return {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}[name]

    def add(self, a: complex, b: complex) -> complex:
        """Sum."""
        return _finite(a + b)

    def multiply(self, a: complex, b: complex) -> complex:
        """Product."""
        return _finite(a * b)

    def divide(self, a: complex, b: complex) -> complex:
        """Quotient."""
        if not b:
            raise Unsuitable
        return _finite(a / b)

    def power(self, a: complex, b: complex) -> complex:
        """Principal power."""
        try:
            return _finite(a**b)
        except (OverflowError, ZeroDivisionError):
            raise Unsuitable from None

    def root(self, a: complex, degree: int) -> complex:
        """Principal root; odd ones of negative reals are negative."""
        if degree < 1:
            raise Unsuitable
        if degree % 2 and not a.imag and a.real < 0:
            return -self.power(-a, complex(1 / degree))
        return self.power(a, complex(1 / degree))

    def function(self, name: str, a: complex) -> complex:
        """The functions of `cmath`."""
        if name == "abs":
            return complex(abs(a))
        function = getattr(cmath, name, None)
        if function is None or name not in _ANALYTIC:
            raise Unsuitable
        try:
            return _finite(function(a))
        except (OverflowError, ValueError):
            raise Unsuitable from None

    def gap(self, a: complex, b: complex) -> float:
        """Their distance."""
        return abs(a - b)

    def near(self, a: complex, b: complex) -> bool | None:
        """Whether they are equal to twelve digits."""
        size = max(abs(a), abs(b))
        if abs(a - b) <= size * 1e-12:
            return True
        return None if size < 1e-9 else False


_ANALYTIC = frozenset("sin cos tan asin acos atan sinh cosh tanh log".split())


def _finite(value: complex) -> complex:
    if not cmath.isfinite(value):
        raise Unsuitable
    return value
