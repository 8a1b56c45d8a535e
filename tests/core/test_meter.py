"""Time: a program has had its time by CPU time, by its own sleep, or in the end by the clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from mmst.core.meter import SEVERAL, Allowance, Meter

SPIN = "while True: pass"
SLEEP = "import time\ntime.sleep(99)"


class Given(Meter):
    """A meter that says what it is told to."""

    def __init__(self) -> None:
        self.used, self.asked_for = 0.0, 0.0

    def cpu(self) -> float:
        return self.used

    def wanted(self) -> float:
        return self.asked_for

    def ready(self) -> bool:
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_it_is_watched_but_not_over_before_the_limit_has_passed_on_the_clock(clock: list[float]) -> None:
    given = Given()
    given.used = 5.0
    allowance = Allowance(given, 2.0)
    given.used = 9.0
    for seconds, soon in ((1.5, 0.2), (0.4, 0.1)):
        clock[0] += seconds
        assert allowance.look() == pytest.approx(soon)
        assert not allowance.over


def test_it_is_over_when_the_cpu_time_is_used(clock: list[float]) -> None:
    given = Given()
    allowance = Allowance(given, 2.0)
    clock[0], given.used = clock[0] + 2, 2.0
    assert (allowance.look(), allowance.over, allowance.held_up) == (0.0, True, False)
    assert allowance.story == "did not end within 2 s"


def test_who_could_not_run_gets_the_rest_of_its_time(clock: list[float]) -> None:
    given = Given()
    allowance = Allowance(given, 2.0)
    for _ in range(10):
        clock[0], given.used, given.asked_for = clock[0] + 1, given.used + 0.15, given.asked_for + 1
        assert allowance.look() > 0
    clock[0], given.used = clock[0] + 4, 2.0
    assert (allowance.look(), allowance.over) == (0.0, True)


def test_who_sleeps_is_not_waited_for(clock: list[float]) -> None:
    allowance = Allowance(Given(), 2.0)
    while allowance.look():
        clock[0] += 0.2
    assert clock[0] - 100 == pytest.approx(2.0, abs=0.3)
    assert not allowance.held_up


def test_who_could_not_run_before_it_sleeps_has_not_slept_all_the_time(clock: list[float]) -> None:
    """A program of a short sleep on a busy machine: it wants to run for 1.9 s, then sleeps for half a second."""
    given = Given()
    allowance = Allowance(given, 2.0)
    for i in range(24):
        assert allowance.look() > 0
        clock[0] += 0.1
        given.asked_for += 0.1 if i < 19 else 0.0


def test_sleep_between_work_counts_by_its_share(clock: list[float]) -> None:
    given = Given()
    allowance = Allowance(given, 2.0)
    for _ in range(20):
        clock[0] += 0.2
        given.used, given.asked_for = given.used + 0.04, given.asked_for + 0.04
        if not allowance.look():
            break
    assert 2.0 < clock[0] - 100 < 3.0
    assert not allowance.held_up


def test_who_waits_for_a_cpu_does_not_sleep(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Given, "ready", lambda _: True)
    allowance = Allowance(Given(), 2.0)
    for _ in range(9):
        clock[0] += 1
        assert allowance.look() > 0


def test_a_wait_that_is_booked_only_when_it_ends_is_no_sleep(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel books a wait for a CPU when it is over: each of these is seen when a quarter of it is booked."""
    booked, given = [False], Given()
    monkeypatch.setattr(Given, "ready", lambda _: not booked[0])
    allowance = Allowance(given, 2.0)
    for _ in range(30):
        for part in (0.1, 0.3):
            clock[0] += 0.2
            given.asked_for, booked[0] = given.asked_for + part, part == 0.3
            assert allowance.look() > 0


def test_in_the_end_the_clock_decides_and_the_story_says_so(clock: list[float]) -> None:
    given = Given()
    allowance = Allowance(given, 2.0)
    for _ in range(16):
        clock[0], given.used, given.asked_for = clock[0] + 1, given.used + 0.01, given.asked_for + 1
        allowance.look()
    assert (allowance.over, allowance.held_up) == (True, True)
    assert allowance.story == "did not end within 16 s, in which it had 0.16 s of CPU time"
    assert allowance.most == 2 * SEVERAL


@pytest.mark.parametrize(("source", "least", "most"), [(SPIN, 0.2, None), (SLEEP, 0.0, 0.2)])
def test_a_meter_counts_what_a_process_and_its_children_take(source: str, least: float, most: float | None) -> None:
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {source!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        found = Meter(process.pid)
        try:
            time.sleep(1.0)
            began, before, wanted = time.monotonic(), found.cpu(), found.wanted()
            time.sleep(1.0)
            while found.cpu() - before < least and time.monotonic() - began < 60:  # others work here too
                time.sleep(0.2)
            taken = found.cpu() - before
            assert least <= taken <= (most or time.monotonic() - began + 0.2)
            assert taken <= found.wanted() - wanted + 0.05
        finally:
            for pid in reversed(found._pids()):
                os.kill(pid, 9)


def test_a_process_that_is_gone_takes_nothing() -> None:
    assert Meter(2**22 + 1).cpu() == 0.0
    assert Meter(2**22 + 1).wanted() == 0.0
