"""CPython's operators, with their cost paid in advance. Standard library only; used inside the sandbox."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from mmst.sandbox.guest.machine import BITS, Machine, extent
from mmst.sandbox.guest.texts import percent
from mmst.sandbox.guest.values import ITERATORS, LEAVES, MAPPINGS, OPERANDS, REAL, SCALARS, SEQUENCES, SETS, GiveUp

_FRACTION_BITS = 1 << 11
_DECIMAL_EXPONENT = 400
_SIZED = SEQUENCES | MAPPINGS | {str}
_TEXT_OR_LIST = frozenset({str, list, tuple})


def length(value: Any) -> int:
    """The length of a container or text; 0 for anything else."""
    return len(value) if type(value) in _SIZED else 0


def clean(value: Any) -> Any:
    """A result; gives up on NaN, which lists and sets find by identity, and on huge decimals."""
    kind = type(value)
    if (kind is float or kind is complex) and value != value:
        raise GiveUp
    if kind is Decimal and not (value.is_finite() and abs(value.adjusted()) < _DECIMAL_EXPONENT):
        raise GiveUp
    return value


def bits(value: Any) -> int:
    """The size of an exact number; 0 for anything else."""
    kind = type(value)
    if kind is int:
        return int(value.bit_length())
    if kind is Fraction:
        return int(value.numerator.bit_length() + value.denominator.bit_length())
    return 0


def _operands(m: Machine, a: Any, b: Any) -> int:
    """The sum of their lengths; pays for containers that are copied."""
    if type(a) not in OPERANDS or type(b) not in OPERANDS:
        raise GiveUp
    if bits(a) + bits(b) > 2 * BITS or (
        (type(a) is Fraction or type(b) is Fraction) and bits(a) + bits(b) > _FRACTION_BITS
    ):
        raise GiveUp
    m.spend(20)
    if n := length(a) + length(b):
        m.allocate(8 * n)
        if type(a) in SETS or type(a) in MAPPINGS:
            m.weigh(a)
            m.weigh(b)
    return n


def sum_or_difference(m: Machine, a: Any, b: Any) -> None:
    """`+`, `-`, `&`, `|`, `^`."""
    if type(a) not in REAL or type(b) not in REAL:
        _operands(m, a, b)


def product(m: Machine, a: Any, b: Any) -> None:
    """`*`."""
    if type(a) is int and type(b) is int:
        _multiply(m, a.bit_length(), b.bit_length())
    elif type(a) not in REAL or type(b) not in REAL:
        _operands(m, a, b)
        for values, times in ((a, b), (b, a)):
            if type(values) in _TEXT_OR_LIST and type(times) in (int, bool):
                m.allocate(8 * len(values) * max(0, times))


def _multiply(m: Machine, a: int, b: int) -> None:
    if a + b > BITS:
        raise GiveUp
    m.spend(a * b >> 19)


def quotient(m: Machine, a: Any, b: Any) -> None:
    """`/`, `//`, `%`."""
    if type(a) is int and type(b) is int:
        m.spend(a.bit_length() * b.bit_length() >> 19)
    elif type(a) is str:
        if type(b) not in OPERANDS:
            raise GiveUp
        percent(m, a, b)
    elif type(a) not in REAL or type(b) not in REAL:
        _operands(m, a, b)


def power(m: Machine, a: Any, b: Any) -> None:
    """`**`."""
    if type(a) not in REAL or type(b) not in REAL:
        _operands(m, a, b)
    exponent = b.numerator if type(b) is Fraction and b.denominator == 1 else b
    if type(exponent) is int and type(a) in (int, Fraction):
        size = (bits(a) + 1) * abs(exponent)
        if size > BITS and not (type(a) is int and type(b) is int and (b < 0 or -2 < a < 2)):
            raise GiveUp
        m.spend(size * size >> 19 if size <= BITS else 0)


def left_shift(m: Machine, a: Any, b: Any) -> None:
    """`<<`."""
    _operands(m, a, b)
    if type(b) is int and b > BITS - bits(a):
        raise GiveUp


def right_shift(m: Machine, a: Any, b: Any) -> None:
    """`>>`."""
    _operands(m, a, b)


Check = Callable[[Machine, Any, Any], None]
Apply = Callable[[Any, Any], Any]
OPERATORS: dict[type[ast.operator], tuple[Check, Apply, Apply]] = {
    ast.Add: (sum_or_difference, operator.add, operator.iadd),
    ast.Sub: (sum_or_difference, operator.sub, operator.isub),
    ast.Mult: (product, operator.mul, operator.imul),
    ast.Div: (quotient, operator.truediv, operator.itruediv),
    ast.FloorDiv: (quotient, operator.floordiv, operator.ifloordiv),
    ast.Mod: (quotient, operator.mod, operator.imod),
    ast.Pow: (power, operator.pow, operator.ipow),
    ast.LShift: (left_shift, operator.lshift, operator.ilshift),
    ast.RShift: (right_shift, operator.rshift, operator.irshift),
    ast.BitAnd: (sum_or_difference, operator.and_, operator.iand),
    ast.BitOr: (sum_or_difference, operator.or_, operator.ior),
    ast.BitXor: (sum_or_difference, operator.xor, operator.ixor),
}
"""The payment, the operator, the operator with assignment."""


def binary(m: Machine, op: type[ast.operator], in_place: bool = False) -> Apply:
    """An operator as a function of two values."""
    if op not in OPERATORS:
        raise GiveUp
    check, apply, assign = OPERATORS[op]
    cheap = op in (ast.Add, ast.Sub, ast.Div)
    run = assign if in_place else apply

    def operate(a: Any, b: Any) -> Any:
        kind = type(a)
        if kind not in REAL or type(b) not in REAL:
            if in_place and kind is list and op is ast.Add and type(b) not in _TEXT_OR_LIST:
                b = extension(m, b)
            else:
                check(m, a, b)
        elif not cheap:
            check(m, a, b)
        result = run(a, b)
        kind = type(result)
        return result if kind is int or kind is str else clean(result)

    return operate


def extension(m: Machine, values: Any) -> Any:
    """Values by which a list may be extended."""
    n = length(values)
    m.allocate(8 * n)
    return m.source(values) if n == 0 else values


_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert,
}  # fmt: skip


def unary(op: type[ast.unaryop]) -> Callable[[Any], Any]:
    """An operator as a function of one value."""
    apply = _UNARY[op]

    def operate(a: Any) -> Any:
        if type(a) not in SCALARS and type(a) not in LEAVES:
            raise GiveUp
        return clean(apply(a))

    return operate


def _same(a: Any, b: Any) -> bool:
    for one in (a, b):
        if one is None or one is True or one is False:
            return a is b
    raise GiveUp  # CPython folds and keeps constants as it likes


COMPARISONS: dict[type[ast.cmpop], Apply] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: _same, ast.IsNot: lambda a, b: not _same(a, b),
    ast.In: lambda a, b: operator.contains(b, a), ast.NotIn: lambda a, b: not operator.contains(b, a),
}  # fmt: skip


def comparison(m: Machine, op: type[ast.cmpop]) -> Apply:
    """A comparison as a function of two values."""
    apply = COMPARISONS[op]
    if op in (ast.Is, ast.IsNot):
        return apply
    search = op in (ast.In, ast.NotIn)

    def compare(a: Any, b: Any) -> Any:
        if type(a) in SCALARS and type(b) in SCALARS:
            if type(a) is str and type(b) is str:
                m.spend(len(a) + len(b) >> 8)
        elif search:
            b = searched(m, a, b)
        else:
            m.weigh(a)
            m.weigh(b)
        return apply(a, b)

    return compare


def searched(m: Machine, a: Any, b: Any) -> Any:
    """The container `b`, paid for a search for `a`."""
    if type(b) in ITERATORS:
        return m.weighed(b)
    if type(b) is range:
        if type(a) not in (int, bool):
            m.spend(extent(b))
    elif type(a) is str and type(b) is str:
        m.spend(len(b) * min(len(a), 100) >> 7)
    elif type(a) in SCALARS and type(b) in (list, tuple):
        m.scan(b)
        if type(a) is str:
            m.spend(len(b) * len(a) >> 10)
    elif not (type(a) in SCALARS and (type(b) in SETS or type(b) in MAPPINGS)):
        m.spend(m.weigh(a) >> 3)
        m.weigh(b)
    return b


def at(m: Machine, values: Any, index: Any) -> Any:
    """`values[index]`, paid for."""
    if type(index) is slice:
        m.allocate(8 * length(values))
    elif type(index) not in SCALARS:
        m.weigh(index)
    if type(values) not in OPERANDS:
        raise GiveUp
    return operator.getitem(values, index)


def put(m: Machine, values: Any, index: Any, value: Any) -> None:
    """`values[index] = value`, paid for."""
    if type(index) is slice:
        if type(value) not in _TEXT_OR_LIST:
            raise GiveUp
        m.allocate(8 * (length(values) + len(value)))
    elif type(index) not in SCALARS:
        m.weigh(index)
    if type(values) not in OPERANDS:
        raise GiveUp
    operator.setitem(values, index, value)


def remove(m: Machine, values: Any, index: Any) -> None:
    """`del values[index]`, paid for."""
    m.spend(length(values) >> 8)
    if type(index) not in SCALARS and type(index) is not slice:
        m.weigh(index)
    if type(values) not in OPERANDS:
        raise GiveUp
    operator.delitem(values, index)


def stable(m: Machine, value: Any) -> Any:
    """A value for a set; gives up on values that CPython hashes by address (None, containers of it, and more)."""
    kind = type(value)
    if kind is int or kind is str or kind is float or kind is bool:
        m.collide(value)
        return value
    m.weigh(value)
    if kind is tuple or kind is frozenset:
        for v in value:
            stable(m, v)
    elif kind not in LEAVES or kind is range or value is None:
        raise GiveUp
    return value
