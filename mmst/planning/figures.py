"""A figure of a plan, with its formula and inputs, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

GROUPS = ("model", "training memory", "serving memory", "work", "time", "storage", "money")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a plan. `unit` is B, s, or what is counted; `formula` names every input.

    Example:
        {"group": "serving memory", "name": "key-value cache of a token", "value": 819200,
         "unit": "B", "formula": "2 x 40 layers x 40 key heads x 128 x 2 B"}
    """

    group: str
    name: str
    value: float
    unit: str
    formula: str


def shown(value: float, unit: str) -> str:
    """A value for people: bytes and seconds in a suitable unit, large counts with a prefix.

    >>> shown(819200, "B"), shown(5400, "s"), shown(1234567, "tokens"), shown(1, "GPUs")
    ('800 KiB', '1.5 h', '1.235 M tokens', '1 GPU')
    """
    if unit == "B":
        for size, name in ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")):
            if abs(value) >= size:
                return f"{_four(value / size)} {name}"
    if unit == "s":
        for size, name in ((86400 * 2, "days"), (3600, "h"), (60, "min")):
            if abs(value) >= size:
                return f"{_four(value / (86400 if name == 'days' else size))} {name}"
    for size, name in ((1e12, "T "), (1e9, "G "), (1e6, "M ")):
        if abs(value) >= size and unit not in ("B", "s"):
            return f"{_four(value / size)} {name}{unit}"
    return f"{_four(value)} {unit.removesuffix('s') if value == 1 and len(unit) > 1 else unit}"


def counted(n: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "arm"), counted(3, "arm")
    ('1 arm', '3 arms')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _four(value: float) -> str:
    """Four significant digits, or all digits of a whole number."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"
