"""The process that `processes` starts: one pair per line on stdin, `true`, `false` or `null` per line on stdout.

It alone imports sympy. Each pair has so many seconds of this process's CPU time; the kernel ends it when they are
over, so that nothing that sympy does can go on. It ends with its parent.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any

from mmst.core.process import die_with_parent


def main(seconds: float, memory_mib: int, parent: int = 0) -> None:
    """Answer until stdin ends, or the process that started this one ends."""
    die_with_parent(parent)
    limit = memory_mib << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from mmst.grading.algebra.decide import decide

    _say("ready")
    for line in sys.stdin:
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            found = decide(gold, answer)
        except (Exception, RecursionError):  # whatever sympy raises, it has not decided
            found = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say(found)


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))
