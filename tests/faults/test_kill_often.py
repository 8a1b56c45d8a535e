"""Kill -9 at random moments of a run, again and again: nothing is left at work, and the same comes out."""

import time
from pathlib import Path

import pytest

from tests.support.kill import Victim, killed_often, wait_for_stage

pytestmark = [pytest.mark.gvisor]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_kills_of_the_stages_change_nothing(tmp_path: Path) -> None:
    whole, killed = Victim(tmp_path / "whole", whole=False), Victim(tmp_path / "killed", whole=False)
    whole.finish()
    moments = killed_often(killed, 5, seed=3, files=whole.written() // 5)
    assert len(moments) >= 3
    killed.finish()
    assert killed.digests() == whole.digests()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_kills_of_a_whole_run_change_nothing(tmp_path: Path) -> None:
    whole, killed = Victim(tmp_path / "whole", whole=True), Victim(tmp_path / "killed", whole=True)
    seconds = whole.finish()
    began = time.monotonic()
    moments = killed_often(killed, 20, seed=7, files=whole.written() // 20)
    last = killed.finish()
    print(
        f"undisturbed {seconds:.0f} s; {len(moments)} kills after (s, files) {moments}; "
        f"{time.monotonic() - began:.0f} s in all, the last start {last:.0f} s; {len(whole.digests())} stages"
    )
    assert killed.digests() == whole.digests()
    assert len(moments) >= 15


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_kills_of_a_run_with_a_teacher_change_nothing(tmp_path: Path) -> None:
    teacher = {"teachers": {"big": {"base": "mmst:tiny"}}}
    whole, killed = (Victim(tmp_path / name, whole=True, also=teacher) for name in ("whole", "killed"))
    whole.finish()
    moments = killed_often(killed, 10, seed=11, files=whole.written() // 10)
    assert len(moments) >= 8
    killed.finish()
    assert any(".teacher:big." in place for place in whole.digests())
    assert killed.digests() == whole.digests()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("delays", [(0.0, 0.4, 1.2, 2.5)])
def test_a_kill_at_any_moment_of_its_start_leaves_no_process(tmp_path: Path, delays: tuple[float, ...]) -> None:
    sweep(tmp_path, delays)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_sweep_of_kills_over_the_start_leaves_no_process(tmp_path: Path) -> None:
    sweep(tmp_path, [n / 4 for n in range(40)])


@pytest.mark.timeout(600)
def test_a_kill_while_a_stage_starts_leaves_no_process(tmp_path: Path) -> None:
    kill_starting_stages(tmp_path, [0.0, 0.5])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_over_the_starts_of_stages_leave_no_process(tmp_path: Path) -> None:
    kill_starting_stages(tmp_path, [n / 10 for n in range(20)])


def kill_starting_stages(folder: Path, moments: list[float]) -> None:
    """Kill the run when the process of one of its first three stages has had so many seconds of CPU time."""
    victim = Victim(folder / "run", whole=True)
    for number, moment in enumerate(moments):
        child = victim.start()
        wait_for_stage(child, number % 3, moment)
        below = victim.kill(child)
        assert victim.left(below) == [], f"killed in stage {number % 3 + 1}, after {moment} s of its CPU time"


def sweep(folder: Path, delays: tuple[float, ...] | list[float]) -> None:
    victim = Victim(folder / "run", whole=True)
    for delay in delays:
        child = victim.start()
        time.sleep(delay)
        below = victim.kill(child)
        assert victim.left(below) == [], f"killed after {delay} s"
