"""Runs programs as plain processes of this machine: unconfined, and chosen by name only.

For machines without gVisor and for programs that you would run yourself. It passes the same
conformance suite as the gVisor sandbox; `WARNING` says what it does not cover.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from mmst.errors import SandboxError, UserError
from mmst.inside import alone
from mmst.inside.program import NAME
from mmst.inside.watch import Watched
from mmst.meter import SEVERAL, Allowance, Meter
from mmst.outcome import outcome
from mmst.ports import Execution, Limits, Program

WARNING = (
    "mmst: check.sandbox=subprocess runs model-written programs UNCONFINED, as you: they can read and overwrite what "
    "you can. Time, memory and output are limited; a system-call filter (x86-64 only) keeps them from processes, "
    "signals and the network, and without it they can kill all that you run. Install gVisor (runsc) and use "
    "check.sandbox=gvisor for code that you do not trust."
)
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
            print(WARNING, file=sys.stderr)
            _warned = True
        return self

    def __exit__(self, *_: object) -> None:
        return

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox.run`."""
        seen: set[str] = set()
        working: set[Future[Execution]] = set()
        with ThreadPoolExecutor(self._workers) as pool:
            for program in programs:
                if program.id in seen:
                    raise UserError("two programs of one call have the same id", value=program.id)
                seen.add(program.id)
                working.add(pool.submit(_run, program, limits))
                if len(working) >= self._workers:
                    done, working = wait(working, return_when=FIRST_COMPLETED)
                    yield from (f.result() for f in done)
            yield from (f.result() for f in working)


def _run(program: Program, limits: Limits) -> Execution:
    """One program in a process group of its own, in an empty folder."""
    settings = str(limits.memory_mib << 20), str(int(SEVERAL * limits.timeout) + 2), str(_RUNNER.parents[2])
    command = [sys.executable, "-s", "-P", str(_RUNNER), *settings]
    environment = {
        "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict", "MALLOC_ARENA_MAX": "1",
        "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    source = program.source.encode("utf-8", "surrogatepass")
    # Linux counts what this process used until the child's exec as the child's; below that nothing is known.
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(prefix="mmst-", ignore_cleanup_errors=True) as folder:
        Path(folder, NAME).write_bytes(source)
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
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
            pipe.close()
        feed = len(source).to_bytes(8, "big") + source + program.stdin.encode("utf-8", "surrogatepass")
        watched = Watched(ended, fd_in, fd_out, fd_err, feed, limits.output_kib << 10)
        try:
            allowance = Allowance(Meter(process.pid), limits.timeout)
            cut = watched.watch(began + allowance.most, look=allowance.look)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            os.close(ended)
            watched.drain()
        cut = cut or ("output" if watched.over else "")
    stdout, stderr = watched.out.decode("utf-8", "replace"), watched.err.decode("utf-8", "replace")
    what, detail = outcome(status=process.returncode, cut=cut, stderr=stderr, limits=limits, keyed=False)
    return Execution(
        id=program.id,
        outcome=what,
        stdout=stdout,
        stderr=stderr,
        detail=allowance.story if cut == "time" else detail,
        seconds=time.monotonic() - began,
        peak_mib=usage.ru_maxrss / 1024 if usage.ru_maxrss > inherited else 0.0,
    )
