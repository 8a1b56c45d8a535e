"""What the sandbox tests share: the sandboxes, and one program or many run in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mmst.core.errors import SetupError
from mmst.core.ports import Execution, Limits, Program, Sandbox
from mmst.sandbox.providers.gvisor import GvisorSandbox
from mmst.sandbox.providers.subprocess import SubprocessSandbox

AMPLE = Limits(timeout=20.0)
"""For programs that must not be cut, on a machine that is busy with other things."""


def gvisor(workers: int = 2, *, evaluate: bool = False) -> GvisorSandbox:
    """An open gVisor sandbox; skips where there is none."""
    try:
        return GvisorSandbox(workers, evaluate=evaluate, recheck=0.0).__enter__()
    except SetupError as e:
        pytest.skip(f"no usable gVisor here: {e}")


GVISOR = [pytest.param(name, marks=pytest.mark.gvisor) for name in ("gvisor", "evaluated")]
"""In gVisor: every program is run, or evaluated first."""


@pytest.fixture(scope="module", params=[*GVISOR, "subprocess"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each sandbox in turn."""
    with ExitStack() as stack:
        if request.param != "subprocess":
            made = gvisor(evaluate=request.param == "evaluated")
            stack.callback(made.__exit__, None, None, None)
            yield made
        else:
            yield stack.enter_context(SubprocessSandbox(2))


@pytest.fixture(scope="module")
def prison() -> Iterator[GvisorSandbox]:
    """gVisor alone, with one worker: each program follows the one before in the same sandbox."""
    made = gvisor(1)
    try:
        yield made
    finally:
        made.__exit__(None, None, None)


def run(box: Sandbox, source: str, limits: Limits = AMPLE, stdin: str = "") -> Execution:
    """One program."""
    [execution] = box.run([Program(id="one", source=source, stdin=stdin)], limits)
    assert execution.id == "one"
    return execution


def results(box: Sandbox, sources: list[str], limits: Limits = AMPLE) -> list[Execution]:
    """Many programs, results in their order; each answered exactly once."""
    found = list(box.run([Program(id=str(i), source=s) for i, s in enumerate(sources)], limits))
    assert sorted(int(e.id) for e in found) == list(range(len(sources)))
    return sorted(found, key=lambda e: int(e.id))
