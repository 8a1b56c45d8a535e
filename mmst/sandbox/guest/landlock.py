"""Restricts writing to one folder, and access to other processes, with Landlock (Linux 5.13).

Standard library only. It needs no privilege, holds for root as well, and is inherited by threads and
children. Reading is not restricted: an interpreter reads from too many places. See landlock(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every processor
_NO_NEW_PRIVS, _PATH_BENEATH, _VERSION = 38, 1, 1
_EXECUTE, _WRITE, _TRUNCATE, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 14, 1 << 15
_CHANGES = sum(1 << bit for bit in range(4, 13))  # remove and make files, folders, links, sockets
_REFER = 1 << 13
_FILES = (_EXECUTE | _WRITE | _CHANGES, _REFER, _TRUNCATE, 0, _IOCTL_DEV)
"""Access that is refused unless a rule allows it; each version of the interface knows more of it."""
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/full")

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of Landlock in this kernel; 0 if there is none."""
    known: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return max(0, known)


def restrict(folder: str) -> bool:
    """Restrict this process for good; False if the kernel has no Landlock.

    Raises `OSError` when it has one and refuses.
    """
    known = version()
    if not known:
        return False
    files = sum(_FILES[:known])
    network = _TCP if known >= 4 else 0
    scope = _ABSTRACT_SOCKETS_AND_SIGNALS if known >= 6 else 0
    rules = struct.pack("=QQQ", files, network, scope)[: 24 if known >= 6 else 16 if known >= 4 else 8]
    ruleset = _call(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    try:
        _allow(ruleset, folder, files & ~_EXECUTE)
        for device in _HARMLESS:
            _allow(ruleset, device, files & (_WRITE | _TRUNCATE | _IOCTL_DEV))
        if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, access: int) -> None:
    """Exempt everything at or below a path; a missing one needs no exemption."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    done: int = _libc.syscall(number, *arguments)
    if done < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {errno.errorcode.get(ctypes.get_errno(), '?')}")
    return done
