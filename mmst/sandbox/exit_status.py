"""How a program ended, from the end of its process. Pure; every sandbox uses the same rules."""

from __future__ import annotations

import re
import signal
from collections import Counter
from dataclasses import dataclass, field

from mmst.core.ports import ExitStatus, Limits
from mmst.sandbox.guest.packages import KNOWN

FILE = "<program>"
"""The file name under which a program is compiled, so that a traceback shows its lines."""

_LINE = re.compile(rf'^ *File "{re.escape(FILE)}", line (\d+)', re.MULTILINE)
_EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$", re.MULTILINE)
_BARE = re.compile(r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning))(?:: (.*))?$", re.MULTILINE)


_NO_MEMORY = re.compile(r"(numpy\.[\w.]+\._Array)?MemoryError")
_NO_MODULE = re.compile(r"No module named '(\w+)'")
_MISSING = re.compile(r"(\w+) is not in the sandbox(?:; (?:check\.|--)packages)?")
_FORBIDDEN = re.compile(r"\[Errno 1\]")
_STARTS_PROCESS = re.compile(
    r", in (?:_execute_child|_fork_exec|_launch|_spawn\w*|fork\w*|popen)\b"
    r"|\bos\.(?:fork\w*|posix_spawnp?|exec\w+|spawn\w+)\b"
)


def exit_status(*, status: int, cut: str, stderr: str, limits: Limits, keyed: bool = True) -> tuple[ExitStatus, str]:
    """(`Execution.exit_status`, `Execution.detail`) of a process that has ended.

    `status` is its exit status, negative for a signal; `cut` says why the sandbox killed it
    ("time", "output", or "" when it did not); `keyed` says whether check.packages decides what it may import.

    >>> text = 'Traceback:\\n  File "<program>", line 3, in <module>\\nZeroDivisionError: division by zero\\n'
    >>> exit_status(status=1, cut="", stderr=text, limits=Limits())
    ('crashed', 'ZeroDivisionError, line 3: division by zero')
    """
    if cut == "time" or status == -signal.SIGXCPU:
        return "timed_out", f"did not end within {limits.timeout:g} s"
    if cut == "output":
        return "output_limit", f"wrote more than {limits.output_kib} KiB"
    if status == 0:
        return "ok", ""
    if status < 0:
        return "crashed", f"killed by {_signal_name(-status)}"
    name, line, message = _exception(stderr)
    if _NO_MEMORY.fullmatch(name):
        return "out_of_memory", f"needed more than {limits.memory_mib} MiB" + (f", line {line}" if line else "")
    missing = _NO_MODULE.fullmatch(message) if name == "ModuleNotFoundError" else None
    if missing:
        known = keyed and missing[1] in KNOWN
        return "crashed", f"{missing[1]} is not in the sandbox" + ("; check.packages" if known else "")
    if name == "PermissionError" and _FORBIDDEN.match(message):
        what = "the sandbox forbids new processes" if _STARTS_PROCESS.search(stderr) else "the sandbox forbids it"
        message = f"{what} ({message})"
    if not name:
        return "crashed", f"exit status {status}"
    message = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in message[:200])
    return "crashed", name + (f", line {line}" if line else "") + (f": {message}" if message else "")


def missing_package(detail: str) -> str | None:
    """The module that a program lacked, from `Execution.detail`; None if it failed for another reason.

    >>> missing_package("sympy is not in the sandbox; check.packages"), missing_package("KeyError, line 1: 'sympy'")
    ('sympy', None)
    """
    found = _MISSING.fullmatch(detail)
    return found[1] if found else None


@dataclass(slots=True)
class Tally:
    """The count of each verdict, and of each package that crashed programs lacked.

    >>> tally = Tally()
    >>> tally.add("crashed", "requests is not in the sandbox")
    >>> dict(tally.verdicts), dict(tally.lacks)
    ({'crashed': 1}, {'requests': 1})
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    lacks: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: str, detail: str) -> None:
        """Count one program."""
        self.verdicts[verdict] += 1
        package = missing_package(detail)
        if package is not None:
            self.lacks[package] += 1


def _exception(stderr: str) -> tuple[str, str, str]:
    """(name, line, message) of the traceback that ends `stderr`; empty strings if there is none."""
    lines = list(_LINE.finditer(stderr))
    if lines:
        found = _EXCEPTION.search(stderr, lines[-1].end())
        if found:
            return found[1], lines[-1][1], found[2] or ""
    bare = list(_BARE.finditer(stderr))
    return (bare[-1][1], "", bare[-1][2] or "") if bare else ("", "", "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
