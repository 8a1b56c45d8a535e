"""Trouble with this machine's disk, as errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mmst.core.errors import StoreError

_SPACE = "free space there or choose another folder with --out; the same command then continues"
_RIGHTS = "let this user read and write there (chown, chmod), or choose another folder with --out"
_FILE_FOR_FOLDER = "a file stands where a folder is needed: move it away or choose another folder with --out"
REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: "raise the quota, free space, or choose another folder with --out",
    errno.EROFS: "choose a folder that can be written with --out",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: _FILE_FOR_FOLDER,
    errno.EEXIST: _FILE_FOR_FOLDER,
    errno.EISDIR: "a folder stands where a file is needed: move it away or choose another folder with --out",
    errno.ELOOP: "a symbolic link leads to itself: mend it, or choose another folder with --out",
    errno.ENAMETOOLONG: "choose a shorter name with --out",
    errno.EIO: "the disk cannot read or write it: look at the kernel's log, and move the folder to another disk",
    errno.ESTALE: "the network file system lost it: mount it again; the same command then continues",
}


def error(doing: str, path: Path, e: OSError) -> StoreError:
    """What the system said of `path`, with a remedy where one is known."""
    at = e.filename2 or e.filename or path
    # A handle (an int) names nothing, and the file that is written first is none that people know.
    named = isinstance(at, str | bytes | os.PathLike) and Path(os.fsdecode(at)).name[:5] != ".tmp-"
    remedy = REMEDIES.get(e.errno or 0, "")
    return StoreError(
        f"cannot {doing} {path}: {e.strerror or e}"
        + (f" ({os.fsdecode(at)})" if named and os.fsdecode(at) != str(path) else ""),
        remedy=remedy,
    )


def linked(path: Path, root: Path) -> bool:
    """Whether a link below `root` leads to `path`: what is there may be somebody else's, and is not deleted."""
    return path.resolve() != root.resolve() / path.relative_to(root)


@contextlib.contextmanager
def trouble(doing: str, path: Path) -> Iterator[None]:
    """Whatever the system refuses in this block is a `StoreError` that names file and remedy.

    Example:
        with trouble("read", path):
            data = path.read_bytes()
    """
    try:
        yield
    except OSError as e:
        raise error(doing, path, e) from e
