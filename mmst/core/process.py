"""How the processes of a run hang together: what one started ends with it, also by kill -9, in every phase.

    mmst run → the graph's process → a shell of kfp's → a stage → training workers, sandboxes, sympy

Each Python process among them names itself to those that it starts (`owned`), and they watch it
(`end_with_owner`). An owner that ends takes all its descendants along, whatever their process group or
session and however far they have come. Other programs have the kernel's parent-death signal alone
(`die_with_parent`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from mmst.core.errors import Stopped

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
OWNER = "MMST_OWNER"
"""`PID.STARTED` of the process that a run's process belongs to, by the kernel's clock."""

# Found before any fork: between fork and exec nothing may be loaded.
_prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)


def die_with_parent(parent: int = 0) -> None:
    """Ask Linux to kill this process when its parent ends.

    In a `preexec_fn`, `parent` is the id that the parent took of itself: it may have ended since the fork.
    """
    if _prctl is None:
        return
    parent = parent or os.getppid()
    _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def owned() -> dict[str, str]:
    """The environment in which a process belongs to this one; for those that call `end_with_owner`."""
    return {OWNER: f"{os.getpid()}.{started(os.getpid())}"}


def end_with_owner() -> None:
    """End this process and all below it when its owner ends; at once when that is gone. Without an owner, nothing."""
    pid, _, since = os.environ.get(OWNER, "").partition(".")
    if not pid.isdecimal() or not hasattr(os, "pidfd_open"):
        return
    try:
        handle = os.pidfd_open(int(pid))
    except OSError:
        end_all()
    if started(int(pid)) != since:  # after it is held: the number cannot change hands any more
        end_all()
    threading.Thread(target=_watch, args=(handle,), name="owner", daemon=True).start()


def end_all() -> None:
    """Kill every process below this one, then this one."""
    end_descendants()
    os.kill(os.getpid(), signal.SIGKILL)


def end_descendants(seconds: float = 10.0) -> None:
    """Kill every process below this one, of whatever group or session; none escapes by losing its parent."""
    adopt()
    until = time.monotonic() + seconds
    while (found := descendants(os.getpid())) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def adopt() -> None:
    """Let what loses its parent below this process become its child, and so stay among its descendants."""
    if _prctl is not None:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int) -> list[int]:
    """The processes below one that have not ended."""
    children: dict[int, list[tuple[int, str]]] = {}
    for child, parent, state in _processes():
        children.setdefault(parent, []).append((child, state))
    found, parents = [], [pid]
    while parents:
        for child, state in children.get(parents.pop(), ()):
            parents.append(child)
            if state not in "ZX":
                found.append(child)
    return found


def started(pid: int) -> str:
    """When a process was started, as the kernel counts; with its id the name of no other. Empty: there is none."""
    try:
        return _stat(Path(f"/proc/{pid}/stat"))[19]
    except OSError:
        return ""


def stop_on_signals(then: str = "the same command continues") -> None:
    """Turn SIGTERM and Ctrl-C into `Stopped`, so that what is open is closed properly; `then` says what may follow."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(f"stopped by {signal.Signals(number).name}; {then}")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _watch(owner: int) -> None:
    poll = select.poll()
    poll.register(owner, select.POLLIN)
    while not poll.poll():
        continue
    end_all()


def _processes() -> Iterable[tuple[int, int, str]]:
    """Id, parent and state of every process."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *_ = _stat(entry)
            yield int(entry.parent.name), int(parent), state


def _stat(path: Path) -> list[str]:
    """The fields of a process from its state on; its name, before them, may hold anything."""
    return path.read_bytes().rpartition(b")")[2].decode().split()
