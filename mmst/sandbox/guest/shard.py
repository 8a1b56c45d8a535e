"""What a pod does with its shard besides running programs: evaluate them first, and measure its own speed.

Standard library only: it runs inside the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import Any

from mmst.sandbox.guest.wire import BATCH, HostGone, receive, send

EVALUATION_SECONDS = 60.0
"""How long an evaluator may be silent."""
SLOWEST = 8.0
"""Maximum factor on the limit in wall time for a program in a slowed-down pod."""
_SLOW = 1.25


def evaluated(frames: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Program → its output (base64), for those that an evaluator finished; it has ended when this returns."""
    asked = [frame for frame in frames if frame["evaluate"]]
    found: dict[str, str] = {}
    if not asked:
        return found
    (in_r, in_w), (out_r, out_w) = os.pipe(), os.pipe()
    script = os.path.join(os.path.dirname(__file__), "evaluator.py")  # noqa: PTH118, PTH120
    moves = [(os.POSIX_SPAWN_DUP2, in_r, 0), (os.POSIX_SPAWN_DUP2, out_w, 1)]
    child = os.posix_spawn(sys.executable, [sys.executable, "-s", "-P", script], os.environ, file_actions=moves)
    os.close(in_r)
    os.close(out_w)
    with contextlib.suppress(HostGone, BrokenPipeError, ValueError, KeyError, TimeoutError):
        _answer(out_r)
        for at in range(0, len(asked), BATCH):
            batch = asked[at : at + BATCH]
            send(in_w, {"sources": [frame["source"] for frame in batch]})
            results = _answer(out_r)["results"]
            found |= {f["id"]: text for f, text in zip(batch, results, strict=True) if text is not None}
    os.close(in_w)
    os.close(out_r)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return found


def _answer(fd: int) -> Any:
    if not select.select([fd], [], [], EVALUATION_SECONDS)[0]:
        raise TimeoutError
    return json.loads(receive(fd))


class Pace:
    """The pod's current speed relative to its fastest: others on the node, or a CPU limit, slow it down.

    In a pod nobody tells CPU time from wall time (gVisor's own clocks count time in which a process
    could have run), so a loop of known length is timed.
    """

    def __init__(self) -> None:
        self._fastest = min(_spin() for _ in range(20))

    def wall(self, limit: float) -> float | None:
        """The time for a second run of a program that used up its `limit`; None if it had its CPU time."""
        began, turns = time.monotonic(), 0
        while (took := time.monotonic() - began) < 0.25:
            self._fastest = min(self._fastest, _spin())
            turns += 1
        slower = took / turns / self._fastest
        return None if slower < _SLOW else limit * min(slower * _SLOW, SLOWEST)


def _spin() -> float:
    began = time.monotonic()
    for _ in range(20_000):
        pass
    return time.monotonic() - began
