"""The processes of this machine that tests look for and wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once it holds; it must within that time, however busy the machine is."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds:g} s"
        time.sleep(0.02)


def marked(text: str, where: str = "cmdline") -> list[int]:
    """Those with a text in their command line, or in their `environ`."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{where}"):
        try:
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
