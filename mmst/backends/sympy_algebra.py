"""Fulfils `ports.Algebra` with sympy, in processes that can be killed.

sympy may take for ever, or all memory, for what a model wrote; and no thread of Python's can be stopped. So each
pair is worked at in a process of its own pool, with a limit of CPU time that runs from when its work starts, and a
limit of memory. A process that goes beyond is ended by the kernel and replaced; its pair stays undecided.
The CPU time counts, not the clock, so that a busy machine does not change what is decided.
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

from mmst.errors import PlatformError, SetupError
from mmst.extras import install

_START = 120.0
"""Seconds by the clock in which a process must have sympy ready."""
_PATIENCE = 20.0
"""By how much the clock may exceed the CPU time before a process counts as hung."""


class SympyAlgebra:
    """A pool of sympy processes; started when the first pair comes, ended by `close`."""

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
                "answers need algebra to compare and sympy is not installed",
                why=f"for instance {pairs[0][0][:60]!r} and {pairs[0][1][:60]!r}",
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
                nearest = min(p.deadline for p in self._pool if p not in idle)
                ready = [key.data for key, _ in selector.select(max(0.0, nearest - time.monotonic()))]
                late = [p for p in self._pool if p not in idle and p not in ready and p.deadline <= time.monotonic()]
                for process in ready + late:
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
    """One worker process, and the pair that it works at."""

    def __init__(self, seconds: float, memory_mib: int) -> None:
        self.seconds, self.number, self.said, self.deadline = seconds, -1, None, 0.0
        limits = (str(seconds), str(memory_mib))
        command = [sys.executable, "-m", "mmst.backends.sympy_worker", *limits, str(os.getpid())]
        # A fixed hash seed: sympy orders terms by hashes, and so may take one way or another.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self.out = self._process.stdin, self._process.stdout
        self._ready = False

    def take(self, number: int, pair: tuple[str, str]) -> None:
        """Start on a pair; the first one waits until sympy is there, outside its time."""
        self.number, self.said = number, None
        if not self._ready:
            with selectors.DefaultSelector() as selector:
                selector.register(self.out, selectors.EVENT_READ)
                there = selector.select(_START) and self.out.readline()
            if not there:
                self.end()
                raise PlatformError("the algebra process did not start; run it by hand: python -c 'import sympy'")
            self._ready = True
        with contextlib.suppress(BrokenPipeError):  # it ended while idle: then `answer` finds nothing
            self._into.write(json.dumps(pair).encode() + b"\n")
            self._into.flush()
        self.deadline = time.monotonic() + self.seconds + _PATIENCE

    def answer(self) -> bool:
        """Read what the process said; False when it has ended instead."""
        line = self.out.readline()
        whole = line.endswith(b"\n")  # else it was killed while it wrote
        self.said = json.loads(line) if whole else None
        return whole

    def end(self) -> None:
        """Kill it and forget its pipes."""
        self._process.kill()
        self._process.wait()
        self.out.close()
        with contextlib.suppress(BrokenPipeError):
            self._into.close()
