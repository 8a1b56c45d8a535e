"""Fulfils `ports.Algebra` with sympy, in processes that can be killed.

sympy may take for ever, or all memory, for what a model wrote; and no thread of Python's can be stopped. So each
pair is worked at in a process of its own pool, with a limit of CPU time that runs from when its work starts, and a
limit of memory. A process that goes beyond is ended by the kernel and replaced; its pair stays undecided.
The CPU time counts, not the clock, so that a busy machine does not change what is decided; nor how long sympy takes to
be imported. Only a process that gets no CPU time at all for minutes is taken to hang.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from mmst.core.errors import PlatformError, SetupError
from mmst.core.extras import install
from mmst.core.meter import Meter

_LOOK = 5.0
"""Seconds of wall time between two checks of a process that has not answered yet."""
_STANDS_STILL = 180.0
"""Seconds of wall time in which a working process gets CPU time, however busy the machine is; else it hangs."""
_STARTS = 2
"""Number of processes that are tried until one has loaded sympy."""


class SympyAlgebra:
    """A pool of sympy processes; started for the first pair, ended by `close`."""

    def __init__(self, workers: int = 1, seconds: float = 5.0, memory_mib: int = 2048) -> None:
        self.workers, self.seconds, self.memory_mib = workers, seconds, memory_mib
        self._pool: list[_Process] = []

    def __enter__(self) -> SympyAlgebra:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for process in self._pool:
            process.end()
        self._pool = []

    def decide(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        """See `ports.Algebra.decide`."""
        if pairs and importlib.util.find_spec("sympy") is None:
            raise SetupError(
                "some answers need algebra to compare, and sympy is not installed",
                why=f"for example {pairs[0][0][:60]!r} and {pairs[0][1][:60]!r}",
                remedy=install("grade"),
            )
        while len(self._pool) < min(self.workers, len(pairs)):
            self._pool.append(_Process(self.seconds, self.memory_mib))
        found: list[bool | None] = [None] * len(pairs)
        waiting, idle = deque(range(len(pairs))), list(self._pool)
        with selectors.DefaultSelector() as selector:
            while waiting or len(idle) < len(self._pool):
                while waiting and idle:
                    process, number = idle.pop(), waiting.popleft()
                    process.take(number, pairs[number])
                    selector.register(process.out, selectors.EVENT_READ, process)
                ready = [key.data for key, _ in selector.select(_LOOK)]
                hung = [p for p in self._pool if p not in idle and p not in ready and p.hangs()]
                for process in ready + hung:
                    selector.unregister(process.out)
                    answered = process in ready and process.answer()
                    found[process.number] = process.said
                    if not answered:
                        process.end()
                        replacement = _Process(self.seconds, self.memory_mib)
                        self._pool[self._pool.index(process)] = process = replacement
                    idle.append(process)
        return found


class _Process:
    """One worker process, and the pair that it is working on."""

    def __init__(self, seconds: float, memory_mib: int) -> None:
        self.number, self.said = -1, None
        limits = (str(seconds), str(memory_mib))
        self._command = [sys.executable, "-m", "mmst.grading.algebra.worker", *limits, str(os.getpid())]
        self._ready = False
        self._start()

    def _start(self) -> None:
        # A fixed hash seed: sympy orders terms by hashes, and so may take one way or another.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self.out = self._process.stdin, self._process.stdout
        self._meter, self._cpu, self._moved = Meter(self._process.pid), 0.0, time.monotonic()

    def take(self, number: int, pair: tuple[str, str]) -> None:
        """Start on a pair; the first pair waits until sympy is loaded, outside its time."""
        self.number, self.said = number, None
        for left in reversed(range(_STARTS)):
            if self._ready or self._is_there():
                break
            self.end()
            if not left:
                raise PlatformError("the algebra process did not start; run it by hand: python -c 'import sympy'")
            self._start()
        self._ready = True
        with contextlib.suppress(BrokenPipeError):  # it ended while idle: then `answer` finds nothing
            self._into.write(json.dumps(pair).encode() + b"\n")
            self._into.flush()
        self._moved = time.monotonic()

    def _is_there(self) -> bool:
        """Wait until sympy is imported, as long as the process makes progress."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.out, selectors.EVENT_READ)
            while not selector.select(_LOOK):
                if self.hangs():
                    return False
        return bool(self.out.readline())

    def hangs(self) -> bool:
        """Whether it has had no CPU time for long; the kernel ends it if it has had too much."""
        now, cpu = time.monotonic(), self._meter.cpu()
        if cpu > self._cpu:
            self._cpu, self._moved = cpu, now
        return now - self._moved > _STANDS_STILL

    def answer(self) -> bool:
        """Read what the process wrote; False if it has ended instead."""
        line = self.out.readline()
        whole = line.endswith(b"\n")  # else it was killed while it wrote
        self.said = json.loads(line) if whole else None
        return whole

    def end(self) -> None:
        """Kill it and close its pipes."""
        self._process.kill()
        self._process.wait()
        self.out.close()
        with contextlib.suppress(BrokenPipeError):
            self._into.close()
