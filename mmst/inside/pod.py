"""The entry point of a code-check pod: the fork server, with this pod's shard, in a clean environment.

Standard library only. Kubernetes puts addresses and names into the environment, which programs
would see and could print; so it is left behind. `/in/<index>` is the shard of this index of the Job.
"""

import os
import sys

ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONPATH": "/opt",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "PYTHONIOENCODING": "utf-8:strict",
    "MALLOC_ARENA_MAX": "1",
}


def main() -> None:
    """Become the fork server."""
    zygote = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")  # noqa: PTH100, PTH118, PTH120
    os.chdir("/")
    shard = f"/in/{os.environ['JOB_COMPLETION_INDEX']}"
    os.execve(sys.executable, [sys.executable, "-s", "-P", zygote, shard], ENVIRONMENT)


if __name__ == "__main__":
    main()
