"""The queue of a pool of sandboxes: evaluate a batch of programs next, or run one alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmst.core import metrics
from mmst.core.ports import Evaluation, Execution, Limits, Program
from mmst.sandbox import recheck
from mmst.sandbox.guest.wire import BATCH
from mmst.sandbox.work import Waiting, Work

TRIES = 3
"""How many evaluators may fail in a row before programs are no longer evaluated."""
_PATIENCE = 0.5
"""How many seconds a program may wait for a batch to be evaluated in."""


class Queue:
    """The works of one call: to evaluate, to run, to recheck, and to run while nothing else runs."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._batch: list[Work] = []
        self._run: deque[Work] = deque()
        self._recheck: list[Work] = []
        self._held_up: deque[Work] = deque()
        self._failures = 0

    def batch(self) -> list[Work]:
        """The next works to evaluate together; empty while enough are waiting to run, or if none is left."""
        began = time.monotonic()
        while len(self._batch) < BATCH and len(self._run) < BATCH and (work := self._waiting.next()):
            (self._batch if work.evaluate and self._failures < TRIES else self._run).append(work)
            if time.monotonic() > began + _PATIENCE:
                break
        if len(self._run) >= BATCH:
            return []
        batch, self._batch = self._batch, []
        return batch

    def next(self, *, idle: bool) -> Work | None:
        """The next work to run in its own process; rechecks wait until there are many, or all is `idle`."""
        if self._run:
            return self._run.popleft()
        if self._recheck and (idle or len(self._recheck) >= BATCH):
            some, self._recheck = self._recheck[:BATCH], self._recheck[BATCH:]
            limits = Limits(timeout=10.0, memory_mib=some[0].limits.memory_mib, output_kib=some[0].limits.output_kib)
            program = Program(id="recheck", source=recheck.program([work.program.source for work in some]))
            return Work(program, limits, together=tuple(some))
        return self._held_up.popleft() if self._held_up and idle else None

    def evaluated(self, batch: Sequence[Work], texts: Sequence[str | None]) -> Iterator[Execution]:
        """Take the results of an evaluator; the rest is run, and a share is rechecked."""
        self._failures = 0
        for work, text in zip(batch, texts, strict=True):
            known = replace(work, evaluate=False, evaluated=text)
            if text is None:
                self._run.append(known)
            elif work.recheck:
                self._recheck.append(known)
            else:
                yield _finished(known, Evaluation.FINISHED)

    def not_evaluated(self, batch: Sequence[Work], why: object) -> None:
        """An evaluator failed: its programs are run instead."""
        metrics.retry("gvisor evaluator", why)
        self._failures += 1
        self._run.extend(replace(work, evaluate=False) for work in batch)

    def rechecked(self, works: Sequence[Work], execution: Execution | None) -> Iterator[Execution]:
        """The result of a group that was rechecked together: confirmed as a whole, or each is run alone."""
        texts = [work.evaluated or "" for work in works]
        if execution and execution.exit_status == "ok" and recheck.agree(execution.stdout, texts):
            yield from (_finished(work, Evaluation.CONFIRMED) for work in works)
        else:
            self._run.extend(works)

    def back(self, works: Sequence[Work]) -> None:
        """They did not start, because their sandbox did not start."""
        for work in works:
            if work.evaluate:
                self._batch.append(work)
            elif work.together:
                self._recheck.extend(work.together)
            else:
                (self._held_up if work.in_peace else self._run).append(work)

    def again(self, work: Work) -> None:
        """Run it again first: it broke its sandbox, or was killed for no known reason."""
        self._run.appendleft(replace(work, tries=work.tries + 1))

    def again_in_peace(self, work: Work) -> None:
        """Run it again while nothing else runs: it was kept from running."""
        self._held_up.append(replace(work, in_peace=True))


def _finished(work: Work, evaluation: Evaluation) -> Execution:
    return Execution(id=work.id, exit_status="ok", stdout=work.evaluated or "", stderr="", evaluation=evaluation)
