"""The processes of this machine that tests look for."""

from __future__ import annotations

from pathlib import Path


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
