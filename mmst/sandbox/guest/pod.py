"""The entry point of a code-check pod: the fork server, with this pod's shard, in a clean environment.

Standard library only. Kubernetes puts addresses and names into the environment, which programs
would see and could print; only what the image sets is kept. `/in/<index>` is the shard of this
index of the Job.
"""

import os
import sys

KEPT = (
    "PATH", "HOME", "LANG", "TZ", "PYTHONHOME", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE",
    "PYTHONUTF8", "PYTHONIOENCODING", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS", "USER",
)  # fmt: skip


def main() -> None:
    """Become the fork server."""
    zygote = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")  # noqa: PTH100, PTH118, PTH120
    os.chdir("/")
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    shard = f"/in/{os.environ['JOB_COMPLETION_INDEX']}"
    os.execve(sys.executable, [sys.executable, "-s", "-P", zygote, shard], kept)


if __name__ == "__main__":
    main()
