"""The verdicts of an unfinished file: `TARGET.partial`, to which one process appends a line per program.

Its first line identifies the work. The same work continues from it; other work of ours starts it again, and says
so; a file made by something else is left alone. It is locked while it is open, so that a second command with the
same target is refused; the kernel releases the lock when the process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmst.core import private
from mmst.core.errors import ConfigError
from mmst.core.output import Output, refuse_same, replacing, trouble
from mmst.sandbox.exit_status import Tally

FIELDS = {"id", "verdict", "stdout", "stderr", "detail", "seconds", "peak_mib"}
_HEAD = {"input", "limits", "dedupe"}
_LONGEST_HEAD = 1 << 16


class Unused(NamedTuple):
    """The content of a partial file of other work: its stamp, and its number of verdicts."""

    stamp: Mapping[str, Any]
    done: int


class Partial:
    """An open and locked partial file; `at` maps each finished id to the position of its line."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd, self.path, self.at = fd, path, dict[str, int]()
        self.mine = False

    def add(self, name: str, line: bytes) -> None:
        """Append the line of a program; if the disk is full, what was written of it is cut at the next start."""
        with trouble(str(self.path)):
            self.at[name] = os.lseek(self._fd, 0, os.SEEK_END)
            left = memoryview(line)
            while left:
                left = left[os.write(self._fd, left) :]

    def finish(self, names: Collection[str], target: Output) -> Tally:
        """Write the lines to the target in the order of `names`, delete the partial file, return the verdict counts."""
        tally = Tally()
        assert target.path is not None
        with replacing(target.path, target.shown) as out, open(self._fd, "rb", closefd=False) as lines:
            for name in names:
                with trouble(str(self.path)):
                    lines.seek(self.at[name])
                    line = lines.readline()
                said = json.loads(line)
                tally.add(said["verdict"], said["detail"])
                out.write(line)
        self.path.unlink(missing_ok=True)
        self.mine = False
        return tally

    def resume(self, stamp: Mapping[str, Any], known: Collection[str]) -> Unused | None:
        """Find what is already done of this work. What cannot be read is cut off and done again.

        Verdicts of other work are deleted; returns what that was.
        """
        head = json.dumps(stamp).encode() + b"\n"
        with trouble(str(self.path)), open(self._fd, "rb+", buffering=1 << 16, closefd=False) as lines:
            lines.seek(0)
            first = lines.readline(_LONGEST_HEAD)
            if first != head:
                if first and not head.startswith(first) and not _ours(first):
                    raise ConfigError(
                        "the file for unfinished verdicts was not made by this command",
                        value=str(self.path),
                        remedy="move it away, or give another --out",
                    )
                unused = (
                    Unused(json.loads(first), sum(_id(line) is not None for line in lines)) if _whole(first) else None
                )
                lines.seek(0)
                lines.truncate(0)
                lines.write(head)
                self.mine = True
                return unused if unused and unused.done else None
            end = len(head)
            for line in lines:
                name = _id(line)
                if name is None or name not in known:
                    break
                self.at[name] = end
                end += len(line)
            lines.truncate(end)
            self.mine = True
            return None


@contextlib.contextmanager
def opened(target: Output, source: Path) -> Iterator[Partial]:
    """The partial file beside a target, created if need be, and locked; `ConfigError` if it is in use."""
    assert target.path is not None
    path = target.path.with_name(target.path.name + ".partial")
    fd = _locked(path, target.shown)
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            raise _unusable(path, "is not a plain file")
        refuse_same(there, source, str(path))
        kept = Partial(fd, path)
        try:
            yield kept
        finally:
            if kept.mine and not kept.at:
                path.unlink(missing_ok=True)  # nothing in it to go on from
    finally:
        os.close(fd)


def _locked(path: Path, shown: str) -> int:
    while True:
        with trouble(str(path)):
            if path.is_symlink() or path.is_dir():
                raise _unusable(path, "is a symbolic link" if path.is_symlink() else "is a directory")
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(path, flags, private.FILE)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
                    return fd
            except BlockingIOError:
                os.close(fd)
                raise ConfigError(
                    f"another command is writing this output (it has locked {path})",
                    value=shown,
                    remedy="wait until it has ended, or give another --out",
                ) from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # who held it has finished, and it is gone


def _unusable(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"the file for unfinished verdicts {what}",
        value=str(path),
        remedy="move it away, or give another --out",
    )


def _ours(head: bytes) -> bool:
    """Whether a file with this first line, whole or cut off, was made by this module."""
    return head.startswith(b'{"input": "sha256:') if not head.endswith(b"\n") else _whole(head)


def _whole(head: bytes) -> bool:
    """Whether this is the first line of a file that was made by this module."""
    try:
        said = json.loads(head)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.keys() >= _HEAD


def _id(line: bytes) -> str | None:
    """The id in a whole line of ours; None for anything else."""
    if not line.endswith(b"\n"):
        return None  # the stop came in the middle of it
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.keys() != FIELDS or not isinstance(said["verdict"], str):
        return None
    return str(said["id"])
