"""Runs untrusted Python programs in gVisor: a pool of sandboxes, each one program at a time.

A sandbox is an OCI container of `runsc` with no network, no host mounts and a read-only root
folder of Python alone. In it a fork server that never sees program text (`gvisor_zygote`) and
a supervisor (`gvisor_supervisor`) give every program a process, a user id, a seccomp filter,
limits and pipes of its own. Expected answers stay outside.

A sandbox that dies, hangs or talks nonsense is replaced and the one program that was in it is
run again in a fresh one; after `TRIES` such deaths `SandboxError` is raised. When this process
dies, however it dies, its sandboxes end: their stdin closes.
"""

from __future__ import annotations

import json
import os
import platform as host
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import wait
from typing import IO, Any

from mmst.backends import gvisor_root
from mmst.errors import SandboxError, SetupError, UserError
from mmst.outcome import outcome
from mmst.ports import Execution, Limits, Program

TRIES = 3
"""How many sandboxes one program may take down (or how often one may fail to start)."""
START_SECONDS = 60.0
GRACE_SECONDS = 20.0
_FRAME_MOST = 64 << 20
_ANSWER = {"id", "status", "cut", "stdout", "stderr", "seconds", "peak_kib"}
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

    >>> with GvisorSandbox(workers=2) as box:                               # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "gvisor"

    def __init__(self, workers: int) -> None:
        self._most = max(1, min(workers, len(os.sched_getaffinity(0))))
        self._pool: list[_Box] = []
        self.platform: str | None = None

    def __enter__(self) -> GvisorSandbox:
        _version()
        self._root = gvisor_root.bundle()
        self._pool.append(self._first())
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`; programs are taken from the iterable as sandboxes get free."""
        waiting = _Waiting(programs)
        try:
            while busy := self._assign(waiting, limits):
                for box in _ready(busy):
                    execution = self._answer(box, waiting, limits)
                    if execution is not None:
                        yield execution
        finally:
            for box in [b for b in self._pool if b.program]:
                self._drop(box)

    def _assign(self, waiting: _Waiting, limits: Limits) -> list[_Box]:
        """Give programs to free sandboxes, starting more as needed; those that are at work."""
        idle = deque(b for b in self._pool if not b.program)
        while idle or len(self._pool) < self._most:
            task = waiting.next()
            if task is None:
                break
            if not idle:
                idle.append(self._start())
                self._pool.append(idle[0])
            idle.popleft().give(*task, limits)
        return [b for b in self._pool if b.program]

    def _answer(self, box: _Box, waiting: _Waiting, limits: Limits) -> Execution | None:
        """What a sandbox has to say of its program; None while that is still open."""
        program, tries = box.task()
        try:
            answer = box.advance()
        except _Broken as e:
            self._drop(box)
            if tries + 1 >= TRIES:
                what = f"{TRIES} sandboxes in a row failed while running program '{program.id}': {e}"
                raise SandboxError(what) from None
            waiting.again.append((program, tries + 1))
            return None
        if answer is None:
            return None
        if answer["status"] == -signal.SIGKILL and not answer["cut"] and tries == 0:
            waiting.again.append((program, 1))  # none of ours killed it, so perhaps the host did
            return None
        return _execution(answer, limits)

    def _drop(self, box: _Box) -> None:
        self._pool.remove(box)
        box.kill()

    def _first(self) -> _Box:
        """The first sandbox, on the first platform that works: the version's default, or another."""
        reasons = []
        for platform in ("", "ptrace", "systrap"):
            self.platform = platform
            try:
                return self._start(tries=1)
            except SandboxError as e:
                reasons.append(f"{platform or 'default'}: {e}")
        raise SetupError("gVisor is installed but starts no sandbox", why="; ".join(reasons), remedy=_REMEDY)

    def _start(self, tries: int = TRIES) -> _Box:
        for left in reversed(range(tries)):
            box = _Box(str(self._root), self.platform or "")
            try:
                box.await_ready()
            except BaseException as e:
                box.kill()
                if isinstance(e, _Broken) and left:
                    continue
                if isinstance(e, _Broken):
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


class _Broken(Exception):
    """A sandbox that cannot be used any more; says how it went."""


class _Waiting:
    """What is still to be run: the suspects of broken sandboxes first, then the caller's."""

    def __init__(self, programs: Iterable[Program]) -> None:
        self._new = iter(programs)
        self._seen: set[str] = set()
        self.again: deque[tuple[Program, int]] = deque()

    def next(self) -> tuple[Program, int] | None:
        """A program and how many sandboxes it has taken down so far."""
        if self.again:
            return self.again.popleft()
        program = next(self._new, None)
        if program is None:
            return None
        if program.id in self._seen:
            raise UserError("two programs of one call have the same id", value=program.id, remedy="ids must be unique")
        self._seen.add(program.id)
        return program, 0


class _Box:
    """One running sandbox and the program in it."""

    def __init__(self, bundle: str, platform: str) -> None:
        self._state = gvisor_root.cache() / "state"
        self._state.mkdir(exist_ok=True, mode=0o700)
        self.id = f"mmst-{os.getpid()}-{secrets.token_hex(4)}"
        options = [f"--root={self._state}", "--network=none", "--ignore-cgroups"]
        options += ["--rootless"] if os.geteuid() != 0 else []
        options += [f"--platform={platform}"] if platform else []
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the sandbox
        self._process = subprocess.Popen(
            ["runsc", *options, "run", f"--bundle={bundle}", self.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self.stdin, self.out = self._process.stdin, self._process.stdout
        os.set_blocking(self.stdin.fileno(), False)
        self.program: Program | None = None
        self.deadline = time.monotonic() + START_SECONDS
        self._tries = 0
        self._got = bytearray()

    def give(self, program: Program, tries: int, limits: Limits) -> None:
        """Start a program; `advance` then tells its end."""
        frame = {
            "id": program.id,
            "source": program.source,
            "stdin": program.stdin,
            "timeout": limits.timeout,
            "memory": limits.memory_mib << 20,
            "output": limits.output_kib << 10,
        }
        data = json.dumps(frame).encode()
        data = json.dumps(frame).encode()
        self.program, self._tries = program, tries
        self.deadline = time.monotonic() + limits.timeout + GRACE_SECONDS
        self._send(memoryview(len(data).to_bytes(4, "big") + data))

    def task(self) -> tuple[Program, int]:
        """The program in it, and how many sandboxes that has taken down before."""
        assert self.program
        return self.program, self._tries

    def advance(self) -> dict[str, Any] | None:
        """The answer when it is whole, None when more is to come; `_Broken` when none will."""
        frame = self._frame()
        if frame is None:
            return None
        if not self.program or frame.get("id") != self.program.id or not _ANSWER.issubset(frame):
            raise _Broken("it answered what it was not asked")
        self.program = None
        return frame

    def await_ready(self) -> None:
        """Wait for its first frame."""
        while True:
            _ready([self])
            frame = self._frame()
            if frame is not None:
                return

    def kill(self, patience: float = 1.0) -> None:
        """End it, leaving nothing behind; `patience` are the seconds it may take to go by itself."""
        self.stdin.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # the sandbox dies with its `runsc run`
            self._process.wait()
        for left in self._state.glob(f"*{self.id}*"):
            left.unlink(missing_ok=True)
        self.out.close()
        self._log.close()

    def _send(self, data: memoryview) -> None:
        """Write all of it; what is wrong with a sandbox that takes none shows in `advance`."""
        while data:
            try:
                data = data[os.write(self.stdin.fileno(), data) :]
            except BlockingIOError:
                if time.monotonic() > self.deadline:
                    return
                time.sleep(0.001)
            except BrokenPipeError:
                return

    def _frame(self) -> dict[str, Any] | None:
        """The next frame when it is whole."""
        if not wait([self.out.fileno()], 0):
            if time.monotonic() >= self.deadline:
                raise _Broken("it was silent for too long")
            return None
        data = os.read(self.out.fileno(), 1 << 20)
        if not data:
            raise _Broken(f"it ended ({self._last_words()})")
        self._got += data
        size = int.from_bytes(self._got[:4], "big")
        if size > _FRAME_MOST:
            raise _Broken("it sent something that is no frame")
        if len(self._got) < 4 + size or len(self._got) < 4:
            return None
        body = bytes(self._got[4 : 4 + size])
        del self._got[: 4 + size]
        try:
            frame = json.loads(body)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            raise _Broken("it sent something that is no frame")
        return frame

    def _last_words(self) -> str:
        self._log.seek(0)
        text = self._log.read()[-600:].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


def _ready(boxes: list[_Box]) -> list[_Box]:
    """Wait for the boxes that have something to say, or have been silent for too long."""
    left = min(b.deadline for b in boxes) - time.monotonic()
    speaking = wait([b.out.fileno() for b in boxes], max(0.0, left))
    return [b for b in boxes if b.out.fileno() in speaking or b.deadline <= time.monotonic()]


def _execution(answer: dict[str, Any], limits: Limits) -> Execution:
    what, detail = outcome(status=answer["status"], cut=answer["cut"], stderr=answer["stderr"], limits=limits)
    return Execution(
        id=answer["id"],
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
