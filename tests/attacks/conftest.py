"""Says which gVisor the attacks met."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest


def gvisor() -> str:
    """`runsc 0.0~20221219.0, platform ptrace unless a test says otherwise`, without starting a sandbox."""
    if shutil.which("runsc") is None:
        return "none"
    version, flags = (
        subprocess.run(["runsc", word], capture_output=True, text=True, check=False) for word in ("--version", "flags")
    )
    default = re.search(r'which platform to use.*\(default "?(\w+)', flags.stdout + flags.stderr)
    name = (version.stdout.splitlines() or ["unusable"])[0].replace(" version", "")
    return f"{name}, default platform {default[1] if default else 'unknown'}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last line, which -q does not hide as it does the header."""
    terminalreporter.write_line(f"gVisor of the attacks: {gvisor()}")


@pytest.fixture(scope="session", autouse=True)
def _gvisor_in_the_report(record_testsuite_property: object) -> None:
    assert callable(record_testsuite_property)
    record_testsuite_property("gvisor", gvisor())
