"""Where a command writes: what `--out` names may be a file, a link to one, a FIFO, a device, or `-`.

    with find(Path("out.jsonl"), source).writing() as out:
        out.write(b"...\\n")

- A file is whole or not there: it is written aside and renamed. Of a link, the file that it leads to is
  replaced; the link stays. A file that is replaced keeps its permissions.
- A FIFO, a character device, `-` and /dev/fd/N are streams: written directly, as the lines come.
- A directory, a socket, a disk, and a file that is the input as well are refused (`ConfigError`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmst.core import private
from mmst.core.errors import ConfigError, MmstError, StoreError
from mmst.core.visible import in_json

OPTION = "--out"
"""What most commands call the place that they write to."""
_BLOCK = 1 << 16
_DESCRIPTORS = ("/proc/self/fd", "/proc/thread-self/fd", "/dev/fd")
_MOST_LINKS = 40
_REMEDIES = {
    errno.ENOSPC: "free space there (then the same command goes on), or give another {option}",
    errno.EDQUOT: "raise the quota, free space, or give another {option}",
    errno.EFBIG: "raise `ulimit -f`, or give another {option}",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EROFS: "give a place that can be written",
    errno.EACCES: "give a place that you may write to",
    errno.EPERM: "give a place that you may write to",
    errno.ENXIO: "give a file",
}
_WRONG = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
"""What is wrong with the name itself, so that the same command would fail again."""


class Sink:
    """What lines are written to; `StoreError` when it takes no more, `BrokenPipeError` when nobody reads.

    On a terminal, what JSON need not escape and a terminal would obey is escaped too: it is the same JSON.
    """

    def __init__(self, fd: int, shown: str, option: str = OPTION) -> None:
        self._fd, self._shown, self._option, self._waiting = fd, shown, option, bytearray()
        self._watched = os.isatty(fd)

    def write(self, data: bytes) -> None:
        """Take some bytes; they are passed on when enough have come together."""
        if self._watched:
            data = in_json(data.decode("utf-8", "surrogatepass")).encode()
        self._waiting += data
        if len(self._waiting) >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Pass on all that was taken."""
        with trouble(self._shown, self._option), memoryview(bytes(self._waiting)) as left:
            at = 0
            while at < len(left):
                try:
                    at += os.write(self._fd, left[at:])
                except BlockingIOError:
                    select.select([], [self._fd], [])
        self._waiting.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A place to write to: a file (`path`, all links followed), an open descriptor, or a special file.

    `option` is what names it on the command line.
    """

    shown: str
    option: str = OPTION
    path: Path | None = None
    descriptor: int | None = None
    special: Path | None = None

    @property
    def to_stdout(self) -> bool:
        """Whether the lines go where standard output goes, so that nothing else may."""
        if self.descriptor is None:
            return False
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self.descriptor), os.fstat(1))
        return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[Sink]:
        """A sink for the lines. A file is there when all went well, and unchanged when not."""
        if self.path is not None:
            with replacing(self.path, self.shown, self.option) as sink:
                yield sink
            return
        with trouble(self.shown, self.option):
            fd = (
                os.open(self.special, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
                if self.special is not None
                else os.dup(self.descriptor or 0)
            )
        try:
            sink = Sink(fd, self.shown, self.option)
            yield sink
            sink.flush()
        finally:
            os.close(fd)


def find(name: Path | Output, *sources: Path, option: str = OPTION) -> Output:
    """What is at this name, or will be; `ConfigError` when it cannot be written, or is one of `sources`."""
    if isinstance(name, Output):
        return name
    shown = _as_given(name)
    with trouble(shown, option):
        if _is_address(shown):
            what = "the output is an address, and this command writes files"
            raise ConfigError(
                what, value=shown, remedy=f"{option} FILE, or {option} - and pipe it: … | aws s3 cp - URL"
            )
        found = _found(name, shown, option)
        _refuse_sources(found, sources)
        return found


@contextlib.contextmanager
def replacing(path: Path, shown: str, option: str = OPTION) -> Iterator[Sink]:
    """Write aside, then put it in the place of `path`."""
    with trouble(shown, option):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        aside = path.with_name(f".mmst-{os.getpid()}-{os.urandom(4).hex()}.part")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, private.FILE)
    try:
        with trouble(shown, option):
            fcntl.flock(fd, fcntl.LOCK_EX)
        sink = Sink(fd, shown, option)
        yield sink
        sink.flush()
        with trouble(shown, option):
            os.fsync(fd)
            _as_before(path, fd)
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
        os.close(fd)


@contextlib.contextmanager
def trouble(shown: str, option: str = OPTION) -> Iterator[None]:
    """Turn an `OSError` into an error that names the file, the reason and the remedy; a closed pipe stays one."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as e:
        remedy = _REMEDIES.get(e.errno or 0, "").format(option=option)
        said = f"cannot write {shown}: {e.strerror or e}"
        if e.errno in _WRONG:
            raise ConfigError(said, remedy=remedy or f"give another {option}") from e
        raise StoreError(said, remedy=remedy) from e


def _found(name: Path, shown: str, option: str) -> Output:
    if shown == "-":
        return _open_descriptor(1, "standard output", option)
    path = name
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if os.path.realpath(folder) in {os.path.realpath(d) for d in _DESCRIPTORS} and path.name.isdecimal():
            return _open_descriptor(int(path.name), shown, option)
        path = Path(folder, path.name)
        if not path.is_symlink():
            break
        path = Path(folder, path.readlink())
    else:
        raise _refused(shown, "is a symbolic link that leads to itself", option)
    try:
        there = path.stat()
    except FileNotFoundError:
        return Output(shown=shown, path=path, option=option)
    return _at(path, there, shown, option)


def _at(path: Path, there: os.stat_result, shown: str, option: str) -> Output:
    kind = there.st_mode
    if stat.S_ISDIR(kind):
        raise _refused(shown, "is a directory", option, f"{option} {shown.rstrip('/')}/out.jsonl")
    if stat.S_ISSOCK(kind) or stat.S_ISBLK(kind):
        raise _refused(shown, "is a socket" if stat.S_ISSOCK(kind) else "is a disk", option)
    if not os.access(path, os.W_OK):
        raise _refused(shown, "may not be written by you", option, f"chmod u+w {shown}, or another {option}")
    if not stat.S_ISREG(kind):
        return Output(shown=shown, special=path, option=option)
    with contextlib.suppress(OSError):
        if os.path.samestat(there, os.fstat(1)):
            return Output(shown=shown, descriptor=1, option=option)  # `--out file > file`: the renamed would be lost
    return Output(shown=shown, path=path, option=option)


def _open_descriptor(number: int, shown: str, option: str) -> Output:
    try:
        access = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise _refused(shown, f"is not open (file descriptor {number})", option) from None
    if access == os.O_RDONLY:
        raise _refused(shown, f"is open for reading only (file descriptor {number})", option)
    if stat.S_ISDIR(os.fstat(number).st_mode):
        raise _refused(shown, "is a directory", option)
    return Output(shown=shown, descriptor=number, option=option)


def _refuse_sources(found: Output, sources: tuple[Path, ...]) -> None:
    place = found.path or found.special or found.descriptor
    if place is None:
        return
    try:
        there = os.stat(place)  # noqa: PTH116  may be a descriptor
    except FileNotFoundError:
        return
    for source in sources:
        refuse_same(there, source, found.shown, found.option)


def refuse_same(there: os.stat_result, source: Path, shown: str, option: str = OPTION) -> None:
    """`ConfigError` when what is written is the file, or the pipe, that is read."""
    if stat.S_ISCHR(there.st_mode):
        return
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(there, source.stat()):
            what = f"the output is the input ({source}), which would be lost"
            raise ConfigError(what, value=shown, remedy=f"give another {option}")


def _refused(shown: str, what: str, option: str, remedy: str = "") -> ConfigError:
    return ConfigError(
        f"the output {what}", value=shown, remedy=remedy or f"{option} FILE, or {option} - for standard output"
    )


def _as_given(name: Path) -> str:
    """What the user wrote: a `Path` has made s3:/bucket of s3://bucket."""
    return re.sub(r"^([a-z][a-z0-9+.-]*):/(?!/)", r"\1://", str(name))


def _is_address(shown: str) -> bool:
    """Whether it is s3://… or the like, and no folder here is called so."""
    return "://" in shown and not Path(shown.partition("/")[0]).is_dir()


def _as_before(path: Path, fd: int) -> None:
    """Give the new file the permissions and, where this is allowed, the owner of the one that it replaces."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(fd, 0o666 & ~private.umask())  # until now it was nobody else's
        return
    with contextlib.suppress(PermissionError):
        os.fchown(fd, old.st_uid, old.st_gid)
    with contextlib.suppress(PermissionError):
        os.fchmod(fd, stat.S_IMODE(old.st_mode))


def _sweep(folder: Path) -> None:
    """Remove what killed commands left here. The files of those that live are locked."""
    for left in folder.glob(".mmst-*.part"):
        with contextlib.suppress(OSError):
            fd = os.open(left, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(fd)


@contextlib.contextmanager
def given(source: Path, *, again: bool = False, folders: bool = False) -> Iterator[Path]:
    """The file to read that `source` names: `-` is standard input. `ConfigError` when it cannot be read.

    With `again` it is read more than once, so a pipe is first copied to a file for the time of the command;
    errors name it as the user did. With `folders` it may be one.
    """
    shown = _as_given(source)
    path = Path("/dev/stdin") if shown == "-" else source
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind) and not folders:
            raise ConfigError("the input is a directory", value=shown, remedy="give a file, or - for standard input")
        if not os.access(path, os.R_OK):
            raise ConfigError("the input may not be read by you", value=shown, remedy=f"chmod u+r {shown}")
    except FileNotFoundError:
        raise _no_input(path, shown) from None
    except OSError as e:
        raise ConfigError(f"the input cannot be read ({e.strerror})", value=shown, remedy="give a file") from None
    if not again or stat.S_ISREG(kind) or stat.S_ISDIR(kind):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mmst-") as folder:
        copy = Path(folder) / "input"
        with trouble("a copy of the input"), path.open("rb") as pipe, copy.open("wb") as out:
            while block := pipe.read(1 << 20):
                out.write(block)
        try:
            yield copy
        except MmstError as e:
            e.reword(lambda said: said.replace(str(copy), shown))
            raise


def lines_of(path: Path) -> int:
    """How many lines a file has; 0 for what can be read only once."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def _no_input(path: Path, shown: str) -> ConfigError:
    """Why nothing can be read there."""
    if _is_address(shown):
        fetch = "aws s3 cp URL -" if shown.startswith("s3:") else "curl -L URL"
        what = "the input is an address, and this command reads files"
        return ConfigError(
            what, value=shown, remedy=f"copy it here, or pipe it: {fetch} | mmst …, with - for the input"
        )
    if path.is_symlink():
        what = f"the input is a symbolic link to {path.readlink()}, which is not there"
        return ConfigError(what, value=shown, remedy=f"mend the link, or give the file itself; see ls -l {shown}")
    return ConfigError("there is no such file", value=shown, remedy="give a file, or - for standard input")
