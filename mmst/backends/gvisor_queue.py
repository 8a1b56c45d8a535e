"""What a pool of sandboxes does next: evaluate a batch of programs, or run one alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmst import metrics
from mmst.inside.wire import BATCH
from mmst.ports import Evaluation, Execution
from mmst.work import Waiting, Work

TRIES = 3
"""How many evaluators may fail in a row before programs are only run."""
_PATIENCE = 0.5
"""How many seconds a program may wait for others to be evaluated with."""


class Queue:
    """The works of one call: those to evaluate, those to run, and those to run when nothing else does."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._run: deque[Work] = deque()
        self._batch: list[Work] = []
        self._held_up: deque[Work] = deque()
        self._failures = 0

    def batch(self) -> list[Work]:
        """The next works to evaluate together; empty while enough are waiting to run, or when none is left."""
        began = time.monotonic()
        while len(self._batch) < BATCH and len(self._run) < BATCH and (work := self._waiting.next()):
            (self._batch if work.evaluate and self._failures < TRIES else self._run).append(work)
            if time.monotonic() > began + _PATIENCE:
                break
        if len(self._run) >= BATCH:
            return []
        batch, self._batch = self._batch, []
        return batch

    def next(self) -> Work | None:
        """The next work to run alone."""
        return self._run.popleft() if self._run else None

    def held_up(self) -> Work | None:
        """The next work to run while no other does."""
        return self._held_up.popleft() if self._held_up else None

    def evaluated(self, batch: Sequence[Work], texts: Sequence[str | None]) -> Iterator[Execution]:
        """What an evaluator finished; the rest, and what is to be rechecked, is run."""
        self._failures = 0
        for work, text in zip(batch, texts, strict=True):
            if text is None or work.recheck:
                self._run.append(replace(work, evaluate=False, evaluated=text))
            else:
                yield Execution(id=work.id, outcome="ok", stdout=text, stderr="", evaluation=Evaluation.FINISHED)

    def not_evaluated(self, batch: Sequence[Work], why: object) -> None:
        """An evaluator failed: its programs are run."""
        metrics.retry("gvisor evaluator", why)
        self._failures += 1
        self._run.extend(replace(work, evaluate=False) for work in batch)

    def again(self, work: Work) -> None:
        """Run it once more, first of all: it took its sandbox down, or was killed by nobody."""
        self._run.appendleft(replace(work, tries=work.tries + 1))

    def again_in_peace(self, work: Work) -> None:
        """Run it once more when nothing else runs: it was kept from running."""
        self._held_up.append(replace(work, in_peace=True))
