"""Runs a command in a control group of its own: seconds, CPU seconds of everything it started, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_V1 = {"cpu": "cpuacct", "memory": "memory"}
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took; CPU seconds and MiB are None where control groups cannot be made."""

    seconds: float
    cpu: float | None
    peak_mib: float | None
    stdout: str


def measure(command: Sequence[str], **environment: str) -> Measured:
    """Run the command to its end; raises `CalledProcessError` when it fails."""
    groups = [folder / f"mmst-bench-{os.getpid()}" for folder in _folders()]
    try:
        for group in groups:
            group.mkdir()
    except OSError:
        groups = []

    def join() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    began = time.monotonic()
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=join, env=os.environ | environment
        )
        seconds = time.monotonic() - began
        return Measured(seconds, _cpu(groups), _peak(groups), done.stdout)
    finally:
        time.sleep(0.3)  # what was killed leaves the group
        for group in groups:
            group.rmdir()


def _folders() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [_ROOT / name for name in _V1.values() if (_ROOT / name).is_dir()]


def _read(groups: list[Path], *names: str) -> str | None:
    found = [group / name for group in groups for name in names if (group / name).exists()]
    return found[0].read_text() if found else None


def _cpu(groups: list[Path]) -> float | None:
    v1, v2 = _read(groups, "cpuacct.usage"), _read(groups, "cpu.stat")
    if v1 is not None:
        return int(v1) / 1e9
    return int(v2.split()[1]) / 1e6 if v2 else None


def _peak(groups: list[Path]) -> float | None:
    found = _read(groups, "memory.max_usage_in_bytes", "memory.peak")
    return None if found is None else int(found) / (1 << 20)
