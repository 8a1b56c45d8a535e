"""Files and folders that only their owner may read: runs hold what models and servers said, and where they are."""

from __future__ import annotations

import os
from pathlib import Path

FILE, FOLDER = 0o600, 0o700


def folder(path: Path) -> Path:
    """A folder, made for the owner alone, as are those above it that are missing; one that is there stays as it is."""
    if not path.is_dir():
        if path.parent != path:
            folder(path.parent)
        try:
            path.mkdir(mode=FOLDER)
        except FileExistsError:
            if not path.is_dir():
                raise
    return path


def cache_path() -> Path:
    """`$XDG_CACHE_HOME/mmst`, which may not be there yet: what can be made again, of every run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mmst"


def cache() -> Path:
    """The same, made when it is not there."""
    return folder(cache_path())


def opener(path: str, flags: int) -> int:
    """For `open(…, opener=opener)`: a file that is made is the owner's alone.

    Example:
        with open(path, "w", opener=private.opener) as file: ...
    """
    return os.open(path, flags | os.O_CLOEXEC, FILE)


def write(path: Path, text: str) -> None:
    """Write a small text file that is the owner's alone."""
    with open(path, "w", encoding="utf-8", opener=opener) as file:
        file.write(text)


def umask() -> int:
    """The permissions that this process leaves out of new files, without changing them meanwhile as `os.umask` does."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    return 0o077
