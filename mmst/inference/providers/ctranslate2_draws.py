"""The random numbers that CTranslate2 draws, set from outside.

CTranslate2 draws all tokens of a batch from one generator that its worker thread owns, so that what a
request gets would follow from its neighbours and from all that was asked before. It offers no other way;
so before each step the generator is given the state from which it draws what each row is to draw.
That reaches into the library: the symbol is looked up, and `Draws` proves the layout before it is used,
and after every step that as many numbers were taken as it had set.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy
import numpy.typing

from mmst.core.errors import SetupError

Words = numpy.typing.NDArray[numpy.uint64]

SYMBOL = "_ZN11ctranslate220get_random_generatorEv"
"""`std::mt19937& ctranslate2::get_random_generator()`: the calling thread's own."""
WORDS = 624
"""Words of a Mersenne Twister's state: what can be set at once."""
MOST = WORDS // 2
"""Numbers that can be set at once: a double takes two words."""
_WRONG = "CTranslate2's random numbers cannot be set here, so that samples would depend on each other"
_REMEDY = "install the version of constraints.txt on Linux, or --set sampling.backend=local"


class Draws:
    """The generator of one of CTranslate2's threads; made in that thread, used while it waits."""

    def __init__(self) -> None:
        import ctranslate2._ext

        try:
            find = getattr(ctypes.CDLL(ctranslate2._ext.__file__), SYMBOL)
        except (OSError, AttributeError) as e:
            raise SetupError(_WRONG, why=str(e), remedy=_REMEDY) from e
        find.restype = ctypes.c_void_p
        # libstdc++: the state, then the place of the next word, all in registers' width.
        memory = (ctypes.c_uint64 * (WORDS + 1)).from_address(find())
        self.state: Words = numpy.frombuffer(memoryview(memory), dtype=numpy.uint64)

    def verify(self, seed: int) -> None:
        """`SetupError` unless this generator was started with `seed` and has drawn one number since."""
        known = numpy.random.RandomState(seed)
        known.random_sample()
        words = numpy.asarray(known.get_state()[1])  # type: ignore[index]
        if int(self.state[WORDS]) != 2 or not numpy.array_equal(self.state[:WORDS], words):
            raise SetupError(_WRONG, why="its generator is another than expected", remedy=_REMEDY)

    def set(self, numbers: Sequence[float]) -> None:
        """The next `len(numbers)` draws are these, each in [0, 1)."""
        words = numpy.empty(2 * len(numbers), dtype=numpy.uint64)
        whole = (numpy.asarray(numbers, dtype=numpy.float64) * 2.0**64).astype(numpy.uint64)
        words[0::2], words[1::2] = whole & 0xFFFFFFFF, whole >> 32
        self.state[: len(words)] = untempered(words)
        self.state[WORDS] = 0

    @property
    def taken(self) -> int:
        """How many numbers were drawn since `set`."""
        return int(self.state[WORDS]) // 2


def untempered(words: Words) -> Words:
    """The states of a Mersenne Twister from which it puts out these words: its last step, backwards."""
    y = words ^ (words >> 18)
    y = y ^ ((y << 15) & 0xEFC60000)
    x = y
    for _ in range(4):  # each turn makes 7 more bits right
        x = y ^ ((x << 7) & 0x9D2C5680)
    y = x & 0xFFFFFFFF
    x = y
    for _ in range(2):
        x = y ^ (x >> 11)
    return x.astype(numpy.uint64, copy=False)
