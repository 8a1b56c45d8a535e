"""Runs one untrusted program in its own process; never returns.

Standard library only: it runs inside the sandbox (forked by `zygote`), and in `alone` for the
subprocess sandbox. On fd 0 come the length of the source (8 bytes, big
endian), the source, and then the program's own stdin.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import os
import random
import resource
import sys
import types
from typing import Any, NoReturn

from mmst.sandbox.guest.lines import Lines
from mmst.sandbox.guest.packages import Seeds
from mmst.sandbox.guest.wire import THREADS

FILE = "<program>"
NAME = "program.py"
_exit = os._exit
_REPORT = 16 << 20
_FILES = 64
_LONG = 1 << 63
_MOST_FRAMES = 2**31 - 1


def address_space() -> int:
    """Bytes of address space that this interpreter uses before any program runs in it."""
    with open("/proc/self/statm", "rb") as f:  # noqa: PTH123  pathlib would be one more module in every program
        return int(f.read().split()[0]) * resource.getpagesize()


def limit(memory: int, cpu: int, file: int) -> None:
    """Lower this process's limits: `memory` bytes of address space, `cpu` seconds, `file` bytes of one file.

    The hard memory limit leaves room to report a MemoryError.
    """
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory, memory + _REPORT),
        (resource.RLIMIT_CPU, cpu, cpu),
        (resource.RLIMIT_FSIZE, file, file),
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_STACK, 8 << 20, 8 << 20),
    ):
        resource.setrlimit(kind, (soft, hard))


def limit_processes() -> None:
    """Limit the processes and threads of this user id; only correct if the id is its own."""
    resource.setrlimit(resource.RLIMIT_NPROC, (THREADS, THREADS))


def receive() -> bytes:
    """The source from fd 0; what follows it is the program's stdin."""
    return _exactly(int.from_bytes(_exactly(8), "big"))


def execute(source: bytes) -> NoReturn:
    """Run `source` as `__main__` and end the process as a fresh interpreter would."""
    out = sys.stdout
    status = _run(source)
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        sys.modules.pop("__main__", None)
        gc.collect()  # what is in there may still print: `__del__`, a generator's `finally`
    except BaseException:
        status = status or 120
    _exit(status if all([_flushed(getattr(sys, "stdout", None)), _flushed(out)]) else status or 120)
    raise AssertionError("unreachable")


def _flushed(stream: Any) -> bool:
    """Whether nothing is left in it; a closed stream, or None, has nothing left."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except BaseException:
        return False
    return True


def _run(source: bytes) -> int:
    """Run `source` in a new `__main__`; returns the exit status of its process."""
    random.seed(0)
    sys.meta_path.insert(0, Seeds)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv[:] = [NAME]
    file = f"{os.getcwd()}/{NAME}"  # noqa: PTH109
    vars(main).update(__annotations__={}, __builtins__=builtins, __file__=file, __cached__=None)
    below = _frames()
    sys.setrecursionlimit(sys.getrecursionlimit() + below)
    if b"recursionlimit" in source:
        _count_from(below)
    Lines.known(source, FILE, file)
    if b"__file__" in source or b"argv" in source:
        _write(file, source)
    try:
        exec(compile(source, FILE, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as e:
        return _status_of(e.code)
    except BaseException as e:
        _report(e)
        return 1
    return 0


def _count_from(below: int) -> None:
    """Make the recursion limit mean what the program expects: our frames do not count."""
    get, put = sys.getrecursionlimit, sys.setrecursionlimit

    def getrecursionlimit() -> int:
        return get() - below if get() < _MOST_FRAMES else _MOST_FRAMES

    def setrecursionlimit(limit: int, /) -> None:
        counted = isinstance(limit, int) and 0 < limit <= _MOST_FRAMES
        put(min(limit + below, _MOST_FRAMES) if counted else limit)

    for ours, theirs in ((getrecursionlimit, get), (setrecursionlimit, put)):
        ours.__doc__, ours.__module__, ours.__qualname__ = theirs.__doc__, "sys", theirs.__name__
        setattr(sys, theirs.__name__, ours)


def _frames() -> int:
    """How much of the recursion limit is used below the program: by our frames, and `exec`."""
    frame: types.FrameType | None = sys._getframe(1)
    count = 1
    while frame:
        frame, count = frame.f_back, count + 1
    return count


def _write(path: str, source: bytes) -> None:
    """Let a program find its own file; it may be there already, or there may be no room for it."""
    try:
        with open(path, "xb") as f:  # noqa: PTH123
            f.write(source)
    except OSError:
        pass


def _report(error: BaseException) -> None:
    """The traceback on stderr, without the frame of this module."""
    try:
        if isinstance(error, MemoryError):
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        tb = error.__traceback__
        error.__traceback__ = tb.tb_next if tb else None
        if sys.excepthook is not sys.__excepthook__ or isinstance(error, MemoryError) or not _with_lines(error):
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.flush()
    except BaseException:
        os.write(2, b"\nMemoryError\n" if isinstance(error, MemoryError) else b"\n" + type(error).__name__.encode())


def _with_lines(error: BaseException) -> bool:
    """Write the traceback with the program's lines, which Python shows only for files; returns whether it worked."""
    try:
        import traceback

        text = "".join(traceback.format_exception(error))
    except BaseException:
        return False
    sys.stderr.write(text)
    return True


def _status_of(code: Any) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF if -_LONG <= code < _LONG else 0xFF
    try:
        sys.stderr.write(f"{code}\n")
        sys.stderr.flush()
    except BaseException:
        return 1
    return 1


def _exactly(n: int) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        part = os.read(0, n - len(parts))
        if not part:
            _exit(125)
        parts += part
    return bytes(parts)
