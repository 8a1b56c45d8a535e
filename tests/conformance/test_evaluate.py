"""What the evaluator finishes, programs alone in the sandbox print as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bench import programs, random_programs, real_programs
from mmst.core.ports import Limits, Program
from tests.support.sandboxes import gvisor

pytestmark = pytest.mark.gvisor
_EVALUATE = """
import json, sys
from mmst.sandbox.guest.evaluate import evaluate
print(json.dumps([evaluate(source) for source in json.load(sys.stdin)]))
"""


def evaluated(sources: list[str]) -> dict[str, str]:
    """What a process with the sandbox's hash seed finishes."""
    done = subprocess.run(
        [sys.executable, "-c", _EVALUATE], input=json.dumps(sources), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    return {source: out for source, out in zip(sources, json.loads(done.stdout), strict=True) if out is not None}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_sandbox_prints_what_was_evaluated(count: int) -> None:
    random = [random_programs.program(seed) for seed in range(count)]
    finished = evaluated([*random, *(c.source for c in (*programs.good(count // 5, 3), *real_programs.real(67)))])
    assert len(finished) > count * 0.3
    with gvisor() as box:
        cases = [Program(id=str(i), source=source) for i, source in enumerate(finished)]
        ends = {e.id: e for e in box.run(cases, Limits(timeout=20.0))}
    for case in cases:
        end = ends[case.id]
        assert (end.exit_status, end.stdout, end.stderr) == ("ok", finished[case.source], ""), case.source
