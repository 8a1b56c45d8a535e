"""What the libraries that read model files raise for files with unexpected content."""

from __future__ import annotations

import struct

UNREADABLE = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, RecursionError, OverflowError,
    struct.error,
)  # fmt: skip
"""Errors of transformers and gguf."""


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, for messages of our own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
