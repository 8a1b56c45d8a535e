"""Hashes of files, and what is remembered of them so that large files are read once and not at every use.

A hash is remembered with the file's size, times (mtime, ctime), inode and device, in this process
and in `$XDG_CACHE_HOME/mmst/hashes/`, so that the next process need not read the file either:

- Whoever writes to a file changes its ctime, which no program can set back. A copy of a store is
  other files. A file that was changed less than `SETTLED` ago is not remembered, since its times
  could not tell another change in the same tick.
- A disk that forgets bits changes no time: after `TRUSTED` the file is read again.
- Only this user can write what is remembered (else it is not believed), and that is sealed: half a
  file, or another's, counts as nothing. Who can write there as this user can change the program too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mmst.core import disk, private, sealed
from mmst.core.errors import DataError
from mmst.core.manifest import BESIDE, ENTRY, FileEntry
from mmst.core.records import digest, from_json, to_json

SETTLED = 2.0
"""Seconds that a file must have been left alone: file systems keep times to 2 s at worst."""
TRUSTED = 86_400.0
"""Seconds for which a hash is remembered."""
THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is remembered of a file: its hash, what it looked like, and when it was read (seconds)."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    sha256: str
    at: float


_known: dict[str, Known] = {}
_lock = threading.Lock()


def file_sha256(path: Path) -> str:
    """`sha256:<hex>` of a file, streamed."""
    with path.open("rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()


def file_entries(folder: Path) -> list[FileEntry]:
    """The entries of all files below a folder, sorted by name."""
    return [
        FileEntry(name=p.relative_to(folder).as_posix(), sha256=file_sha256(p), bytes=p.stat().st_size)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    ]


def files_of(folder: Path) -> list[FileEntry]:
    """The entries of a model folder's files; those below it, hidden ones and names of the store's own are no part.

    A file that was read before and is the same still is not read again.
    """
    with disk.trouble("list", folder):
        paths = [p for p in sorted(folder.iterdir()) if _counts(p.name) and p.is_file()]
    hashes = known_sha256s(paths)
    return [
        FileEntry(name=p.name, sha256=sha256, bytes=p.stat().st_size) for p, sha256 in zip(paths, hashes, strict=True)
    ]


def _counts(name: str) -> bool:
    return name[:1] != "." and name not in BESIDE and not name.endswith(ENTRY)


def digest_of(files: Iterable[FileEntry]) -> str:
    """The hash of a model's files, wherever they lie; `mmst serve FOLDER` states it."""
    return digest({e.name: e.sha256 for e in files if "/" not in e.name and _counts(e.name)})


def known_sha256(path: Path) -> str:
    """The hash of a file: remembered while the file is the same, else read. `StoreError` when it can't be."""
    with disk.trouble("read", path):
        place = os.path.realpath(path)
        before = _look(place)
        for known in (_known.get(place), _recall(place)):
            if (
                known is not None
                and replace(known, sha256="", at=0.0) == before
                and 0 <= time.time() - known.at < TRUSTED
            ):
                _keep(known, outside=False)
                return known.sha256
        began = time.time()
        found = file_sha256(Path(place))
        after = _look(place)
    changed = max(after.mtime_ns, after.ctime_ns) / 1e9
    if before == after and changed < began - SETTLED:
        _keep(replace(after, sha256=found, at=began), outside=True)
    return found


def known_sha256s(paths: Sequence[Path]) -> list[str]:
    """The hashes of several files, read side by side."""
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1), "hash") as pool:
        return list(pool.map(known_sha256, paths))


def cache() -> Path:
    """`$XDG_CACHE_HOME/mmst/hashes`."""
    return private.cache_path() / "hashes"


def _look(place: str) -> Known:
    s = Path(place).stat()
    return Known(
        path=place,
        size=s.st_size,
        mtime_ns=s.st_mtime_ns,
        ctime_ns=s.st_ctime_ns,
        inode=s.st_ino,
        device=s.st_dev,
        sha256="",
        at=0.0,
    )


def _keep(known: Known, outside: bool) -> None:
    with _lock:
        _known[known.path] = known
    if outside:
        file = _file(known.path)
        aside = file.with_name(f".tmp-{uuid.uuid4().hex}")
        # What cannot be remembered outside this process is read again by the next: no error.
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(handle, "wb") as f:
                    f.write(sealed.seal(known.path, to_json(known)))
                aside.replace(file)
            finally:
                aside.unlink(missing_ok=True)


def _recall(place: str) -> Known | None:
    """What an earlier process remembered of a file, if nobody but this user can have written it."""
    try:
        handle = os.open(_file(place), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            s, folder = os.fstat(handle), cache().stat()
            ours = all(t.st_uid == os.geteuid() and not t.st_mode & 0o022 for t in (s, folder))
            raw = os.read(handle, 1 << 16) if ours and stat.S_ISREG(s.st_mode) else b""
        finally:
            os.close(handle)
    except OSError:
        return None
    text = sealed.unseal(place, raw)
    try:
        return None if text is None else from_json(Known, text)
    except DataError:
        return None


def _file(place: str) -> Path:
    return cache() / f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:32]}.json"
