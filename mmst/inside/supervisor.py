"""The supervisor inside the sandbox: takes programs from the host, has them run, answers.

Standard library only: it runs inside the sandbox, in an interpreter of its own. Frames both
ways are 4 bytes of length (big endian) and JSON; in a pod, to which nobody talks, lines of JSON
from a file (zlib) to the log. One program at a time, or one bundle of harmless
ones: whatever still lives when it is over is killed, so nothing survives its program.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
import zlib
from typing import Any

from mmst.inside import cleanup
from mmst.inside.twins import Twins
from mmst.inside.watch import STDERR_KEPT, HostGone, Watched
from mmst.inside.wire import END, LENGTH, LOG_MOST, ORDER, RESULT, THREADS, UNCONFINED

_FIRST_UID, _UIDS = 10_000, 50_000


def main() -> None:
    """Serve until the host closes our stdin."""
    zygotes = Twins(socket.socket(fileno=int(sys.argv[1])))
    if len(sys.argv) > 2:
        return _shard(zygotes, sys.argv[2])
    _send({"ready": os.uname().release})
    served = 0
    while True:
        frame = json.loads(_exactly(int.from_bytes(_exactly(4), "big")))
        answer = _run(zygotes, frame, _FIRST_UID + served % _UIDS, host=0)
        _send(answer)
        if answer["spent"]:
            return None
        served += 1


def _shard(zygotes: Twins, path: str) -> None:
    """Run what stands in a file, in order; answer by lines, and end before they are more than a log holds."""
    with open(path, "rb") as file:  # noqa: PTH123  no more modules in here than needed
        lines = zlib.decompress(file.read()).splitlines()
    written = 0
    for served, line in enumerate(lines):
        frame = _run(zygotes, json.loads(line), _FIRST_UID + served % _UIDS, host=None)
        answer = json.dumps(frame).encode() + b"\n"
        _write(answer)
        written += len(answer)
        if written > LOG_MOST or frame["spent"]:
            return


def _run(zygotes: Twins, frame: dict[str, Any], uid: int, host: int | None) -> dict[str, Any]:
    """Have one program, or a bundle, run under its limits; the frame that tells what became of it."""
    sources = [source.encode("utf-8", "surrogatepass") for source in frame["sources"]]
    bundle = len(sources) > 1
    feed = b"".join(LENGTH.pack(len(source)) + source for source in sources) if bundle else sources[0]
    zygote = zygotes.server(b"" if bundle else sources[0])
    (in_r, in_w), (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe(), os.pipe()
    order = ORDER.pack(uid, (int(frame["timeout"]) + 2) * THREADS, frame["memory"], bundle)
    began = time.monotonic()
    socket.send_fds(zygote, [order], [in_r, out_w, err_w])
    for fd in (in_r, out_w, err_w):
        os.close(fd)
    feed = len(feed).to_bytes(8, "big") + feed + frame["stdin"].encode("utf-8", "surrogatepass")
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
    answer = {"id": frame["id"], "peak_kib": peak, "spent": spent}
    if bundle:
        return {**answer, "results": _results(program.raw_out) if status == 0 and not cut else []}
    return {
        **answer,
        "status": status,
        "cut": cut or ("output" if program.over else ""),
        "stdout": program.out,
        "stderr": program.err,
        "seconds": seconds,
    }


def _results(raw: bytes) -> list[dict[str, Any]]:
    """What a bundle wrote of each of its programs."""
    results, at = [], 0
    while at < len(raw):
        status, seconds, out, err = RESULT.unpack_from(raw, at)
        at += RESULT.size
        stdout, stderr = raw[at : at + out], raw[at + out : at + out + err][-STDERR_KEPT:]
        at += out + err
        texts = {"stdout": stdout.decode("utf-8", "replace"), "stderr": stderr.decode("utf-8", "replace")}
        results.append({"status": status, "cut": "", "seconds": seconds, **texts})
    return results


def _exactly(n: int) -> bytes:
    parts = bytearray()
    while len(parts) < n:
        part = os.read(0, n - len(parts))
        if not part:
            raise HostGone
        parts += part
    return bytes(parts)


def _send(frame: dict[str, Any]) -> None:
    data = json.dumps(frame).encode()
    _write(len(data).to_bytes(4, "big") + data)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    with contextlib.suppress(HostGone, BrokenPipeError):
        main()
