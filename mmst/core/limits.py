"""What one program may use, and what people may ask of it. Loads nothing: the command line needs it at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use."""

    timeout: float = 2.0
    memory_mib: int = 256
    output_kib: int = 64


TIMEOUT, MEMORY_MIB, OUTPUT_KIB = (0.01, 86_400), (16, 1 << 20), (1, 1 << 20)
"""The least and the most that people may ask of each limit."""
