"""Watches one running program: feeds its stdin, keeps what it writes, knows when it is over.

Standard library only: it runs inside the sandbox (`supervisor`), and outside for the
subprocess sandbox.
"""

from __future__ import annotations

import os
import select
import time

STDERR_KEPT = 4096
"""Bytes of stderr that are kept: its end, where the last lines of a traceback stand."""

LOOK_EVERY = 0.5
"""Seconds after which a poll is asked anew: gVisor may not wake one when the host hangs up."""


class HostGone(Exception):
    """Who asked for the program is gone."""


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
    def out(self) -> str:
        """Its stdout, up to the cap."""
        return self._out[: self._cap].decode("utf-8", "replace")

    @property
    def raw_out(self) -> bytes:
        """All bytes that were read from its stdout."""
        return bytes(self._out)

    @property
    def err(self) -> str:
        """The end of its stderr."""
        return self._err.decode("utf-8", "replace")

    @property
    def over(self) -> bool:
        """Whether it wrote more than it may."""
        return len(self._out) > self._cap or self._err_total > self._cap

    def watch(self, deadline: float, host: int | None = None) -> str:
        """Until its process is over ("") or has to be killed ("time", "output").

        Raises `HostGone` when the other end of the pipe `host` is closed meanwhile.
        """
        if host is not None:
            self._poll.register(host, 0)
        while not self.over:
            left = deadline - time.monotonic()
            if left <= 0:
                return "time"
            for fd, _ in self._poll.poll(min(left, LOOK_EVERY) * 1000 + 1):
                if fd == self._ended:
                    return ""
                if fd == host:
                    raise HostGone
                if fd == self._stdin:
                    self._write()
                elif self._read(fd) == b"":
                    self._poll.unregister(fd)
        return "output"

    def drain(self) -> None:
        """Take what is still in the pipes, without waiting, and close them."""
        for fd in (self._stdout, self._stderr):
            while not self.over and self._read(fd):
                pass
            os.close(fd)
        if self._stdin >= 0:
            os.close(self._stdin)

    def _read(self, fd: int) -> bytes | None:
        """What was read; empty at the end, None when there is nothing yet."""
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
