"""The supervisor inside the sandbox: receives programs from the host, runs them, answers.

Standard library only: it runs inside the sandbox, in an interpreter of its own. Frames both
ways are 4 bytes of length (big endian) and JSON; in a pod, to which nobody talks, lines of JSON
from a file (zlib) to the log. One program at a time: whatever still lives when it is over is
killed, so nothing survives its program.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import sys
import time
import zlib
from typing import Any

from mmst.sandbox.guest import cleanup, shard
from mmst.sandbox.guest.twins import Twins
from mmst.sandbox.guest.watch import Watched
from mmst.sandbox.guest.wire import END, LOG_MOST, ORDER, THREADS, UNCONFINED, HostGone, receive, send, write

_FIRST_UID, _UIDS = 10_000, 50_000


def main() -> None:
    """Serve until the host closes our stdin, or a program left more behind than can be removed."""
    zygotes = Twins(socket.socket(fileno=int(sys.argv[1])))
    if len(sys.argv) > 2:
        return _shard(zygotes, sys.argv[2])
    send(1, {"ready": os.uname().release})
    served, spent = 0, False
    while not spent:
        frame = json.loads(receive(0) or b"{}")  # an empty one came too late to cut a program short
        if "warm" in frame:
            zygotes.start(tuple(frame["warm"]))
            send(1, frame)
        elif frame:
            answer = _run(zygotes, frame, served, host=0)
            send(1, answer)
            served, spent = served + 1, answer["spent"]
    return None


def _shard(zygotes: Twins, path: str) -> None:
    """Run the programs in a file, answer in lines, and stop before these exceed the size of a log."""
    with open(path, "rb") as file:  # noqa: PTH123  no more modules in here than needed
        frames = [json.loads(line) for line in zlib.decompress(file.read()).splitlines()]
    evaluated = shard.evaluated(frames)
    pace, written = shard.Pace(), 0
    for served, frame in enumerate(frames):
        text = evaluated.get(frame["id"])
        answer: dict[str, Any] = {"id": frame["id"]}
        if text is None or frame["recheck"]:
            answer = _run(zygotes, frame, served, host=None)
            if answer["cut"] == "time" and not answer["spent"] and (wall := pace.wall(frame["timeout"])):
                answer = _run(zygotes, {**frame, "timeout": wall}, served + len(frames), host=None)
        line = json.dumps(answer if text is None else {**answer, "evaluated": text}).encode() + b"\n"
        write(1, line)
        written += len(line)
        if written > LOG_MOST or answer.get("spent"):
            return


def _run(zygotes: Twins, frame: dict[str, Any], served: int, host: int | None) -> dict[str, Any]:
    """Run one program under its limits; returns the frame with its result."""
    source, uid = frame["source"].encode("utf-8", "surrogatepass"), _FIRST_UID + served % _UIDS
    zygote = zygotes.server(source)
    (in_r, in_w), (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe(), os.pipe()
    order = ORDER.pack(uid, (int(frame["timeout"]) + 2) * THREADS, frame["memory"])
    began = time.monotonic()
    socket.send_fds(zygote, [order], [in_r, out_w, err_w])
    for fd in (in_r, out_w, err_w):
        os.close(fd)
    feed = len(source).to_bytes(8, "big") + source + frame["stdin"].encode("utf-8", "surrogatepass")
    program = Watched(zygote.fileno(), in_w, out_r, err_r, feed, frame["output"])
    try:
        cut = program.watch(began + frame["timeout"], host)
    finally:
        cleanup.kill_all(zygotes.keep)
    while not select.select([zygote], [], [], 0.05)[0]:
        cleanup.kill_all(zygotes.keep)  # it was not forked yet
    status, peak = END.unpack(zygote.recv(END.size))
    seconds = time.monotonic() - began
    program.drain()
    spent = not cleanup.empty(uid)
    if status == UNCONFINED:
        raise SystemExit("a child could not be confined")
    return {
        "id": frame["id"],
        "status": status,
        "cut": cut or ("output" if program.over else ""),
        "stdout": base64.b64encode(program.out).decode(),
        "stderr": base64.b64encode(program.err).decode(),
        "seconds": seconds,
        "peak_kib": peak,
        "spent": spent,
    }


if __name__ == "__main__":
    with contextlib.suppress(HostGone, BrokenPipeError):
        main()
