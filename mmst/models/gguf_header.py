"""The header of a GGUF file: whether all that it announces fits into the file.

The package `gguf` reads as many items as the header says, however small the file is.
Source: the GGUF specification, github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from mmst.core.errors import ModelError

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type."""
STRING, ARRAY = 8, 9
DEEPEST = 4
"""Arrays within arrays."""
MOST_DIMENSIONS = 4
TENSOR_BYTES = 8 + 4 + 4 + 8
"""What describing a tensor takes at least: the length of its name, its number of dimensions, type and place."""


def check(file: Path) -> None:
    """`ModelError` when the header does not fit into the file, or is no header."""
    try:
        with file.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _Header(content).read()
    except (ValueError, OverflowError) as e:
        remedy = "download it again"
        raise ModelError("the GGUF file is cut or damaged", value=str(file), why=str(e), remedy=remedy) from e


class _Header:
    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at, self.order = content, 4, "<"
        (version,) = self._numbers("I")
        self.order, self.at = ">" if version & 0xFFFF == 0 else "<", 4

    def read(self) -> None:
        _, tensors, values = self._numbers("IQQ")
        if tensors * TENSOR_BYTES > len(self.content):
            raise ValueError(f"it announces {tensors} tensors")
        for _ in range(values):
            self._skip(self._numbers("Q")[0])
            self._value(self._numbers("I")[0], 1)
        for _ in range(tensors):
            self._tensor()

    def _tensor(self) -> None:
        self._skip(self._numbers("Q")[0])
        (dimensions,) = self._numbers("I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"it has a tensor of {dimensions} dimensions")
        self._skip(8 * dimensions + 4 + 8)

    def _value(self, kind: int, n: int, depth: int = 0) -> None:
        if kind in SIZES:
            self._skip(n * SIZES[kind])
        elif kind == STRING:
            for _ in range(n):
                self._skip(self._numbers("Q")[0])
        elif kind == ARRAY and depth < DEEPEST:
            for _ in range(n):
                inner, items = self._numbers("IQ")
                self._value(inner, items, depth + 1)
        else:
            raise ValueError(f"it has a value of type {kind}")

    def _numbers(self, form: str) -> tuple[int, ...]:
        at = self.at
        self._skip(struct.calcsize(self.order + form))
        found: tuple[int, ...] = struct.unpack_from(self.order + form, self.content, at)
        return found

    def _skip(self, n: int) -> None:
        self.at += n
        if (over := self.at - len(self.content)) > 0:
            raise ValueError(f"its header goes on for at least {over:,} bytes behind the end")
