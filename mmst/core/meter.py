"""How much time a running program has had: CPU time, so that a busy machine takes none of it away.

A limit in wall time is another limit on a busy machine. So the limit is CPU time of the program's
processes, and time in which they waited for nothing but themselves (a sleep), in a machine's own
account (Linux, proc(5)). Behind it stands a limit in wall time, `SEVERAL` times as long.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

SEVERAL = 8
"""After so many times the limit in wall time a program is over, however little CPU time it got."""
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_WINDOW = 0.2
"""Seconds, at least, in which processes are looked at to tell those that sleep from those that are held up."""
_SHORT = 0.02
"""Seconds of it that tell nothing."""


class Meter:
    """What a process and all that descends from it have taken so far, in seconds."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def cpu(self) -> float:
        """CPU time, in user and in system mode."""
        return sum(self._cpu(pid) for pid in self._pids())

    def wanted(self) -> float:
        """CPU time, and time in which a thread could have run but had to wait for a CPU."""
        return sum(_scheduled(f"/proc/{pid}/task/{task}") for pid in self._pids() for task in _tasks(pid))

    def ready(self) -> bool:
        """Whether a thread could run now; while it waits for a CPU, `wanted` does not grow."""
        tasks = (f"/proc/{pid}/task/{task}" for pid in self._pids() for task in _tasks(pid))
        return any(_read(f"{task}/stat").rpartition(b")")[2][1:2] == b"R" for task in tasks)

    def _pids(self) -> list[int]:
        found, todo = [], [self._pid]
        while todo:
            found.append(pid := todo.pop())
            for task in _tasks(pid):
                todo += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
        return found

    def _cpu(self, pid: int) -> float:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK if fields else 0.0


class Allowance:
    """The time that one program may take, on a meter that began before it did.

    >>> allowance = Allowance(Meter(os.getpid()), 60.0)
    >>> 0 < allowance.look() <= 60 and not allowance.over
    True
    """

    def __init__(self, meter: Meter, seconds: float) -> None:
        self._meter, self._seconds, self._began = meter, seconds, time.monotonic()
        self._cpu, self._used = meter.cpu(), 0.0
        self._since, self._wanted, self._slept = 0.0, 0.0, 0.0
        self.over = False

    @property
    def most(self) -> float:
        """Wall seconds after which it is over in any case."""
        return SEVERAL * self._seconds

    @property
    def held_up(self) -> bool:
        """Whether it is over though it has not had its time: others took the machine."""
        return self.over and self._had < self._seconds

    @property
    def story(self) -> str:
        """What happened, when it is over."""
        if not self.held_up:
            return f"did not end within {self._seconds:g} s"
        return f"did not end within {self.most:g} s, in which it had {self._used:.2g} s of CPU time"

    def look(self) -> float:
        """Seconds until it is worth another look; 0 when its time is `over`."""
        now = time.monotonic()
        wall = now - self._began
        self._watch(now)
        if (left := self._seconds - wall) > 0:
            return min(left, _WINDOW)
        self._used = self._meter.cpu() - self._cpu
        self.over = self._had >= self._seconds or wall >= self.most
        return 0.0 if self.over else max(min(self._seconds - self._used, _WINDOW), 0.01)

    @property
    def _had(self) -> float:
        """CPU time, and the time in which it slept."""
        return self._used + self._slept

    def _watch(self, now: float) -> None:
        """How long it slept since the last window began: nothing of it ran, or waited for a CPU.

        While a thread could run, its wait so far stands in no account, so that the window stays open.
        """
        if self._since and (now < self._since + _WINDOW or self._meter.ready()):
            return
        since, before = self._since, self._wanted
        self._since, self._wanted = now, self._meter.wanted()
        if since and (slept := now - since - (self._wanted - before)) > _SHORT:
            self._slept += slept


def _scheduled(task: str) -> float:
    fields = _read(f"{task}/schedstat").split()
    return (int(fields[0]) + int(fields[1])) * 1e-9 if fields else 0.0


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  a Path each would cost more than the rest
    except OSError:
        return []


def _read(path: str) -> bytes:
    """A small file of /proc; empty when its process is gone."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
