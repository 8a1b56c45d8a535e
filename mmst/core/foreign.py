"""Trouble from outside that nobody named where it arose: what the system refused, and text that cannot be read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator

from mmst.core import disk, extras
from mmst.core.errors import DataError, MmstError, PlatformError, StoreError, UserError

_NAMES = {
    errno.ENOENT: "correct the name, or make it first",
    errno.ENOTDIR: "correct the name: a part of it is a file",
    errno.EISDIR: "give a file",
    errno.EACCES: "let this user read and write there (chmod, chown), or give another place",
    errno.EPERM: "let this user read and write there (chmod, chown), or give another place",
    errno.EROFS: "give a place that can be written",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "correct the symbolic link, which leads to itself",
    errno.ENXIO: "give a file: nobody holds the other end of it",
}
"""What is wrong with a name, so that the same command would fail again, and what to do."""
_AGAIN = "the same command then continues"
_MACHINE = {
    errno.EMFILE: f"raise `ulimit -n`; {_AGAIN}",
    errno.ENFILE: f"end other programs, or raise fs.file-max; {_AGAIN}",
    errno.EAGAIN: f"raise `ulimit -u`, or end other programs; {_AGAIN}",
    errno.ENOMEM: f"end other programs, or use a machine with more memory; {_AGAIN}",
}
"""What this machine has too little of."""


def told(error: Exception) -> MmstError | None:
    """The error for people; None for one that is a fault of ours.

    >>> told(FileNotFoundError(2, "No such file or directory", "x.yaml"))
    UserError('x.yaml: No such file or directory. Remedy: correct the name, or make it first')
    """
    match error:
        case MmstError():
            return error
        case ImportError():
            return extras.lacking(error)
        case OSError():
            return _refused(error)
        case MemoryError():
            return PlatformError("this machine's memory is used up", remedy=_MACHINE[errno.ENOMEM])
        case json.JSONDecodeError():
            what = f"text that should be JSON is not: line {error.lineno}, column {error.colno}: {error.msg}"
            return DataError(what, value=error.doc[max(0, error.pos - 20) : error.pos + 20], remedy="correct it there")
        case UnicodeDecodeError():
            around = bytes(error.object[max(0, error.start - 20) : error.end + 20])
            what = f"text that should be UTF-8 is not: byte {error.start + 1}: {error.reason}"
            return DataError(what, value=around, remedy="convert the file to UTF-8 (iconv -t UTF-8)")
        case UnicodeEncodeError():
            remedy = "rename the file, or give a text in UTF-8"
            return UserError("a name or text is not UTF-8", value=error.object[:200], remedy=remedy)
        case OverflowError():
            return UserError("a number is too large", why=str(error), remedy="give a smaller one")
        case ValueError() if "null byte" in str(error) or "null character" in str(error):
            return UserError("a name contains a NUL character", remedy="correct the name")
    return None


@contextlib.contextmanager
def named() -> Iterator[None]:
    """`MmstError` for trouble within that comes from outside; faults of ours stay what they are."""
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as e:
        error = told(e)
        if error is None or error is e:
            raise
        raise error from e


def _refused(error: OSError) -> MmstError | None:
    """What the system refused, by file and reason."""
    number, said = error.errno or 0, error.strerror or str(error)
    name = error.filename2 or error.filename
    file = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    if number in _MACHINE:
        return PlatformError(f"{file}: {said}" if file else said, remedy=_MACHINE[number])
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__ in ("socket", "urllib.error"):
        return PlatformError(f"a server cannot be reached: {said}", remedy=f"see that it answers; {_AGAIN}")
    if file and number in _NAMES:
        return UserError(f"{file}: {said}", remedy=_NAMES[number])
    if number:
        what = f"cannot use {file}: {said}" if file else f"this machine refused: {said}"
        return StoreError(what, remedy=disk.REMEDIES.get(number, ""))
    return None
