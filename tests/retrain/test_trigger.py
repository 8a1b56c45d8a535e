"""One run per content: whoever crashes, freezes or races, and wherever."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmst.core.config import parse
from mmst.retrain.trigger import Record, Run, Triggered, attach, ensure, name_of

NAME, SUBMITTED = "retrain-0123456789ab", "demo-1a2b3c"


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Made:
    id: str
    name: str
    live: bool = True


class World:
    """One server for records, one for runs, one time; what really happened."""

    def __init__(self) -> None:
        self.time = 0.0
        self.record: Record | None = None
        self.version = 0
        self.runs: list[Made] = []

    @property
    def live(self) -> list[str]:
        return [run.id for run in self.runs if run.live]


class Process(threading.Thread):
    """Calls `ensure`; does one step at a time, when told to; may die at a step, before or after its effect."""

    def __init__(self, world: World, dies_at: int = -1, after: bool = False, how: str = "alone") -> None:
        super().__init__(daemon=True)
        self.world, self.dies_at, self.after, self.how = world, dies_at, after, how
        self.go, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.steps = 0
        self.ended = False
        self.result: Triggered | None = None
        self.start()
        self.done.acquire()

    def run(self) -> None:
        try:
            self._pause()
            if self.how == "alone":
                self.result = ensure(NAME, self, RunsOf(self), self)
            else:
                call = ensure if self.how == "trigger" else attach
                self.result = call(NAME, self, RunsOf(self), self, submitted=SUBMITTED, version="v")
        except Crash:
            pass
        finally:
            self.ended = True
            self.done.release()

    def step(self) -> None:
        self.go.release()
        self.done.acquire()

    def _pause(self) -> None:
        self.done.release()
        self.go.acquire()

    def begin(self) -> None:
        """Wait for the turn; dies here when it should die before the effect."""
        self._pause()
        self.steps += 1
        if self.steps == self.dies_at and not self.after:
            raise Crash

    def end(self) -> None:
        if self.steps == self.dies_at and self.after:
            raise Crash

    # --- what `ensure` sees --------------------------------------------------------------------

    def monotonic(self) -> float:
        return self.world.time

    def sleep(self, seconds: float) -> None:
        wake = self.world.time + seconds
        self._pause()
        self.world.time = max(self.world.time, wake)

    def read(self, name: str) -> tuple[Record, str] | None:
        self.begin()
        found = (self.world.record, str(self.world.version)) if self.world.record else None
        self.end()
        return found

    def create(self, record: Record) -> None:
        self.begin()
        if self.world.record is None:
            self._write(record)
        self.end()

    def replace(self, record: Record, version: str) -> None:
        self.begin()
        if version == str(self.world.version):
            self._write(record)
        self.end()

    def _write(self, record: Record) -> None:
        self.world.record, self.world.version = record, self.world.version + 1


class RunsOf:
    """The pipeline server, as one process sees it."""

    def __init__(self, process: Process) -> None:
        self.process, self.world = process, process.world

    def named(self, name: str) -> Sequence[Run]:
        self.process.begin()
        made = [r for r in self.world.runs if r.name == name]
        found = [Run(id=r.id, live=r.live, state="RUNNING" if r.live else "CANCELED", version="v") for r in made]
        self.process.end()
        return found

    def create(self, name: str) -> str:
        self.process.begin()
        made = f"run-{len(self.world.runs)}"
        self.world.runs.append(Made(made, name))
        self.process.end()
        return made

    def terminate(self, run: str) -> None:
        self.process.begin()
        next(r for r in self.world.runs if r.id == run).live = False
        self.process.end()


def finish(process: Process) -> Process:
    for _ in range(10_000):
        if process.ended:
            return process
        process.step()
    raise AssertionError("it never ends")


def crashes() -> Iterator[tuple[int, bool]]:
    """Every step of an undisturbed process, before and after its effect."""
    whole = finish(Process(World()))
    return itertools.product(range(1, whole.steps + 1), (False, True))


def test_one_process_makes_one_run_and_the_next_one_finds_it() -> None:
    world = World()
    first, second = finish(Process(world)).result, finish(Process(world)).result
    assert first is not None
    assert first.made
    assert second == replace(first, made=False)
    assert len(world.runs) == 1


@pytest.mark.parametrize(("first", "second"), itertools.product(list(crashes()), repeat=2))
def test_a_crash_at_any_step_and_another_at_any_step_leave_one_run(
    first: tuple[int, bool], second: tuple[int, bool]
) -> None:
    world = World()
    finish(Process(world, *first))
    finish(Process(world, *second))
    result = finish(Process(world)).result
    assert result is not None
    assert [run.id for run in world.runs] == [result.run]


@pytest.mark.parametrize("crash", list(crashes()))
def test_of_eight_that_race_and_one_that_dies_exactly_one_makes_a_run(crash: tuple[int, bool]) -> None:
    world = World()
    racing = [Process(world, *crash), *(Process(world) for _ in range(7))]
    while not all(p.ended for p in racing):
        for p in racing:
            if not p.ended:
                p.step()
    assert len(world.runs) == 1
    assert {p.result.run for p in racing if p.result} == {world.runs[0].id}
    assert sum(p.result.made for p in racing if p.result) <= 1


STEPS = finish(Process(World())).steps


@pytest.mark.parametrize(("frozen", "dies"), itertools.product(range(STEPS), (-1, *range(1, STEPS + 1))))
def test_a_process_frozen_beyond_its_lease_leaves_one_live_run_when_it_wakes(frozen: int, dies: int) -> None:
    world = World()
    slow = Process(world, dies)
    while not slow.ended and slow.steps < frozen:
        slow.step()
    other = finish(Process(world)).result
    finish(slow)
    last = finish(Process(world)).result
    assert last is not None
    assert other is not None
    assert world.live == [last.run] == [other.run]
    assert slow.result is None or slow.result.run == last.run


def test_a_holder_that_wakes_after_its_lease_ends_the_second_run_that_it_made() -> None:
    world = World()
    slow = Process(world)
    while slow.steps < 4:  # read, create the record, read, find no run; about to create one
        slow.step()
    finish(Process(world))
    finish(slow)
    assert (len(world.runs), len(world.live)) == (2, 1)


turns = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=40)
deaths = st.tuples(st.one_of(st.just(-1), st.integers(1, 12)), st.booleans())


@settings(max_examples=300, deadline=None)
@given(turns=turns, deaths=st.lists(deaths, min_size=3, max_size=3))
def test_frozen_and_dying_processes_in_any_order_leave_one_live_run(
    turns: list[tuple[int, int]], deaths: list[tuple[int, bool]]
) -> None:
    world = World()
    racing = [Process(world, *death) for death in deaths]
    for which, times in turns:
        for _ in range(times):
            if not racing[which].ended:
                racing[which].step()
    for process in racing:
        finish(process)
    last = finish(Process(world)).result
    assert last is not None
    assert world.live == [last.run]
    assert {p.result.run for p in racing if p.result} <= {last.run}


def call(world: World, how: str) -> Triggered:
    result = finish(Process(world, how=how)).result
    assert result is not None
    return result


@pytest.mark.parametrize(("first", "second"), itertools.product(("submit", "trigger"), repeat=2))
def test_submit_and_trigger_find_each_others_runs(first: str, second: str) -> None:
    world = World()
    made, found = call(world, first), call(world, second)
    assert made.made
    assert (found.run, found.made, found.state) == (made.run, False, "RUNNING")


def test_submitting_what_failed_makes_another_run_which_trigger_then_finds() -> None:
    world = World()
    call(world, "trigger")
    world.runs[0].live = False
    assert not call(world, "trigger").made
    again = call(world, "submit")
    assert again.made
    assert call(world, "trigger").run == again.run
    assert world.live == [again.run]


@pytest.mark.parametrize("failed", [False, True])
def test_of_those_that_submit_and_trigger_at_once_one_makes_a_run(failed: bool) -> None:
    world = World()
    if failed:
        call(world, "submit")
        world.runs[0].live = False
    how = ("submit",) * 4 if failed else ("submit", "trigger") * 3  # a trigger takes a failed run for the one there is
    racing = [Process(world, how=each) for each in how]
    while not all(p.ended for p in racing):
        for p in racing:
            if not p.ended:
                p.step()
    assert len(world.live) == 1
    assert len(world.runs) == 1 + failed
    assert {p.result.run for p in racing if p.result} == set(world.live)


def test_the_name_follows_from_recipe_and_code_and_nothing_else() -> None:
    recipe = {"name": "mine", "sampling": {"k": 4}}
    name = name_of(parse(recipe))
    assert name == name_of(parse(recipe | {"out": "s3://elsewhere", "cluster": {"namespace": "other"}}))
    assert name != name_of(parse(recipe | {"sampling": {"k": 5}}))
    assert name != name_of(parse(recipe | {"cluster": {"pipeline_image": "mmst/pipeline:other"}}))
    assert len(name) <= 63
