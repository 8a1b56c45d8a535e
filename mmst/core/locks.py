"""File locks that say who holds them; the kernel lets go of one when its holder ends, also by kill -9.

The file of a lock that is held: {"pid": 812, "since": "2026-11-29 12:03:11"}
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from mmst.core import disk, private

RUN = "run.lock"
"""In the folder of a run's logs: one `mmst run` of a run at a time on a machine."""
LOOK = 0.5


@contextlib.contextmanager
def held(path: Path, waiting: Callable[[str], None] = lambda holder: None) -> Iterator[None]:
    """Hold a lock for the block; while another holds it, `waiting` is told by whom, every `LOOK` seconds."""
    with contextlib.ExitStack() as stack:
        while True:
            with disk.trouble("open", path):
                lock = stack.enter_context(open(path, "a+", opener=_opener))
            if not _taken(lock):
                time.sleep(0.05)  # it may only have been looked at
            while not _taken(lock):
                waiting(_holder(lock))
                time.sleep(LOOK)
            if _is_at(lock, path):
                break
            lock.close()  # who held it has deleted the file: others take that which is there now
        with disk.trouble("write", path):
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
            lock.flush()
        yield


@contextlib.contextmanager
def held_now(path: Path) -> Iterator[bool]:
    """Hold a lock for the block if nobody else does; False, and nothing is held, if somebody does."""

    class Taken(Exception):
        pass

    def give_up(holder: str) -> None:
        raise Taken

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(path, give_up))
        except Taken:
            yield False
            return
        yield True


def is_held(path: Path) -> bool:
    """Whether somebody holds this lock now."""
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _opener(path: str, flags: int) -> int:
    return private.opener(path, flags | os.O_NOFOLLOW)


def _is_at(lock: IO[str], path: Path) -> bool:
    """Whether the file of a lock is still the one at its path."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except OSError:
        return False


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: IO[str]) -> str:
    """Who holds it, for people; it has perhaps not said so yet."""
    try:
        lock.seek(0)
        said = json.loads(lock.read())
        return f"process {int(said['pid'])}, since {said['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
