"""The decode loop of a server: one thread that decodes for all clients.

Rows join and leave it at any time. A request whose future is cancelled is dropped at the next step with all of its
completions, whether it is waiting, being read, or being decoded.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmst.core.errors import PlatformError, SamplerError
from mmst.core.ports import Request
from mmst.inference.decoding import failures

if TYPE_CHECKING:
    from mmst.inference.decoding import Decoding
    from mmst.inference.providers.transformers import LocalModel
    from mmst.inference.sequences import ActiveSequence

WINDOW = 0.005
"""Seconds that the first request waits for others if the model is idle."""
MOST_ROWS = 16_384
"""Rows that wait or are decoded; requests beyond this must come again later."""


@dataclass(slots=True, eq=False)
class Pending:
    """A request whose completions a client waits for."""

    rows: list[ActiveSequence]
    done: concurrent.futures.Future[list[ActiveSequence]] = field(default_factory=concurrent.futures.Future)
    left: int = 0

    def settle(self, error: PlatformError | None = None) -> None:
        """Notify the waiting client, which may have gone."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if error is None:
                self.done.set_result(self.rows)
            else:
                self.done.set_exception(error)


class Batcher:
    """The loop and its thread."""

    def __init__(self, model: LocalModel, observe: Callable[[int], None] = lambda rows: None) -> None:
        self.model, self.observe = model, observe
        self.queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="decode", daemon=True)
        self.owners: dict[int, Pending] = {}
        self.lock = threading.Lock()
        self.open: set[Pending] = set()
        self.open_rows = 0
        self.error: PlatformError | None = None

    def start(self) -> None:
        """Start decoding."""
        self.thread.start()

    def stop(self) -> None:
        """End when everything that was submitted is done."""
        self.queue.put(None)
        self.thread.join()

    def abort(self, error: PlatformError, seconds: float = 0.0) -> bool:
        """Fail everything unfinished, and stop decoding after the current step; whether that ended in time."""
        self._refuse(error)
        self.queue.put(None)
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def submit(self, request: Request) -> concurrent.futures.Future[list[ActiveSequence]]:
        """The rows of a request, once they have ended; `PromptError` if its prompt does not fit."""
        return self.add(self.model.rows(request))

    def add(self, rows: list[ActiveSequence]) -> concurrent.futures.Future[list[ActiveSequence]]:
        """The rows of one request, once they have ended. Cancel the future if they are not wanted any more."""
        pending = Pending(rows, left=len(rows))
        with self.lock:
            if self.error is not None:
                raise SamplerError(str(self.error))
            if self.open_rows and self.open_rows + len(rows) > MOST_ROWS:
                raise SamplerError(f"the server is busy: {self.open_rows:,} completions are waiting")
            self.open.add(pending)
            self.open_rows += len(rows)
        pending.done.add_done_callback(lambda done: self._over(pending))
        self.queue.put(pending)
        return pending.done

    def _refuse(self, error: PlatformError) -> None:
        with self.lock:
            self.error = self.error or error
            left = list(self.open)
        for pending in left:
            for row in pending.rows:
                row.gone = True
            pending.settle(error)

    def _over(self, pending: Pending) -> None:
        with self.lock:
            self.open.discard(pending)
            self.open_rows -= len(pending.rows)
        if pending.done.cancelled():
            for row in pending.rows:
                row.gone = True
            self.queue.put(pending)

    def _run(self) -> None:
        decoding, open_ = self.model.decoding(), True
        while open_ or decoding.busy:
            open_ = self._take(decoding, open_)
            if self.error is not None:
                break
            if not decoding.busy:
                continue
            try:
                with failures():
                    ended = decoding.step()
            except Exception as e:  # whatever it is, the next requests are served
                self._fail(e if isinstance(e, PlatformError) else SamplerError(f"the decode loop failed: {e!r}"))
                decoding = self.model.decoding()
                continue
            self.observe(len(self.owners))
            for row in ended:
                pending = self.owners.pop(id(row))
                pending.left -= 1
                if not pending.left:
                    pending.settle()
        self.owners.clear()
        self._refuse(SamplerError("the server has stopped"))

    def _take(self, decoding: Decoding, open_: bool) -> bool:
        """Take what was submitted and cancelled; waits only if there is nothing to decode."""
        wait: float | None = None if open_ and not decoding.busy else 0.0
        left = False
        while True:
            try:
                pending = self.queue.get(timeout=wait) if wait != 0.0 else self.queue.get_nowait()
            except queue.Empty:
                break
            if pending is None:
                open_ = False
            elif not pending.done.done():
                self.owners.update({id(row): pending for row in pending.rows})
                decoding.add(pending.rows)
            else:
                left = self._disown(pending) or left
            wait = WINDOW if open_ and (wait is None or wait > 0) else 0.0
        if left:
            decoding.drop()
        return open_

    def _disown(self, pending: Pending) -> bool:
        """Whether any of its rows was in the loop."""
        return any([self.owners.pop(id(row), None) for row in pending.rows])

    def _fail(self, error: PlatformError) -> None:
        for pending in set(self.owners.values()):
            pending.settle(error)
        self.owners.clear()
