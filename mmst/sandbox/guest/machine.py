"""The budgets of one evaluation, and its output. Standard library only; used inside the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from time import monotonic
from typing import Any

from mmst.sandbox.guest.values import EXCEPTIONS, ITERATORS, LEAVES, MAPPINGS, SCALARS, SEQUENCES, GiveUp, Opaque

STEPS = 100_000
"""Nodes of the syntax tree, or equal other work, that a program may use: 10 to 20 CPU-ms, at worst 0.5 s."""
SECONDS = 0.5
"""Seconds after which a program is given up whatever its steps: some cost more than expected."""
_LOOK = 256
"""Steps between two checks of the clock, which is slow in gVisor in a sandbox's first second."""
BYTES = 16 << 20
"""Bytes that all its containers and texts may use, including those that it has dropped."""
OUTPUT = 1 << 14
"""Bytes that it may print."""
BITS = 1 << 14
"""Bits of an integer: more than the 4,300 digits that CPython prints."""
DEPTH = 200
"""Maximum nesting of calls and comprehensions. CPython allows 1,000, and may count three where we count one."""
COLLIDING = 40
"""Steps for each value that may share its hash with many others, on purpose."""
_CROWDED = frozenset({complex, Decimal, Fraction})
_LONE = 32
"""Up to this many bits, integers have unique hashes, and no two tuples of few of them collide on purpose."""
_NESTED = 40
_LAZY = 300


def extent(values: range) -> int:
    """The length of a range; gives up if `len` itself fails."""
    try:
        return len(values)
    except OverflowError:
        raise GiveUp from None


class Paid:
    """The values of an iterator, each paid for when it is taken, and changed by `each`.

    No generator: that would be over after an error, where the iterator itself goes on, and could not be asked
    for a value while it is asked for one.
    """

    __slots__ = ("_each", "_pay", "_values")

    def __init__(
        self, pay: Callable[[Any], object], values: Iterable[Any], each: Callable[[Any], Any] | None = None
    ) -> None:
        self._pay, self._values, self._each = pay, iter(values), each

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        value = next(self._values)
        self._pay(value)
        return value if self._each is None else self._each(value)


class Machine:
    """The budgets of one program, its module's names, its output. Everything is paid for before it is done."""

    __slots__ = ("_mark", "bytes", "depth", "lazy", "names", "out", "printed", "steps", "until")

    def __init__(self) -> None:
        self.steps, self.bytes, self.depth, self.lazy, self.printed = STEPS, BYTES, 0, 0, 0
        self._mark, self.until = STEPS - _LOOK, 0.0
        self.names: dict[str, Any] = {}
        self.out: list[str] = []

    def spend(self, steps: int) -> None:
        """Pay for work; a step is 0.1 to 0.2 µs."""
        self.steps -= steps
        if self.steps < self._mark:
            self._look()

    def allocate(self, size: int) -> None:
        """Pay for `size` bytes, and for the time to fill them."""
        self.bytes -= size
        self.steps -= size >> 8
        if self.bytes < 0:
            raise GiveUp
        if self.steps < self._mark:
            self._look()

    def _look(self) -> None:
        """Give up if the steps or the seconds are used up; the seconds count from the first check."""
        now = monotonic()
        self.until = self.until or now + SECONDS
        if self.steps < 0 or now > self.until:
            raise GiveUp
        self._mark = max(0, self.steps - _LOOK)

    def enter(self) -> None:
        """A call or a comprehension begins inside another; the caller lowers `depth` again."""
        self.depth += 1
        if self.depth > DEPTH:
            raise GiveUp

    def write(self, text: str) -> None:
        """Print."""
        self.printed += len(text)
        if self.printed > OUTPUT:
            raise GiveUp
        self.out.append(text)

    def weigh(self, value: Any) -> int:
        """Pay for one walk through a value and everything in it, as often as it occurs.

        So a value that holds another twice, on every level, or itself, is given up. Returns about the most
        characters that its text has.
        """
        level, size = [value], 0
        for _ in range(_NESTED):
            self.spend(len(level))
            below: list[Any] = []
            for v in level:
                kind = type(v)
                if kind is str:
                    size += len(v) * 10 + 4
                elif kind is int:
                    size += (v.bit_length() >> 1) + 4
                    self.collide(v)
                elif kind in SEQUENCES:
                    self.spend(len(v))
                    below.extend(v)
                elif kind in MAPPINGS:
                    self.spend(2 * len(v))
                    below.extend(v)
                    below.extend(v.values())
                elif kind in EXCEPTIONS:
                    below.extend(v.args)
                elif kind in LEAVES or kind in ITERATORS or issubclass(kind, Opaque):
                    size += 100
                    self.collide(v)
                else:
                    raise GiveUp
            size += 4 * len(below)
            if not below:
                self.spend(size >> 8)
                return size
            level = below
        raise GiveUp

    def collide(self, value: Any) -> None:
        """Pay for a value that others with the same hash may be compared with: large integers, fractions, -1 and -2."""
        if type(value) in _CROWDED or (type(value) is int and (value.bit_length() > _LONE or value in (-1, -2))):
            self.spend(COLLIDING)

    def scan(self, values: Any) -> None:
        """Pay for a comparison of each value with a plain one."""
        self.spend(len(values) >> 3 if SCALARS.issuperset(map(type, values)) else 40 * len(values))

    def counted(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values, each paid for when it is taken."""
        return Paid(self._took, values)

    def weighed(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values, each paid for with everything in it, because they will be compared or hashed."""
        return Paid(self.weigh, values)

    def _took(self, value: Any) -> None:
        if type(value) is tuple:
            self.allocate(8 * len(value))  # of `product`, say, which makes each anew
        self.spend(1)

    def lasting(self, values: Any) -> Any:
        """The same for an iterator that a program keeps, because these may be chained."""
        if type(values) in ITERATORS:
            self.lazy += 1
            if self.lazy > _LAZY:
                raise GiveUp
        return self.source(values)

    def source(self, values: Any) -> Any:
        """Values for CPython's own code: paid for now if there is a length, else one by one."""
        kind = type(values)
        if kind in ITERATORS:
            return self.counted(values)
        if kind is range:
            self.spend(extent(values) >> 3)
        elif kind in SEQUENCES or kind in MAPPINGS or kind is str:
            self.spend(len(values) >> 3)
        return values
