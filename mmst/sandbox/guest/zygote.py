"""Forks a confined child for every program: process 1 of the sandbox, and its warm twin.

Standard library only: it runs inside the sandbox. It never sees a program: the supervisor, an
interpreter of its own, hands over three pipes and the limits, and the child reads the source
from its pipe when it is already confined. So no child finds another's text in its memory.

Process 1 is small, as a fork in gVisor costs what the forked process has written to. Programs
that name a package are forked by a twin of it that has imported it (`preload`), which the
supervisor starts for the first of them (`twins`).
"""

from __future__ import annotations

import _socket
import collections  # noqa: F401  the modules that solutions use are imported once, here
import datetime  # noqa: F401
import decimal  # noqa: F401
import fractions  # noqa: F401
import functools  # noqa: F401
import gc
import itertools  # noqa: F401
import math  # noqa: F401
import os
import re  # noqa: F401
import struct
import sys
from typing import NoReturn

from mmst.sandbox.guest import packages, program, seccomp
from mmst.sandbox.guest.wire import END, ORDER, UNCONFINED

WARM = "warm"
FOLDER = "/tmp"
FILE_MOST = 4 << 20
"""Maximum bytes of one file of a program; all files together may fill /tmp."""
exit_at_once = os._exit


def main() -> None:
    """As process 1, start the supervisor, then fork children until it is gone."""
    sys.path.append(packages.FOLDER)
    if sys.argv[1:2] == [WARM]:
        from mmst.sandbox.guest import preload

        preload.load(tuple(sys.argv[3:]))
        mine = _socket.socket(fileno=int(sys.argv[2]))
        mine.send(b"ready")
    else:
        mine = _supervised()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.chdir(FOLDER)
    _serve(mine)


def _supervised() -> _socket.socket:
    """Our end of a connection to a supervisor that is started now."""
    mine, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    os.set_inheritable(theirs.fileno(), True)
    supervisor = os.path.join(os.path.dirname(__file__), "supervisor.py")  # noqa: PTH118, PTH120
    arguments = [sys.executable, "-s", "-P", supervisor, str(theirs.fileno()), *sys.argv[1:]]
    os.posix_spawn(sys.executable, arguments, os.environ)
    theirs.close()
    return mine


def _serve(mine: _socket.socket) -> None:
    base = program.address_space()
    gc.collect()
    gc.freeze()
    while True:
        order, attached, _, _ = mine.recvmsg(ORDER.size, _socket.CMSG_SPACE(3 * 4))
        if not order:
            return
        fds = struct.unpack("3i", attached[0][2][:12])
        unconfined, says = os.pipe()
        pid = os.fork()
        if pid == 0:
            _child((*fds, says), base, *ORDER.unpack(order))
        for fd in (*fds, says):
            os.close(fd)
        failed = os.read(unconfined, 1)  # nothing when the child has closed it, before its program began
        os.close(unconfined)
        _, status, usage = os.wait4(pid, 0)
        mine.send(END.pack(UNCONFINED if failed else os.waitstatus_to_exitcode(status), usage.ru_maxrss))
        _reap()


def _child(fds: tuple[int, ...], base: int, uid: int, cpu: int, memory: int) -> NoReturn:
    """Give up every right, and only then read the program."""
    try:
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        os.closerange(4, 256)
        sys.path.remove("/opt")
        program.limit(base + memory, cpu, FILE_MOST)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        program.limit_processes()
        seccomp.install(files=True)
    except BaseException:
        os.write(3, b"!")
        os._exit(1)
    os.close(3)
    try:
        program.execute(program.receive())
    finally:
        exit_at_once(1)  # whatever the program did to what should end it


def _reap() -> None:
    """Reap all processes that were left to process 1."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
