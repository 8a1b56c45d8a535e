"""Sandboxes that die, hang or outlive: no verdict is wrong, lost or doubled, and nothing stays."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import programs
from mmst.core.errors import SandboxError, SetupError
from mmst.core.ports import Limits, Program
from mmst.sandbox.providers import gvisor_box, gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox
from tests.support.processes import marked

pytestmark = pytest.mark.gvisor
LIMITS = Limits(timeout=20.0)


@pytest.fixture
def box() -> Iterator[GvisorSandbox]:
    try:
        with GvisorSandbox(2, evaluate=False) as made:
            yield made
    except SetupError as e:
        pytest.skip(f"no usable gVisor here: {e}")


def children(pid: int) -> list[int]:
    """The processes that a `runsc run` started, from whichever of its threads: the sandbox and its gofer."""
    return [int(p) for path in Path(f"/proc/{pid}/task").glob("*/children") for p in path.read_text().split()]


def processes_of(driver: int) -> list[int]:
    """The live processes of all sandboxes that the process `driver` started."""
    return marked(f"mmst-{driver}-")


def hit(box: GvisorSandbox, number: int, which: str) -> None:
    """Send a signal to one of the sandbox's processes, or to `runsc run` itself."""
    busy = [b._process.pid for b in box._busy()]
    pids = busy if which == "runsc" else [child for pid in busy for child in children(pid)]
    if pids:
        os.kill(random.choice(pids), number)


@pytest.mark.parametrize("which", ["runsc", "sandbox or gofer"])
def test_killed_sandboxes_cost_no_verdict(box: GvisorSandbox, which: str) -> None:
    n, found = 48, []
    for e in box.run([Program(id=str(i), source=f"print({i} * 3)") for i in range(n)], LIMITS):
        found.append(e)
        if len(found) % 16 == 8:
            hit(box, signal.SIGKILL, which)
    assert sorted(int(e.id) for e in found) == list(range(n))
    assert all((e.exit_status, e.stdout) == ("ok", f"{int(e.id) * 3}\n") for e in found)


def test_random_kills_among_700_programs_cost_no_verdict() -> None:
    cases = {case.id: case for case in programs.mixed(700, seed=3) if case.exit_status in ("ok", "crashed")}
    kills, found = 0, []
    with GvisorSandbox(2, evaluate=False) as box:
        asked = [Program(id=case.id, source=case.source) for case in cases.values()]
        for e in box.run(asked, LIMITS):
            found.append(e)
            if len(found) % 35 == 17:
                hit(box, signal.SIGKILL, random.choice(["runsc", "sandbox or gofer"]))
                kills += 1
    assert kills >= 15
    assert len(found) == len(cases)
    assert {e.id for e in found} == set(cases)
    for e in found:
        case = cases[e.id]
        assert (e.exit_status, case.stdout or e.stdout) == (case.exit_status, e.stdout), case


def test_killed_evaluators_cost_no_verdict() -> None:
    cases = {case.id: case for case in programs.good(400, seed=4)}
    found = []
    with GvisorSandbox(2) as box:
        for e in box.run([Program(id=case.id, source=case.source) for case in cases.values()], LIMITS):
            found.append(e)
            if len(found) in (100, 250):
                for evaluator in list(box._evaluators):
                    for pid in children(evaluator._process.pid):
                        os.kill(pid, signal.SIGKILL)
    assert {e.id for e in found} == set(cases)
    assert all((e.exit_status, e.stdout) == ("ok", cases[e.id].stdout) for e in found)


def test_a_hanging_sandbox_is_noticed_and_replaced(box: GvisorSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gvisor_box, "GRACE_SECONDS", 3.0)
    asked = [Program(id=str(i), source=f"print({i})") for i in range(12)]
    found = []
    for e in box.run(asked, Limits(timeout=3.0)):
        found.append(e)
        if len(found) == 4:
            busy = next(b for b in box._pool if b.works)
            for pid in children(busy._process.pid):
                os.kill(pid, signal.SIGSTOP)
    assert sorted((int(e.id), e.stdout) for e in found) == [(i, f"{i}\n") for i in range(12)]
    assert len(processes_of(os.getpid())) <= 6


@contextlib.contextmanager
def killer(box: GvisorSandbox, wanted: Callable[[gvisor_box.Box], bool], most: int = 1000) -> Iterator[None]:
    """Kill up to `most` sandboxes that are `wanted`, as soon as they are there."""

    def kill() -> None:
        killed = set[str]()
        while not over.wait(0.02) and len(killed) < most:
            for b in [b for b in box._pool if wanted(b)]:
                with contextlib.suppress(OSError):
                    for pid in children(b._process.pid):
                        os.kill(pid, signal.SIGKILL)
                        killed.add(b.id)

    over = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_program_that_takes_every_sandbox_down_ends_in_an_error_that_names_it(box: GvisorSandbox) -> None:
    asked = [Program(id="a", source="print(1)"), Program(id="poison", source="import time; time.sleep(9)")]
    found: list[Any] = []
    with (
        killer(box, lambda b: b.ready and any(work.id == "poison" for work in b.works)),
        pytest.raises(SandboxError, match=r"3 sandboxes in a row .* 'poison'"),
    ):
        found.extend(e.stdout for e in box.run(asked, LIMITS))
    assert found == ["1\n"]


def test_sandboxes_that_are_killed_while_they_start_cost_no_verdict(box: GvisorSandbox) -> None:
    asked = [Program(id=str(i), source=f"import time; time.sleep(0.3); print({i})") for i in range(6)]
    with killer(box, lambda b: not b.ready, most=2):
        found = {e.id: e.stdout for e in box.run(asked, LIMITS)}
    assert found == {str(i): f"{i}\n" for i in range(6)}


def test_where_no_sandbox_starts_any_more_the_run_ends_in_an_error(box: GvisorSandbox) -> None:
    asked = [Program(id=str(i), source="import time; time.sleep(5)") for i in range(3)]
    with killer(box, lambda b: not b.ready), pytest.raises(SandboxError, match="could not start"):
        list(box.run(asked, LIMITS))
    assert [e.stdout for e in box.run([Program(id="b", source="print(2)")], LIMITS)] == ["2\n"]


DRIVER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children inherit that it is ignored
from mmst.sandbox.providers.gvisor import GvisorSandbox
from mmst.core.ports import Limits, Program
with GvisorSandbox(2, evaluate=False) as box:
    programs = [Program(id=str(i), source="while True: pass" if i else "print(1)") for i in range(3)]
    for e in box.run(programs, Limits(timeout=60)):
        print(e.stdout, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_driver(number: int) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert driver.stdout
    try:
        assert driver.stdout.readline() == b"1\n"
        assert processes_of(driver.pid)
        driver.send_signal(number)
        driver.wait(20)
        end = time.monotonic() + 20
        while processes_of(driver.pid) and time.monotonic() < end:
            time.sleep(0.1)
        assert processes_of(driver.pid) == []
        gvisor_box.sweep()
        assert not list((gvisor_root.cache() / "state").glob(f"*mmst-{driver.pid}-*"))
    finally:
        driver.kill()
        driver.stdout.close()


def test_nothing_is_left_after_the_context(box: GvisorSandbox) -> None:
    with GvisorSandbox(2) as other:
        assert len(list(other.run([Program(id=str(i), source="") for i in range(8)], LIMITS))) == 8
        ids = [b.id for b in (*other._evaluators, *other._pool)]
    alive = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
    assert ids
    assert not [i for i in ids if i.encode() in alive]


def test_programs_from_a_file_go_on_after_kill_9_with_the_same_verdicts(tmp_path: Path) -> None:
    cases = [c for c in programs.mixed(300, seed=7) if c.exit_status in ("ok", "crashed")]
    source, once, again = tmp_path / "in", tmp_path / "once", tmp_path / "again"
    source.write_text("".join(json.dumps({"id": c.id, "program": c.source}) + "\n" for c in cases))
    command = [sys.executable, "-m", "mmst.cli.app", "check-programs", str(source), "--timeout", "20", "--out"]
    subprocess.run([*command, str(once)], check=True, capture_output=True)
    killed = subprocess.Popen([*command, str(again)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = tmp_path / "again.partial"
    while not partial.exists() or partial.read_bytes().count(b"\n") < 30:
        assert killed.poll() is None, "it was over before it could be killed"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    kept = partial.read_bytes().count(b"\n") - 1
    assert kept < len(cases)
    assert not again.exists()
    subprocess.run([*command, str(again)], check=True, capture_output=True)
    measured = ("seconds", "peak_mib")
    first, second = ([json.loads(line) for line in f.read_text().splitlines()] for f in (once, again))
    for line in (*first, *second):
        for name in measured:
            del line[name]
    assert first == second
    assert [line["id"] for line in first] == [c.id for c in cases]
