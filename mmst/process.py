"""How a stage's process behaves towards the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

from mmst.errors import Stopped

PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Ask Linux to end this process when its parent ends, also by kill -9.

    Without it a killed run would leave its stage working beside the one that continues it.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            os._exit(1)


def stop_on_signals() -> None:
    """Turn SIGTERM and Ctrl-C into `Stopped`, so that what is open is closed properly."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(f"stopped by {signal.Signals(number).name}; the same command continues")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
