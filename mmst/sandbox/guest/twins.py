"""The fork servers of a sandbox: process 1, and its warm twins, which have packages imported.

Standard library only: it runs inside the sandbox, in the supervisor.
"""

from __future__ import annotations

import os
import socket
import sys

from mmst.sandbox.guest import packages

WARM = "warm"
_ZYGOTE = f"{os.path.dirname(__file__)}/zygote.py"  # noqa: PTH120


class Twins:
    """The fork server for each program; a warm one is started when the first program needs it.

    `keep` are the processes that must outlive a program.
    """

    def __init__(self, lean: socket.socket) -> None:
        self._servers: dict[tuple[str, ...], socket.socket] = {(): lean}
        self._here = packages.present()
        self.keep = {1, os.getpid()}

    def server(self, source: bytes) -> socket.socket:
        """The server that should fork this program; ready when this returns."""
        names = packages.wanted(source, self._here)
        self.start(names)
        return self._servers[names]

    def start(self, names: tuple[str, ...]) -> None:
        """Make sure that a server has imported these; a host that measures a program's time calls this first."""
        if names not in self._servers:
            self._servers[names] = self._start(names)

    def _start(self, names: tuple[str, ...]) -> socket.socket:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.set_inheritable(True)
        arguments = [sys.executable, "-s", "-P", _ZYGOTE, WARM, str(theirs.fileno()), *names]
        self.keep.add(os.posix_spawn(sys.executable, arguments, os.environ))
        theirs.close()
        if not mine.recv(16):
            raise SystemExit(f"{', '.join(names)} could not be imported before a program that names them")
        return mine
