"""Time limits of attempts, and several attempts at one request.

A lost connection looks like a slow answer. So an attempt that takes far longer than the others gets a second one
beside it, and the first answer counts. A hang then costs seconds, and the work of a slow server is not lost.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

FLOOR, FACTOR, PERCENTILE = 2.0, 4.0, 0.95
"""An attempt's patience: a multiple of the time of most others, and at least the floor, in seconds."""
FEWEST = 4
"""Number of answers needed to know the usual time."""
UNKNOWN = 60.0
"""Patience while the usual time is not known, in seconds."""
AT_ONCE = 2
"""Attempts at one request that run at the same time."""
LATE = "no answer in time"
LOOK = 1.0
"""Seconds after which a wait checks whether the usual time is known now."""


class Pace:
    """The times that answers take."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=128)
        self.usual: float | None = None

    def finished(self, seconds: float) -> None:
        """Record the time of an answer."""
        self.recent.append(seconds)
        self.usual = None

    def patience(self, late: int) -> float:
        """Seconds before the next attempt starts, after so many late ones: doubled each time."""
        if len(self.recent) < FEWEST:
            return UNKNOWN * 2.0**late
        if self.usual is None:
            self.usual = sorted(self.recent)[math.ceil(PERCENTILE * len(self.recent)) - 1]
        return max(FLOOR, FACTOR * self.usual) * 2.0**late


async def raced(
    attempt: Callable[[], Coroutine[Any, Any, T]],
    pace: Pace,
    end: float,
    *,
    passing: tuple[type[Exception], ...],
    note: Callable[[str], None],
) -> T:
    """The result of the first attempt that succeeds; another one starts whenever the newest is late.

    An error of the kinds in `passing` counts only if no other attempt is left; any other error counts at once.
    `note` receives each error that was passed over. `TimeoutError` when the loop's clock reaches `end`.
    """
    loop, late = asyncio.get_running_loop(), 0
    running: dict[asyncio.Task[T], float] = {}

    def begin() -> None:
        if len(running) == AT_ONCE:
            oldest = next(iter(running))
            del running[oldest]
            oldest.cancel()
        task = asyncio.create_task(attempt())
        task.add_done_callback(_retrieved)
        running[task] = loop.time()

    try:
        begin()
        while (now := loop.time()) < end:
            due = max(running.values()) + pace.patience(late)
            if now >= due:
                late += 1
                note(LATE)
                begin()
                continue
            waited = min(due, end, now + LOOK) - now
            done, _ = await asyncio.wait(running, timeout=waited, return_when=asyncio.FIRST_COMPLETED)
            errors = []
            for task in done:
                began = running.pop(task)
                if (error := task.exception()) is None:
                    pace.finished(loop.time() - began)
                    return task.result()
                errors.append(error)
            for error in errors:
                if not running or not isinstance(error, passing):
                    raise error
                note(str(error))
        note(LATE)
        raise TimeoutError
    finally:
        for task in running:
            task.cancel()


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Otherwise asyncio complains about errors of attempts that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
