"""The store as a folder of plain files, safe for several processes and against kills.

A file is written to a temporary name (`.tmp-…` in the same folder), synced and renamed, so a reader sees all of it
or nothing. Every writer renames under one `flock`, which the kernel releases when a process dies. This makes
`create` and `replace` atomic among processes.

All files are private to their owner, except those that a model server of another user reads in a pod: weights, and
the folders above them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mmst.core import private
from mmst.core.disk import linked, trouble
from mmst.core.errors import StoreError
from mmst.core.names import checked_name, checked_prefix

_WORK = "work"
_STALE_SECONDS = 86_400.0
_IN_POD = "KUBERNETES_SERVICE_HOST" in os.environ


class FolderStore:
    """Fulfils `ports.Store` with a folder, which is created by the first write.

    Names are paths below `root`. Hidden from `names`: the lock, files being written, and
    `work/`, which holds the scratch folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        self.uri = str(root)

    def read(self, name: str) -> bytes | None:
        """The content, or None if the name does not exist."""
        path = self._path(name)
        with trouble("read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def write(self, name: str, data: bytes) -> None:
        """Write or overwrite."""
        self._put(self._path(name), lambda aside: _save(aside, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write only if absent, atomically among processes; False if the name exists."""
        return self.replace(name, data, None)

    def replace(self, name: str, data: bytes, expected: bytes | None) -> bool:
        """Compare-and-set: write only while the content is `expected` (None: absent)."""
        return self.read(name) == expected and self._put(
            self._path(name), lambda aside: _save(aside, data), lambda: self.read(name) == expected
        )

    def names(self, prefix: str) -> Iterator[str]:
        """All names that start with `prefix`, in the order of their UTF-8 bytes; one folder at a time."""
        checked_prefix(prefix)
        base = prefix.rpartition("/")[0]
        with trouble("list", self.root / base):
            yield from self._walk(f"{base}/" if base else "", prefix)

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The same names in the same order, each with its bytes; without what is deleted meanwhile."""
        for name in self.names(prefix):
            with trouble("read", self.root / name), contextlib.suppress(FileNotFoundError):
                yield name, (self.root / name).stat().st_size

    def delete(self, names: Iterable[str]) -> None:
        """Remove these, and their folders if they are empty then; one that is not there is no error.

        `StoreError` for a name whose folder is reached through a link: what is there may be somebody else's.
        """
        folders = dict[Path, None]()
        for name in names:
            path = self._path(name)
            if path.parent not in folders and path.parent.is_dir():
                if linked(path.parent, self.root):
                    raise StoreError(f"{path} is not deleted: a link leads there", remedy="delete the link by hand")
                folders[path.parent] = None
            with trouble("delete", path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
        for folder in sorted(folders.keys() - {self.root}, key=lambda f: len(f.parts), reverse=True):
            self._sweep(folder)
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()

    def put_file(self, name: str, path: Path) -> None:
        """Store a local file of any size, streamed (as a copy: later changes to it have no effect)."""
        target = self._path(name)
        with trouble("write", target):
            self._sweep(target.parent)
        self._put(target, lambda aside: _copy(path, aside))

    def get_file(self, name: str, path: Path) -> None:
        """Fetch into a local file, streamed and atomic. Missing: `StoreError`."""
        source = self._path(name)
        with trouble("read", source):
            if not source.is_file():
                raise StoreError(f"{source} does not exist")
        with _aside(path) as aside:
            _copy(source, aside)
            aside.replace(path)

    def folder(self, prefix: str) -> Path:
        """The local folder of `prefix`."""
        return self.root / checked_prefix(prefix)

    def probe(self) -> None:
        """Prove that it is writable, also with conditions, and leave nothing behind."""
        name = f"probe-{uuid.uuid4().hex}"
        try:
            if not self.create(name, b"") or self.create(name, b""):
                raise StoreError(f"{self.root} does not prevent a file from being created twice")
        finally:
            with contextlib.suppress(OSError):
                self._path(name).unlink(missing_ok=True)

    def scratch(self, prefix: str) -> Path:
        """`work/<prefix>`, created if need be."""
        path = self.root / _WORK / checked_prefix(prefix)
        with trouble("make", path):
            private.folder(path)
        return path

    def _path(self, name: str) -> Path:
        return self.root / checked_name(name)

    def _put(self, path: Path, save: Callable[[Path], None], may: Callable[[], bool] = lambda: True) -> bool:
        """Write a temporary file, then rename it under the lock if that is still allowed."""
        with trouble("write", path), _aside(path) as aside:
            save(aside)
            with self._lock():
                if not may():
                    return False
                aside.replace(path)
            _sync_folder(path.parent)
        return True

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, private.FILE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _walk(self, base: str, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(self.root / base) as entries:
                found = [base + e.name + ("/" if e.is_dir() else "") for e in entries if not e.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in sorted(found):
            if name == f"{_WORK}/":
                continue
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix):
                yield name

    def _sweep(self, folder: Path) -> None:
        """Remove files that killed writers of large files left here, once nobody can be writing them."""
        for left in folder.glob(".tmp-*") if folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()


def _folder(path: Path) -> None:
    """Create a folder of the store, with its parents."""
    if _IN_POD and "runs" not in path.parts:
        path.mkdir(parents=True, exist_ok=True)
    else:
        private.folder(path)


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, removed at the end in any case."""
    aside = path.parent / f".tmp-{uuid.uuid4().hex}"
    with trouble("write", path):
        _folder(path.parent)
        try:
            yield aside
        finally:
            aside.unlink(missing_ok=True)


def _save(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=private.opener) as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def _copy(source: Path, target: Path) -> None:
    if not _IN_POD:
        target.touch(private.FILE, exist_ok=False)
    shutil.copyfile(source, target)
    with target.open("rb") as f:
        os.fsync(f.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
