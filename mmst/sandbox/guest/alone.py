"""Runs one program in its own process, outside gVisor: the script of the subprocess sandbox.

Arguments: bytes of memory, seconds of CPU time, the folder to import ourselves from, the user id to
become where this is root. The current folder is the only one in which the program may write.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main(memory: str, cpu: str, root: str, uid: str) -> NoReturn:
    """Lower the limits, give up all rights that can be given up, and run the program on fd 0."""
    parent, needed = os.getppid(), [*sys.path]
    sys.path.insert(0, root)
    from mmst.sandbox.guest import landlock, privileges, program

    program.limit(program.address_space() + int(memory), int(cpu), file=0)
    landlock.restrict(".")
    privileges.drop(int(uid), needed)
    privileges.end_with(parent)
    if os.uname().machine == "x86_64":
        from mmst.sandbox.guest import seccomp

        seccomp.install(files=False)
    sys.path.remove(root)
    program.execute(program.receive())


if __name__ == "__main__":
    main(*sys.argv[1:])
