"""Runs untrusted Python programs in gVisor: a pool of sandboxes, each running one program at a time.

A sandbox is an OCI container of `runsc` with no network, no host mounts and a read-only root
folder of Python alone. In it, a fork server that never sees program text (`guest.zygote`) and a supervisor
(`guest.supervisor`) give every program its own process, user id, seccomp filter, limits and pipes. Gold answers
stay outside.

Before that, programs are evaluated (`mmst.sandbox.work`) in batches, in a separate sandbox in which no program ever
runs (`guest.evaluator`).

A sandbox that dies, hangs or sends nonsense is replaced, and its program runs again in a fresh one; after `TRIES`
such failures, `SandboxError` is raised. If this process dies in any way, its sandboxes end, because their stdin
closes.
"""

from __future__ import annotations

import os
import platform as host
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mmst.core import metrics
from mmst.core.config import RECHECK
from mmst.core.errors import SandboxError, SetupError
from mmst.core.ports import Execution, Limits, Program
from mmst.sandbox import replies
from mmst.sandbox.guest.machine import OUTPUT
from mmst.sandbox.guest.packages import DEFAULT, FOLDER, present
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.providers.gvisor_box import Box, Broken, speaking, sweep
from mmst.sandbox.providers.gvisor_queue import Queue
from mmst.sandbox.replies import Nonsense, Reply
from mmst.sandbox.work import Waiting, Work

TRIES = 3
"""How many sandboxes one program may break, and how many in a row may fail to start."""
_RETRY = "try again when the machine is less busy; if that does not help, another version of runsc may"
_OTHER = "use such a machine; for programs that you would run yourself: --set check.sandbox=subprocess"
_REMEDY = "Debian: `apt-get install runsc`; elsewhere: https://gvisor.dev/docs/user_guide/install/"


def available(packages: Sequence[str] = ()) -> str:
    """Version and platform of gVisor on this machine, found by really starting a sandbox.

    Raises `SetupError` with the remedy if there is none or it cannot be used.
    """
    version = _version()
    with GvisorSandbox(workers=1, packages=packages, evaluate=False) as box:
        next(box.run([Program(id="try", source="print(1)")], Limits(timeout=20.0)))
        return f"{version}, platform {box.platform or 'default'}"


class GvisorSandbox:
    """Fulfils `ports.Sandbox` with up to `workers` sandboxes (never more than cores).

    Programs may import `packages`, which must be installed here. With `evaluate`, programs are
    evaluated first, and a share of `recheck` of what is finished so is run as well; without, every
    program is run.

    >>> with GvisorSandbox(workers=2) as box:                               # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "gvisor"

    def __init__(
        self, workers: int, *, packages: Sequence[str] = DEFAULT, evaluate: bool = True, recheck: float = RECHECK
    ) -> None:
        self._most = max(1, min(workers, len(os.sched_getaffinity(0))))
        self._packages, self._evaluate, self._recheck = packages, evaluate, recheck
        self._pool: list[Box] = []
        self._evaluators: list[Box] = []
        self._not_started = 0
        self.platform: str | None = None

    def __enter__(self) -> GvisorSandbox:
        _version()
        self._root = gvisor_root.bundle(self._packages)
        self._here = present(f"{self._root}/rootfs{FOLDER}")
        sweep()
        self._first()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`; programs are read from the iterable a little ahead of the sandboxes."""
        queue = Queue(Waiting(programs, limits, evaluate=self._evaluate, recheck=self._recheck))
        try:
            while busy := self._assign(queue):
                for box in speaking(busy):
                    yield from self._answers(box, queue)
        finally:
            for box in self._busy():
                self._drop(box)

    def _busy(self) -> list[Box]:
        return [b for b in (*self._evaluators, *self._pool) if b.works]

    def _assign(self, queue: Queue) -> list[Box]:
        """Give work to free sandboxes and start more as needed; returns those that are working or starting."""
        while len(self._busy()) < self._most and not any(work.in_peace for b in self._pool for work in b.works):
            evaluating = any(b.works for b in self._evaluators)
            if not evaluating and (batch := queue.batch()):
                self._idle(self._evaluators).give(batch)
            elif work := queue.next(idle=not self._busy()):
                self._idle(self._pool).give([work])
                if work.in_peace:
                    break
            else:
                break
        return self._busy()

    def _idle(self, boxes: list[Box]) -> Box:
        """An idle sandbox, started if there is none."""
        for box in boxes:
            if not box.works:
                return box
        boxes.append(self._new(evaluator=boxes is self._evaluators))
        return boxes[-1]

    def _answers(self, box: Box, queue: Queue) -> Iterator[Execution]:
        """The results of a sandbox's programs; nothing until they are there."""
        if not box.ready:
            self._started(box, queue)
            return iter(())
        if box in self._evaluators:
            return self._evaluations(box, queue)
        [work] = box.works
        return self._rechecks(box, work, queue) if work.together else iter(self._execution(box, work, queue))

    def _started(self, box: Box, queue: Queue) -> None:
        """The sandbox is ready, or did not start: then another one gets its work."""
        try:
            box.advance()
            self._not_started = 0
        except Broken as e:
            works = box.works
            self._drop(box)
            self._not_started += 1
            if self._not_started >= TRIES:
                raise SandboxError(f"a gVisor sandbox could not start: {e}") from None
            queue.back(works)

    def _evaluations(self, box: Box, queue: Queue) -> Iterator[Execution]:
        batch = box.works
        try:
            body = box.advance()
            texts = None if body is None else replies.evaluations(body, len(batch), output=OUTPUT)
        except (Broken, Nonsense) as e:
            self._drop(box)
            queue.not_evaluated(batch, e)
            return
        if texts is not None:
            yield from queue.evaluated(batch, texts)

    def _rechecks(self, box: Box, work: Work, queue: Queue) -> Iterator[Execution]:
        try:
            if not (said := self._reply(box, work)):
                return
            execution = work.execution(said)
        except (Broken, Nonsense):
            self._drop(box)
            execution = None
        yield from queue.rechecked(work.together, execution)

    def _execution(self, box: Box, work: Work, queue: Queue) -> list[Execution]:
        try:
            if not (said := self._reply(box, work)):
                return []
            execution = work.execution(said)
        except (Broken, Nonsense) as e:
            self._drop(box)
            if work.tries + 1 >= TRIES:
                what = f"{TRIES} sandboxes in a row failed while running program '{work.id}': {e}"
                raise SandboxError(what) from None
            metrics.retry("gvisor", e)
            queue.again(work)
            return []
        if execution is None:
            queue.again(work)
            return []
        if execution.exit_status == "timed_out" and box.allowance and box.allowance.held_up:
            if not work.in_peace:
                queue.again_in_peace(work)
                return []
            execution = replace(execution, detail=box.allowance.story)
        return [execution]

    def _reply(self, box: Box, work: Work) -> Reply | None:
        """The result of its program; None until it is there."""
        if not (body := box.advance()):
            return None
        said = replies.reply(body, output=work.limits.output_kib << 10)
        if said.spent:
            self._drop(box)
        return said

    def _drop(self, box: Box) -> None:
        for boxes in (self._evaluators, self._pool):
            if box in boxes:
                boxes.remove(box)
        box.kill()

    def _first(self) -> None:
        """The first sandbox, on the first platform that works: the version's default, or another one."""
        reasons = []
        for self.platform in ("", "ptrace", "systrap"):
            box = self._new(evaluator=self._evaluate)
            try:
                box.await_ready()
            except Broken as e:
                box.kill()
                reasons.append(f"{self.platform or 'default'}: it could not start: {e}")
            except BaseException:
                box.kill()
                raise
            else:
                (self._evaluators if self._evaluate else self._pool).append(box)
                return
        raise SetupError("gVisor is installed but starts no sandbox", why="; ".join(reasons), remedy=_RETRY)

    def _new(self, *, evaluator: bool) -> Box:
        return Box(self._root, self.platform or "", self._here, evaluator=evaluator)

    def _close(self) -> None:
        boxes = [*self._evaluators, *self._pool]
        for box in boxes:
            box.stdin.close()
        for box in boxes:
            box.kill(patience=3.0)
        self._evaluators.clear()
        self._pool.clear()


def _version() -> str:
    """`runsc 0.0~20221219.0`; `SetupError` if there is none that can work here."""
    if host.system() != "Linux" or host.machine() != "x86_64":
        where = f"{host.system()} {host.machine()}"
        raise SetupError("the gVisor sandbox needs Linux on x86-64", why=f"this is {where}", remedy=_OTHER)
    if shutil.which("runsc") is None:
        raise SetupError("gVisor (runsc) is not installed", why="untrusted programs run in it", remedy=_REMEDY)
    done = subprocess.run(["runsc", "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise SetupError("runsc does not run", why=done.stderr.strip()[-200:], remedy=_REMEDY)
    return done.stdout.splitlines()[0].replace(" version", "")
