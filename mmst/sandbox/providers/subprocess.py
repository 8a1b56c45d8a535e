"""Runs programs as ordinary processes of this machine; only on request, for machines without gVisor.

It passes the same conformance suite as the gVisor sandbox. Programs are kept from the rest of the machine by what
the kernel offers to any process; `warning` says which of these protections work here:

- this process is not dumpable while programs run, so its memory, environment and open files are closed
  to others of the same user (`PR_SET_DUMPABLE`), and a program holds no descriptor but its own three;
- where this is root, each of the programs that run at once has a user id of its own and no capabilities;
- Landlock: writing only in its own folder, no way to other processes;
- a system-call filter (x86-64): no processes, signals or network.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from mmst.core.errors import SandboxError, UserError
from mmst.core.meter import SEVERAL, Allowance, Meter
from mmst.core.ports import Execution, Limits, Program
from mmst.observe.terminal import warn
from mmst.sandbox.exit_status import exit_status
from mmst.sandbox.guest import alone, landlock, privileges
from mmst.sandbox.guest.program import NAME
from mmst.sandbox.guest.watch import Watched

FIRST_ID = 60_578
"""First user id for running programs. Neither Debian nor systemd assigns ids from here on."""
_RUNNER = Path(alone.__file__)
_warned = False


class SubprocessSandbox:
    """Fulfils `ports.Sandbox` with up to `workers` processes at once (never more than cores).

    >>> with SubprocessSandbox(workers=2) as box:                           # doctest: +SKIP
    ...     [e.stdout for e in box.run([Program(id="a", source="print(6*7)")], Limits())]
    ['42\\n']
    """

    name = "subprocess"

    def __init__(self, workers: int) -> None:
        self._workers = max(1, min(workers, os.cpu_count() or 1))

    def __enter__(self) -> SubprocessSandbox:
        global _warned
        if not _warned:
            warn(warning())
            _warned = True
        return self

    def __exit__(self, *_: object) -> None:
        return

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`."""
        seen: set[str] = set()
        working: set[Future[Execution]] = set()
        ids: queue.SimpleQueue[int] = queue.SimpleQueue()
        for n in range(self._workers):
            ids.put(FIRST_ID + n)

        def one(program: Program) -> Execution:
            uid = ids.get()
            try:
                return _run(program, limits, uid)
            finally:
                ids.put(uid)

        with _closed_to_others(), ThreadPoolExecutor(self._workers) as pool:
            for program in programs:
                if program.id in seen:
                    raise UserError("two programs of one call have the same id", value=program.id)
                seen.add(program.id)
                working.add(pool.submit(one, program))
                if len(working) >= self._workers:
                    done, working = wait(working, return_when=FIRST_COMPLETED)
                    yield from (f.result() for f in done)
            yield from (f.result() for f in working)


def warning() -> str:
    """Which protections this sandbox has on this machine, and which it lacks."""
    root = os.geteuid() == 0
    uid, reads_all = _rights() if root else (os.geteuid(), True)
    who = f"under user ids of their own ({uid} …)" if uid != os.geteuid() else "as you, root," if root else "as you"
    reads = "read every file that you can" if reads_all or not uid else "read what every user may"
    writes = (
        "write only in an empty folder of their own, and do not reach other processes"
        if landlock.version()
        else "change what that user may, and reach that user's processes, but not this one (no Landlock in this kernel)"
    )
    calls = (
        "a system-call filter keeps them from processes, signals and the network"
        if os.uname().machine == "x86_64"
        else "without a system-call filter for this processor they can start processes and use the network"
    )
    return (
        f"mmst: the sandbox subprocess runs model-written programs OUTSIDE gVisor, {who}: they can {reads}. They "
        f"{writes}; {calls}. Time, memory and output are limited. Whatever the kernel itself lets through is theirs. "
        "Install gVisor (runsc) and use the sandbox gvisor for code that you do not trust."
    )


def _rights() -> tuple[int, bool]:
    """The user id that programs get here, and whether they can read all files; found by running a program."""
    source = "import os\nprint(os.getuid(), *(s.split()[1] for s in open('/proc/self/status') if s[:6] == 'CapEff'))"
    asked = _run(Program(id="rights", source=source), Limits(timeout=20.0), FIRST_ID)
    if asked.exit_status != "ok":
        raise SandboxError(f"a first program could not be run: {asked.exit_status} {asked.detail} {asked.stderr}")
    uid, capabilities = asked.stdout.split()
    return int(uid), int(capabilities, 16) != 0


_running, _dumpable_before, _counting = 0, 1, threading.Lock()


@contextlib.contextmanager
def _closed_to_others() -> Iterator[None]:
    """Make this process not dumpable meanwhile, in any thread; afterwards it is as before."""
    global _running, _dumpable_before
    with _counting:
        if not _running:
            _dumpable_before = privileges.dumpable(0)
        _running += 1
    try:
        yield
    finally:
        with _counting:
            _running -= 1
            if not _running:
                privileges.dumpable(_dumpable_before)


def _run(program: Program, limits: Limits, uid: int) -> Execution:
    """One program in its own process group and an empty folder; as `uid` if this process is root."""
    settings = str(limits.memory_mib << 20), str(int(SEVERAL * limits.timeout) + 2), str(_RUNNER.parents[3]), str(uid)
    command = [sys.executable, "-s", "-P", str(_RUNNER), *settings]
    environment = {
        "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8:strict", "MALLOC_ARENA_MAX": "1",
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "USER": "user",
    }  # fmt: skip
    source = program.source.encode("utf-8", "surrogatepass")
    # Linux counts what this process used until the child's exec as the child's; below that nothing is known.
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(prefix="mmst-", ignore_cleanup_errors=True) as folder:
        Path(folder, NAME).write_bytes(source)
        if os.geteuid() == 0:
            os.chown(folder, uid, uid)
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment | {"TMPDIR": folder},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as e:
            raise SandboxError(f"a process for program '{program.id}' could not be started: {e}") from e
        assert process.stdin
        assert process.stdout
        assert process.stderr
        ended = os.pidfd_open(process.pid)
        pipes = process.stdin, process.stdout, process.stderr
        fd_in, fd_out, fd_err = (os.dup(pipe.fileno()) for pipe in pipes)
        for pipe in pipes:
            if os.geteuid() == 0:
                os.fchown(pipe.fileno(), uid, uid)  # so that it may open /dev/stdin by this name, too
            pipe.close()
        feed = len(source).to_bytes(8, "big") + source + program.stdin.encode("utf-8", "surrogatepass")
        watched = Watched(ended, fd_in, fd_out, fd_err, feed, limits.output_kib << 10)
        try:
            allowance = Allowance(Meter(process.pid), limits.timeout)
            cut = watched.watch(math.inf, look=allowance.look)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            os.close(ended)
            watched.drain()
        cut = cut or ("output" if watched.over else "")
    stdout, stderr = watched.out.decode("utf-8", "replace"), watched.err.decode("utf-8", "replace")
    what, detail = exit_status(status=process.returncode, cut=cut, stderr=stderr, limits=limits, keyed=False)
    return Execution(
        id=program.id,
        exit_status=what,
        stdout=stdout,
        stderr=stderr,
        detail=allowance.story if cut == "time" else detail,
        seconds=time.monotonic() - began,
        peak_mib=usage.ru_maxrss / 1024 if usage.ru_maxrss > inherited else 0.0,
    )
