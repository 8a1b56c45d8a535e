"""Runs untrusted Python programs in gVisor: a pool of sandboxes, each one program at a time.

A sandbox is an OCI container of `runsc` with no network, no host mounts and a read-only root
folder of Python alone. In it a fork server that never sees program text (`inside.zygote`) and
a supervisor (`inside.supervisor`) give every program a process, a user id, a seccomp filter,
limits and pipes of its own. Expected answers stay outside.

Programs that are proven harmless (`mmst.harmless`) can neither see nor disturb one another, so
many of them share a process; every other program has its own.

A sandbox that dies, hangs or talks nonsense is replaced and the one program that was in it is
run again in a fresh one; after `TRIES` such deaths `SandboxError` is raised. When this process
dies, however it dies, its sandboxes end: their stdin closes.
"""

from __future__ import annotations

import os
import platform as host
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from mmst.backends import gvisor_root
from mmst.backends.gvisor_box import Box, Broken, Work, ready, sweep
from mmst.errors import SandboxError, SetupError, UserError
from mmst.harmless import Proof, proof
from mmst.outcome import outcome
from mmst.ports import Execution, Limits, Program

TRIES = 3
"""How many sandboxes one program may take down (or how often one may fail to start)."""
BUNDLE = 64
"""How many harmless programs share a process."""
_LEAST = Limits(timeout=0.2, memory_mib=64, output_kib=20)
"""Under lower limits than these even a harmless program has a process of its own."""
_ENDLESS_SECONDS = 0.1
"""How long a program runs that is proven never to end, in case that the proof is wrong."""
_BUNDLE_LIMITS = Limits(timeout=10.0, memory_mib=256, output_kib=16 << 10)
_PATIENCE = 0.5
"""How many seconds a harmless program may wait for others to share a process with."""
_OTHER = "use such a machine; for programs that you would run yourself: --set check.sandbox=subprocess"
_REMEDY = "Debian: `apt-get install runsc`; elsewhere: https://gvisor.dev/docs/user_guide/install/"


def available() -> str:
    """Version and platform of the gVisor here, after a sandbox was really started in it.

    Raises `SetupError` with the remedy when there is none or it cannot be used.
    """
    version = _version()
    with GvisorSandbox(workers=1) as box:
        next(box.run([Program(id="try", source="print(1)")], Limits(timeout=20.0)))
        return f"{version}, platform {box.platform or 'default'}"


class GvisorSandbox:
    """Fulfils `ports.Sandbox` with up to `workers` sandboxes (never more than cores).

    At most `bundle` harmless programs share a process; with 1 every program has its own.

    >>> with GvisorSandbox(workers=2) as box:                               # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "gvisor"

    def __init__(self, workers: int, bundle: int = BUNDLE) -> None:
        self._most = max(1, min(workers, len(os.sched_getaffinity(0))))
        self._bundle = bundle
        self._pool: list[Box] = []
        self.platform: str | None = None

    def __enter__(self) -> GvisorSandbox:
        _version()
        self._root = gvisor_root.bundle()
        sweep()
        self._pool.append(self._first())
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`; programs are taken from the iterable little ahead of the sandboxes."""
        waiting = _Waiting(programs, limits, self._bundle)
        try:
            while busy := self._assign(waiting):
                waiting.look_ahead(len(busy))
                for box in ready(busy):
                    yield from self._answers(box, waiting, limits)
        finally:
            for box in [b for b in self._pool if b.work]:
                self._drop(box)

    def _assign(self, waiting: _Waiting) -> list[Box]:
        """Give work to free sandboxes, starting more as needed; those that are at work."""
        idle = deque(b for b in self._pool if not b.work)
        while idle or len(self._pool) < self._most:
            work = waiting.next()
            if work is None:
                break
            if not idle:
                idle.append(self._start())
                self._pool.append(idle[0])
            idle.popleft().give(work)
        return [b for b in self._pool if b.work]

    def _answers(self, box: Box, waiting: _Waiting, limits: Limits) -> list[Execution]:
        """What a sandbox has to say of its programs; nothing while that is open."""
        work = box.work
        assert work
        try:
            answers = box.advance()
        except Broken as e:
            self._drop(box)
            if work.tries + 1 >= TRIES:
                what = f"{TRIES} sandboxes in a row failed while running program '{work.programs[0].id}': {e}"
                raise SandboxError(what) from None
            waiting.again(work)
            return []
        if answers is None:
            return []
        if not answers or (_killed_by_nobody(answers[0]) and work.tries == 0):
            waiting.again(work)
            return []
        return [_execution(p, answer, limits) for p, answer in zip(work.programs, answers, strict=True)]

    def _drop(self, box: Box) -> None:
        self._pool.remove(box)
        box.kill()

    def _first(self) -> Box:
        """The first sandbox, on the first platform that works: the version's default, or another."""
        reasons = []
        for platform in ("", "ptrace", "systrap"):
            self.platform = platform
            try:
                return self._start(tries=1)
            except SandboxError as e:
                reasons.append(f"{platform or 'default'}: {e}")
        raise SetupError("gVisor is installed but starts no sandbox", why="; ".join(reasons), remedy=_REMEDY)

    def _start(self, tries: int = TRIES) -> Box:
        for left in reversed(range(tries)):
            box = Box(str(self._root), self.platform or "")
            try:
                box.await_ready()
            except BaseException as e:
                box.kill()
                if isinstance(e, Broken) and left:
                    continue
                if isinstance(e, Broken):
                    raise SandboxError(f"a gVisor sandbox could not start: {e}") from None
                raise
            return box
        raise AssertionError("unreachable")

    def _close(self) -> None:
        for box in self._pool:
            box.stdin.close()
        for box in self._pool:
            box.kill(patience=3.0)
        self._pool.clear()


class _Waiting:
    """What is still to be run: the suspects of broken sandboxes first, each alone, then the caller's."""

    def __init__(self, programs: Iterable[Program], limits: Limits, bundle: int) -> None:
        self._new, self._limits = iter(programs), limits
        ample = all(getattr(limits, name) >= getattr(_LEAST, name) for name in Limits.__dataclass_fields__)
        self._bundle = bundle if ample else 1
        self._seen: set[str] = set()
        self._harmless: list[Program] = []
        self._since = 0.0
        self._again: deque[Work] = deque()
        self._found: deque[Work] = deque()

    def again(self, work: Work) -> None:
        """Run it once more: a bundle program by program."""
        tries = work.tries if work.bundle else work.tries + 1
        self._again.extend(Work((program,), self._limits, tries) for program in work.programs)

    def next(self) -> Work | None:
        """What to run next; None when nothing is left."""
        if self._again:
            return self._again.popleft()
        return self._found.popleft() if self._found else self._find()

    def look_ahead(self, n: int) -> None:
        """Find the next works, for proofs take time, while the sandboxes are busy anyway."""
        while len(self._found) < n and (work := self._find()):
            self._found.append(work)

    def _find(self) -> Work | None:
        """The next work of the caller's programs."""
        if self._harmless and time.monotonic() > self._since + _PATIENCE:
            return self._together()
        for program in self._new:
            if program.id in self._seen:
                what = "two programs of one call have the same id"
                raise UserError(what, value=program.id, remedy="ids must be unique")
            self._seen.add(program.id)
            known = proof(program.source) if self._bundle > 1 else None
            if known is Proof.NEVER_ENDS:
                return Work((program,), replace(self._limits, timeout=_ENDLESS_SECONDS))
            if known is None:
                return Work((program,), self._limits)
            if not self._harmless:
                self._since = time.monotonic()
            self._harmless.append(program)
            if len(self._harmless) == self._bundle:
                break
        return self._together() if self._harmless else None

    def _together(self) -> Work:
        """The harmless programs found so far."""
        harmless, self._harmless = tuple(self._harmless), []
        return Work(harmless, _BUNDLE_LIMITS if len(harmless) > 1 else self._limits)


def _killed_by_nobody(answer: dict[str, Any]) -> bool:
    """Whether a program was killed, not by us; so perhaps by its host, for want of memory."""
    return answer["status"] == -signal.SIGKILL and not answer["cut"]


def _execution(program: Program, answer: dict[str, Any], limits: Limits) -> Execution:
    what, detail = outcome(status=answer["status"], cut=answer["cut"], stderr=answer["stderr"], limits=limits)
    return Execution(
        id=program.id,
        outcome=what,
        stdout=answer["stdout"],
        stderr=answer["stderr"],
        detail=detail,
        seconds=answer["seconds"],
        peak_mib=answer["peak_kib"] / 1024,
    )


def _version() -> str:
    """`runsc 0.0~20221219.0`; `SetupError` when there is none that can work here."""
    if host.system() != "Linux" or host.machine() != "x86_64":
        where = f"{host.system()} {host.machine()}"
        raise SetupError("the gVisor sandbox needs Linux on x86-64", why=f"this is {where}", remedy=_OTHER)
    if shutil.which("runsc") is None:
        raise SetupError("gVisor (runsc) is not installed", why="untrusted programs run in it", remedy=_REMEDY)
    done = subprocess.run(["runsc", "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise SetupError("runsc does not run", why=done.stderr.strip()[-200:], remedy=_REMEDY)
    return done.stdout.splitlines()[0].replace(" version", "")
