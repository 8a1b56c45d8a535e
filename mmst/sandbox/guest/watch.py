"""Watches one running program: feeds its stdin, keeps its output, notices when it is over.

Standard library only: it runs inside the sandbox (`supervisor`), and outside for the
subprocess sandbox.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from mmst.sandbox.guest.wire import HostGone

STDERR_KEPT = 4096
"""Bytes of stderr that are kept: its end, with the last lines of a traceback."""

LOOK_EVERY = 0.5
"""Seconds after which a poll is repeated: gVisor may not wake one when the host hangs up."""


class Watched:
    """A program's pipes (ours to close) and what it has written so far.

    `ended` is a descriptor that becomes readable when its process is over; `cap` is the most
    bytes that it may write to stdout, and to stderr.
    """

    def __init__(self, ended: int, stdin: int, stdout: int, stderr: int, feed: bytes, cap: int) -> None:
        self._ended, self._stdin, self._stdout, self._stderr, self._cap = ended, stdin, stdout, stderr, cap
        self._feed = memoryview(feed)
        self._out, self._err, self._err_total = bytearray(), bytearray(), 0
        self._poll = select.poll()
        self._poll.register(ended, select.POLLIN)
        for fd, event in ((stdin, select.POLLOUT), (stdout, select.POLLIN), (stderr, select.POLLIN)):
            os.set_blocking(fd, False)
            self._poll.register(fd, event)

    @property
    def out(self) -> bytes:
        """Its stdout, up to the cap."""
        return bytes(self._out[: self._cap])

    @property
    def err(self) -> bytes:
        """The end of its stderr."""
        return bytes(self._err)

    @property
    def over(self) -> bool:
        """Whether it wrote more than it may."""
        return len(self._out) > self._cap or self._err_total > self._cap

    def watch(self, deadline: float, host: int | None = None, look: Callable[[], float] | None = None) -> str:
        """Wait until its process is over ("") or has to be killed ("time", "output").

        Its time is over at the `deadline`, when the `host` (a pipe) sends an empty frame, or when
        `look` says 0: it is asked after as many seconds as it said before. Raises `HostGone` when
        the other end of the pipe is closed meanwhile.
        """
        if host is not None:
            self._poll.register(host, select.POLLIN)
        while not self.over:
            left = deadline - time.monotonic()
            wait = min(left, LOOK_EVERY, look() if look else LOOK_EVERY)
            if wait <= 0:
                return "time"
            for fd, event in self._poll.poll(wait * 1000 + 1):
                if fd == self._ended:
                    return ""
                if fd == host:
                    return self._cut(host, event)
                if fd == self._stdin:
                    self._write()
                elif self._read(fd) == b"":
                    self._poll.unregister(fd)
        return "output"

    def _cut(self, host: int, event: int) -> str:
        """The host's message while a program runs: that its time is over, or nothing more to say."""
        if not event & select.POLLIN or not os.read(host, 4):
            raise HostGone
        return "time"

    def drain(self) -> None:
        """Read what is left in the pipes, without waiting, and close them."""
        for fd in (self._stdout, self._stderr):
            while not self.over and self._read(fd):
                pass
            os.close(fd)
        if self._stdin >= 0:
            os.close(self._stdin)

    def _read(self, fd: int) -> bytes | None:
        """The data read; empty at the end, None if there is nothing yet."""
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return None
        if fd == self._stdout:
            self._out += data
        else:
            self._err_total += len(data)
            self._err = (self._err + data)[-STDERR_KEPT:]
        return data

    def _write(self) -> None:
        try:
            self._feed = self._feed[os.write(self._stdin, self._feed[:65536]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._feed = self._feed[:0]
        if not self._feed:
            self._poll.unregister(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
