"""A machine that is busy with other things: it takes no program's time away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from mmst.core.ports import Limits, Program, Sandbox
from tests.support.sandboxes import box

__all__ = ["box"]

WORK = "import os\nn = 0\nfor i in range({}):\n    n += i % 7\nprint(n)"
"""A program of nothing but arithmetic; the import keeps it from being evaluated."""


@pytest.fixture(scope="module")
def turns() -> int:
    """As many turns of `WORK` as take 0.15 s of CPU time here."""
    began = time.process_time()
    exec(WORK.format(1_000_000).replace("print", "str"), {})
    return int(1_000_000 * 0.15 / (time.process_time() - began))


@pytest.fixture
def busy() -> Iterator[int]:
    """Six processes a core that never rest."""
    n = 6 * (os.cpu_count() or 1)
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield n
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def test_a_program_has_its_cpu_time_however_busy_the_machine(box: Sandbox, busy: int, turns: int) -> None:
    limits = Limits(timeout=0.6)
    found = list(box.run([Program(id=str(i), source=WORK.format(turns + i)) for i in range(4)], limits))
    assert [(e.exit_status, e.detail) for e in found] == [("ok", "")] * 4
    assert max(e.seconds for e in found) > limits.timeout, "the machine was not busy: this shows nothing"


def test_an_endless_one_is_stopped_on_a_busy_machine_too(box: Sandbox, busy: int) -> None:
    limits = Limits(timeout=0.3)
    sources = ["while True: pass", "import time\ntime.sleep(99)"]
    found = {e.id: e for e in box.run([Program(id=s, source=s) for s in sources], limits)}
    assert [found[s].exit_status for s in sources] == ["timed_out"] * 2
    assert all(e.detail.startswith("did not end within") for e in found.values())
