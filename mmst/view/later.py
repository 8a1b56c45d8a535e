"""Work that takes longer than anybody waits for a page: it goes on, and who comes again finds what came of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that a page waits."""
AT_ONCE = 2
KEPT = 64
"""Results that are kept."""


class NotYet(Exception):
    """It is under way."""


class Later:
    """Results by key, each made once. May be used by several threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="later")
        self._lock, self._found = threading.Lock(), OrderedDict[Hashable, Future[Any]]()

    def get(self, key: Hashable, work: Callable[[], T]) -> T:
        """What `work` gives; its error is raised once, and then it is tried again. `NotYet` while it is at work."""
        with self._lock:
            future: Future[T] = self._found.get(key) or self._pool.submit(work)
            self._found[key] = future
            self._found.move_to_end(key)
            for old in [k for k, f in self._found.items() if f.done()][: max(len(self._found) - KEPT, 0)]:
                del self._found[old]
        wait([future], PATIENCE)
        if not future.done():
            raise NotYet
        if future.exception() is not None:
            with self._lock:
                self._found.pop(key, None)
        return future.result()

    def close(self) -> None:
        """Nothing more is begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)
