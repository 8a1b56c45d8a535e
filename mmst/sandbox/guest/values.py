"""The values of a program: plain values, and objects of the evaluator that give up at every operation.

Standard library only; used inside the sandbox.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, DecimalException, DivisionByZero, InvalidOperation
from fractions import Fraction
from typing import Any, NoReturn

Env = tuple[dict[str, Any], ...]
"""The names of a running function, then those of the functions around its definition, outwards."""


class GiveUp(BaseException):
    """The program is not finished here. Not an `Exception`, so that it is not taken for an error of the program."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise GiveUp


class Opaque:
    """An object of the evaluator. Any operator of CPython that meets one, however deep in a list, gives up."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


_BINARY = "add sub mul truediv floordiv mod divmod pow lshift rshift and or xor matmul"
_OTHER = (
    "repr str format eq ne lt le gt ge hash len iter next contains getitem setitem delitem missing call neg pos abs "
    "invert int float complex index round trunc floor ceil enter exit reversed length_hint bytes fspath copy "
    "deepcopy reduce reduce_ex instancecheck subclasscheck iadd isub imul itruediv ifloordiv imod ipow ilshift "
    "irshift iand ior ixor imatmul " + _BINARY
).split()
for _name in [*_OTHER, *(f"r{name}" for name in _BINARY.split())]:
    setattr(Opaque, f"__{_name}__", _refuse)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Native(Opaque):
    """A built-in: `run(machine, *arguments)`, with `least` to `most` of them and these keywords (None: any).

    `real` is the type that it stands for, `members` what it has by attribute, `into` how many parameters an
    annotation gives it (-1: any number; None: it cannot be annotated with).
    """

    run: Callable[..., Any]
    least: int = 1
    most: int = 1
    keywords: frozenset[str] | None = frozenset()
    real: Any = None
    members: dict[str, Any] = field(default_factory=dict)
    annotates: int | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Module(Opaque):
    """A module of the standard library, as far as it is supported here."""

    members: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Signature:
    """The parameters of a program's function."""

    names: tuple[str, ...]
    positional_only: int
    keyword_only: tuple[str, ...]
    rest: str | None
    keywords: str | None

    simple: bool = field(init=False)
    """Whether there are only positional parameters."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "simple", not (self.keyword_only or self.rest or self.keywords))

    @property
    def all(self) -> set[str]:
        """All parameter names."""
        return {*self.names, *self.keyword_only, *(n for n in (self.rest, self.keywords) if n)}


@dataclass(slots=True, eq=False, repr=False)
class Function(Opaque):
    """A function of the program."""

    signature: Signature
    body: Callable[[Env], tuple[Any] | None]
    around: Env
    defaults: tuple[Any, ...]
    keyword_defaults: dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class Cached(Opaque):
    """A function of the program, wrapped in CPython's `lru_cache`."""

    real: Callable[..., Any]


@dataclass(slots=True, eq=False, repr=False)
class Class(Opaque):
    """A class of the program."""

    names: dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class Instance(Opaque):
    """An object of a program's class."""

    kind: Class
    names: dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class Bound(Opaque):
    """A method of an object that is not called immediately."""

    callee: Any
    owner: Any


class Factory(Opaque):
    """The function that a `defaultdict` calls for a missing key."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        """Create a value."""
        return self._make()


REAL = frozenset({int, float, bool})
SCALARS = frozenset({*REAL, str, type(None)})
_EMPTY: dict[Any, Any] = {}
_VIEWS = frozenset({type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items())})
SEQUENCES = frozenset({list, tuple, set, frozenset, deque, *_VIEWS})
SETS = frozenset({set, frozenset})
MAPPINGS = frozenset({dict, Counter, defaultdict})
LEAVES = frozenset({*REAL, type(None), complex, range, slice, Fraction, Decimal, date, datetime, timedelta})
EXCEPTIONS = frozenset({
    ZeroDivisionError, ValueError, TypeError, KeyError, IndexError, OverflowError, StopIteration, RuntimeError,
    AssertionError, Exception, ArithmeticError, LookupError, DecimalException, DivisionByZero, InvalidOperation,
})  # fmt: skip
"""Errors that a program may catch: those of operators on plain values, and those that it raises itself."""
OPERANDS = frozenset({*SCALARS, *LEAVES, *SEQUENCES, *MAPPINGS}) - _VIEWS
ITERATORS = frozenset({
    map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())), type(iter("")), type(iter("é")),
    type(iter({})), type(iter({}.values())), type(iter({}.items())), type(iter(set())), type(iter(range(0))),
    type(iter(range(1 << 70))), type(reversed([])), type(reversed({})), type(reversed({}.values())),
    type(reversed({}.items())), type(iter(deque())), type(reversed(deque())), type(_ for _ in ()),
    type(next(itertools.groupby("a"))[1]), itertools.accumulate, itertools.chain, itertools.combinations,
    itertools.combinations_with_replacement, itertools.compress, itertools.count, itertools.cycle,
    itertools.dropwhile, itertools.filterfalse, itertools.groupby, itertools.islice, itertools.pairwise,
    itertools.permutations, itertools.product, itertools.repeat, itertools.starmap, itertools.takewhile,
    itertools.zip_longest,
})  # fmt: skip
ITERABLES = SEQUENCES | MAPPINGS | ITERATORS | {str, range}
