"""The protocol between zygote, supervisor, evaluator and host. Standard library only; used inside the sandbox."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

ORDER = struct.Struct("=IIQ")
"""To the zygote, with stdin, stdout and stderr attached: user id, CPU seconds, bytes of memory."""
END = struct.Struct("=iQ")
"""To the supervisor: exit status (negative: signal), peak resident KiB."""
THREADS = 32
"""Result of one program. The guest counts a runnable thread as running, so CPU time is bounded for all of them."""
UNCONFINED = 256
"""Instead of an exit status (which is less): the child could not give up its rights, so nothing was run in it."""
LOG_MOST = 4 << 20
"""Bytes of answers after which a pod's shard ends, done or not: kubelets keep 10 MiB of a log by default."""
EVALUATOR_UID = 9_999
"""The user id of the evaluator; programs have others."""
BATCH = 64
"""How many programs are evaluated at a time."""


class HostGone(Exception):
    """The other side is gone."""


def receive(fd: int) -> bytes:
    """The next frame: 4 bytes of length (big endian), then that many. Empty: the host stops the program."""
    return _exactly(fd, int.from_bytes(_exactly(fd, 4), "big"))


def send(fd: int, frame: dict[str, Any]) -> None:
    """Send a frame of JSON."""
    data = json.dumps(frame).encode()
    write(fd, len(data).to_bytes(4, "big") + data)


def write(fd: int, data: bytes) -> None:
    """Write everything."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _exactly(fd: int, n: int) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        part = os.read(fd, n - len(parts))
        if not part:
            raise HostGone
        parts += part
    return bytes(parts)
