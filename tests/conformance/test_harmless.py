"""Programs that are proven harmless end alike whether they share a process or have their own."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from bench.programs import endless
from mmst.backends.gvisor import GvisorSandbox
from mmst.harmless import Proof, proof
from mmst.ports import Limits, Program
from tests.programs import program

from .sandboxes import gvisor

pytestmark = pytest.mark.gvisor
LIMITS = Limits(timeout=20.0)


@pytest.fixture(scope="module")
def together() -> Iterator[GvisorSandbox]:
    made = gvisor()
    with made:
        yield made


@pytest.fixture(scope="module")
def alone() -> Iterator[GvisorSandbox]:
    gvisor().__exit__()
    with GvisorSandbox(2, bundle=1) as made:
        yield made


def ends(box: GvisorSandbox, sources: list[str]) -> dict[str, tuple[str, str, str, str]]:
    programs = [Program(id=str(i), source=source) for i, source in enumerate(sources)]
    return {e.id: (e.outcome, e.stdout, e.stderr, e.detail) for e in box.run(programs, LIMITS)}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_sharing_a_process_changes_nothing(together: GvisorSandbox, alone: GvisorSandbox, count: int) -> None:
    sources, seed = list[str](), 0
    while len(sources) < count:
        source = program(seed)
        seed += 1
        if proof(source) is Proof.ENDS:
            sources.append(source)
    shared, single = ends(together, sources), ends(alone, sources)
    for i, source in enumerate(sources):
        assert shared[str(i)] == single[str(i)], source
    outcomes = {end[0] for end in single.values()}
    assert outcomes == {"ok", "crashed"}, "a set in which nothing fails, or that does not end, shows too little"


def test_what_is_proven_never_to_end_does_not(alone: GvisorSandbox) -> None:
    random_, sources = random.Random(5), list[str]()
    sources += [s for s in (program(seed) for seed in range(4000)) if proof(s) is Proof.NEVER_ENDS][:10]
    sources += [s for s in (endless(random_) for _ in range(60)) if proof(s) is Proof.NEVER_ENDS][:10]
    assert len(sources) >= 12
    programs = [Program(id=str(i), source=source) for i, source in enumerate(sources)]
    assert {e.outcome for e in alone.run(programs, Limits(timeout=1.0))} == {"timed_out"}
