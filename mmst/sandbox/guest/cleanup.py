"""Cleaning up after a program, so that nothing of it is left for the next one.

Standard library only: it runs inside the sandbox, in the supervisor.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal

TMP = b"/tmp"
TMP_MIB = 16
"""The space that all files of a program may use together."""
MOST = 5_000
"""Number of files and folders that are removed; a sandbox with more of them is not used again."""


def kill_all(keep: set[int]) -> None:
    """Send SIGKILL to every process except these, among them process 1 and ourselves."""
    if len(keep) == 2:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        return
    for name in os.listdir("/proc"):  # noqa: PTH208  no more modules in here than needed
        if name.isdigit() and int(name) not in keep:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(name), signal.SIGKILL)


def empty(uid: int, folder: bytes = TMP) -> bool:
    """Remove the files of this user in /tmp; returns whether all of them are gone.

    Only when none of its processes is left. It is done as that user, for root has no rights to
    files of others here. A tree is taken apart from its top, so that no depth of it matters.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY or not os.listdir(folder):  # noqa: PTH208
        return True
    user = os.geteuid()
    os.seteuid(uid)
    try:
        return _empty(folder)
    except OSError:
        return False
    finally:
        os.seteuid(user)


def _empty(folder: bytes) -> bool:
    prefix, steps = os.urandom(8).hex().encode(), itertools.count()
    while names := _some(folder):
        for name in names:
            path = folder + b"/" + name
            try:
                os.unlink(path)  # noqa: PTH108
            except (IsADirectoryError, PermissionError):
                _flatten(path, folder + b"/" + prefix, steps)
            if next(steps) > MOST:
                return False
    return True


def _flatten(path: bytes, to: bytes, steps: itertools.count[int]) -> None:
    """Move the content of a folder beside it, and remove the folder if it is empty."""
    os.chmod(path, 0o700)  # noqa: PTH101
    while names := _some(path):
        for name in names:
            inner, moved = path + b"/" + name, to + b"%d" % next(steps)
            try:
                os.rename(inner, moved)  # noqa: PTH104
            except PermissionError:  # a folder is only moved by who may write to it
                os.chmod(inner, 0o700)  # noqa: PTH101
                os.rename(inner, moved)  # noqa: PTH104
        if next(steps) > MOST:
            return
    os.rmdir(path)  # noqa: PTH106


def _some(folder: bytes) -> list[bytes]:
    """Some of the names in a folder, however many there are."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, MOST)]
