"""Progress shown to people, or written as events for the process that shows it. (owned by helper G)"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mmst.ports import Progress, Task


class Quiet:
    """Shows nothing."""

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Task]:
        """Nothing to see."""
        yield _Nothing()


class _Nothing:
    def advance(self, n: int = 1, note: str = "") -> None:
        """Nothing to see."""


def from_environment() -> Progress:
    """The progress display that fits where this process runs."""
    return Quiet()
