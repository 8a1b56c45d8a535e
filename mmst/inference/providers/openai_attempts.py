"""Time limits of attempts, and several attempts at one request.

A lost connection looks like a slow answer. So an attempt that takes far longer than the others gets a second one
beside it, and the first answer counts. A hang then costs seconds, and the work of a slow server is not lost.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Collection
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
RECENT = 128
"""Answers from which the usual time is known."""
LATE = "no answer in time"
LOOK = 1.0
"""Seconds after which a wait checks whether the usual time is known now."""


class Pace:
    """The times that answers take."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque()
        self.ordered: list[float] = []

    def finished(self, seconds: float) -> None:
        """Record the time of an answer."""
        if len(self.recent) == RECENT:
            del self.ordered[bisect_left(self.ordered, self.recent.popleft())]
        self.recent.append(seconds)
        insort(self.ordered, seconds)

    def patience(self, late: int) -> float:
        """Seconds before the next attempt starts, after so many late ones: doubled each time."""
        if len(self.ordered) < FEWEST:
            return UNKNOWN * 2.0**late
        usual = self.ordered[math.ceil(PERCENTILE * len(self.ordered)) - 1]
        return max(FLOOR, FACTOR * usual) * 2.0**late


async def raced(
    attempt: Callable[[], asyncio.Future[T]],
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
    loop, late, due = asyncio.get_running_loop(), 0, 0.0
    running: dict[asyncio.Future[T], float] = {}

    def begin() -> None:
        nonlocal due
        if len(running) == AT_ONCE:
            oldest = next(iter(running))
            del running[oldest]
            _given_up(oldest)
        running[attempt()] = newest = loop.time()
        due = newest + pace.patience(late)

    try:
        begin()
        while (now := loop.time()) < end:
            if now >= due:
                late += 1
                note(LATE)
                begin()
                continue
            await _until(loop, running, min(due, end, now + LOOK))
            errors = []
            for future in [future for future in running if future.done()]:
                began = running.pop(future)
                if (error := future.exception()) is None:
                    pace.finished(loop.time() - began)
                    return future.result()
                errors.append(error)
            for error in errors:
                if not running or not isinstance(error, passing):
                    raise error
                note(str(error))
            if running:
                due = max(running.values()) + pace.patience(late)
        note(LATE)
        raise TimeoutError
    finally:
        for future in running:
            _given_up(future)


async def _until(loop: asyncio.AbstractEventLoop, futures: Collection[asyncio.Future[Any]], when: float) -> None:
    """Wait until one of them is done, or the loop's clock says `when`: `asyncio.wait` at a third of its cost."""
    waiter = loop.create_future()

    def wake(done: asyncio.Future[Any] | None = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_at(when, wake)
    for future in futures:
        future.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        for future in futures:
            future.remove_done_callback(wake)


def _given_up(future: asyncio.Future[Any]) -> None:
    """Cancel an attempt that nobody waits for any more; asyncio would complain about its error."""
    if not future.cancel() and not future.cancelled():
        future.exception()
