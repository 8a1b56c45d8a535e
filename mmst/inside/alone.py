"""Runs one program in a process of its own, outside gVisor: the script of the subprocess sandbox.

Arguments: bytes of memory, seconds of CPU time, the folder to import ourselves from.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main(memory: str, cpu: str, root: str) -> NoReturn:
    """Lower the limits, filter system calls where that is known how, and run what comes on fd 0."""
    sys.path.insert(0, root)
    from mmst.inside import program

    program.limit(program.address_space() + int(memory), int(cpu), file=0)
    if os.uname().machine == "x86_64":
        from mmst.inside import seccomp

        seccomp.install(files=False)
    sys.path.remove(root)
    program.execute(program.receive())


if __name__ == "__main__":
    main(*sys.argv[1:])
