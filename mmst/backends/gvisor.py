"""Runs untrusted Python programs in gVisor: a pool of sandboxes, each one program at a time.

A sandbox is an OCI container of `runsc` with no network, no host mounts and a read-only root
folder of Python alone. In it a fork server that never sees program text (`inside.zygote`) and
a supervisor (`inside.supervisor`) give every program a process, a user id, a seccomp filter,
limits and pipes of its own. Expected answers stay outside.

Which programs share a process, and what an answer means, is `mmst.bundles`.

A sandbox that dies, hangs or talks nonsense is replaced and the one program that was in it is
run again in a fresh one; after `TRIES` such deaths `SandboxError` is raised. When this process
dies, however it dies, its sandboxes end: their stdin closes.
"""

from __future__ import annotations

import os
import platform as host
import shutil
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from mmst import metrics
from mmst.backends import gvisor_root
from mmst.backends.gvisor_box import Box, Broken, ready, sweep
from mmst.bundles import BUNDLE, Nonsense, Waiting
from mmst.errors import SandboxError, SetupError
from mmst.inside.packages import DEFAULT
from mmst.ports import Execution, Limits, Program

TRIES = 3
"""How many sandboxes one program may take down (or how often one may fail to start)."""
_OTHER = "use such a machine; for programs that you would run yourself: --set check.sandbox=subprocess"
_REMEDY = "Debian: `apt-get install runsc`; elsewhere: https://gvisor.dev/docs/user_guide/install/"


def available(packages: Sequence[str] = ()) -> str:
    """Version and platform of the gVisor here, after a sandbox was really started in it.

    Raises `SetupError` with the remedy when there is none or it cannot be used.
    """
    version = _version()
    with GvisorSandbox(workers=1, packages=packages) as box:
        next(box.run([Program(id="try", source="print(1)")], Limits(timeout=20.0)))
        return f"{version}, platform {box.platform or 'default'}"


class GvisorSandbox:
    """Fulfils `ports.Sandbox` with up to `workers` sandboxes (never more than cores).

    Programs may import `packages`, which must be installed here.
    At most `bundle` harmless programs share a process; with 1 every program has its own.

    >>> with GvisorSandbox(workers=2) as box:                               # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "gvisor"

    def __init__(self, workers: int, bundle: int = BUNDLE, packages: Sequence[str] = DEFAULT) -> None:
        self._most = max(1, min(workers, len(os.sched_getaffinity(0))))
        self._bundle, self._packages = bundle, packages
        self._pool: list[Box] = []
        self.platform: str | None = None

    def __enter__(self) -> GvisorSandbox:
        _version()
        self._root = gvisor_root.bundle(self._packages)
        sweep()
        self._pool.append(self._first())
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`; programs are taken from the iterable little ahead of the sandboxes."""
        waiting = Waiting(programs, limits, self._bundle)
        try:
            while busy := self._assign(waiting):
                waiting.look_ahead(len(busy))
                for box in ready(busy):
                    yield from self._answers(box, waiting, limits)
        finally:
            for box in [b for b in self._pool if b.work]:
                self._drop(box)

    def _assign(self, waiting: Waiting) -> list[Box]:
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

    def _answers(self, box: Box, waiting: Waiting, limits: Limits) -> list[Execution]:
        """What a sandbox has to say of its programs; nothing while that is open."""
        work = box.work
        assert work
        try:
            body = box.advance()
            if body is None:
                return []
            executions = work.executions(body, limits)
        except (Broken, Nonsense) as e:
            self._drop(box)
            if work.tries + 1 >= TRIES:
                what = f"{TRIES} sandboxes in a row failed while running program '{work.programs[0].id}': {e}"
                raise SandboxError(what) from None
            metrics.retry("gvisor", e)
            waiting.again(work)
            return []
        if executions is None:
            waiting.again(work)
        return executions or []

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
