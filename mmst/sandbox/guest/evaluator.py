"""The process that evaluates programs: many of them, one after another, without running any.

Standard library only: it runs inside the sandbox, as process 1 of one in which no program ever
runs, and in a pod beside the fork server. Frames both ways are 4 bytes of length (big endian) and
JSON: {"sources": [program, …]}, answered by {"results": [base64 of what it prints or null, …]}.
It gives up its rights before it reads the first program.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import os

from mmst.sandbox.guest import program, seccomp
from mmst.sandbox.guest.evaluate import evaluate
from mmst.sandbox.guest.wire import EVALUATOR_UID, HostGone, receive, send

MEMORY = 192 << 20
"""Memory limit of this process in bytes; its budget for a program (`evaluate.BYTES`) is far below."""
_SECONDS = 1 << 30


def main() -> None:
    """Answer requests until there are no more."""
    program.limit(program.address_space() + MEMORY, _SECONDS, 0)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(EVALUATOR_UID, EVALUATOR_UID, EVALUATOR_UID)
        os.setresuid(EVALUATOR_UID, EVALUATOR_UID, EVALUATOR_UID)
    seccomp.install(files=False)
    gc.collect()
    gc.freeze()
    send(1, {"ready": os.uname().release})
    while True:
        sources = json.loads(receive(0))["sources"]
        send(1, {"results": [None if text is None else _packed(text) for text in map(evaluate, sources)]})


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


if __name__ == "__main__":
    with contextlib.suppress(HostGone, BrokenPipeError):
        main()
