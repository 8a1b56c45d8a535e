"""Gives up privileges of this process: its user id, its capabilities, inspection by others.

Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterable

_DEATH_SIGNAL, _SET_DUMPABLE, _GET_DUMPABLE, _KEEP_CAPABILITIES = 1, 4, 3, 8
_VERSION_3 = 0x20080522
_DAC_READ_SEARCH = 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


def dumpable(wanted: int) -> int:
    """Set whether processes of the same user may trace this one and read its /proc files; returns the old value.

    What is not dumpable also leaves no core file and cannot be debugged without CAP_SYS_PTRACE.
    """
    before: int = _libc.prctl(_GET_DUMPABLE, 0, 0, 0, 0)
    if _libc.prctl(_SET_DUMPABLE, wanted, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")
    return before


def end_with(parent: int) -> None:
    """End this process when its parent ends; at once if it has ended. Changing the user id undoes this."""
    if _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        os._exit(1)


def drop(uid: int, needed: Iterable[str]) -> None:
    """Become user and group `uid` if this process may, and give up every capability.

    Of these, reading and searching files stays where `needed` could not be read otherwise, for
    example an interpreter below /root. Nothing else is then allowed by it: no writing, no tracing.
    """
    there = [path for path in needed if os.path.exists(path)]  # noqa: PTH110  pathlib would be one more module
    if _libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_KEEPCAPS")
    if os.geteuid() == 0:
        _become(uid)
    readable = all(os.access(path, os.R_OK) for path in there)
    may = _permitted()
    _capabilities(0 if readable else may & _DAC_READ_SEARCH)
    dumpable(0)


def _become(uid: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError:
        # In a user namespace without this id, or without CAP_SETUID: it stays root, without capabilities.
        return


def _permitted() -> int:
    with open("/proc/self/status", "rb") as f:  # noqa: PTH123
        return next((int(line.split()[1], 16) for line in f if line.startswith(b"CapPrm")), 0)


def _capabilities(kept: int) -> None:
    data = struct.pack("=6I", kept, kept, 0, 0, 0, 0)
    if _libc.capset(struct.pack("=Ii", _VERSION_3, 0), data) != 0:
        raise OSError(ctypes.get_errno(), "capset")
