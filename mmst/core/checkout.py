"""Which commit of MMST runs here: of a checkout what git says, of an image what it was built from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the package: in a checkout that of the repository."""
REVISION = "MMST_REVISION"
"""The variable in which an image says from which commit it was built."""


def commit(root: Path = ROOT) -> str:
    """The commit, and `-dirty` after it where tracked files differ from it; "" for a wheel, or where git cannot say."""
    if not (root / ".git").exists():
        return os.environ.get(REVISION, "")
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
