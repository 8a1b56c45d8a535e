"""The sympy engine: what it decides, and that nothing that it is given goes on for ever."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.core.errors import PlatformError, SetupError
from mmst.grading.algebra import processes
from mmst.grading.algebra.processes import SympyAlgebra

pytest.importorskip("sympy")


@pytest.fixture(scope="module")
def engine() -> Iterator[SympyAlgebra]:
    with SympyAlgebra(workers=2, seconds=10) as algebra:
        yield algebra


DECIDED = [
    ("x^2=4", r"x=\pm 2", True),
    ("x^2=4", "x=2", False),
    ("x^2<4", "-2<x<2", True),
    (r"1\leq|z|\leq \frac{3}{2}", r"z \in [-\frac32,-1] \cup [1,\frac32]", True),
    (r"[0,1) \cup [1,2]", "[0,2]", True),
    (r"x \ne 3", "x = 3", False),
    ("x>2 or x<1", "1<x<2", False),
    (r"x<-2 \text{ or } x>2", r"(-\infty, -2) \cup (2, \infty)", True),
    (r"\int_0^1 x^2 dx", r"\frac13", True),
    (r"\lim_{x\to 0} \frac{\sin x}{x}", "1", True),
    ("(x+y)^2=0", "x+y=0", True),
    ("x+y=1", "x+y=2", False),
    ("7", "7/0", False),
    ("2^{100}", r"2^{100}+\sqrt{2}", False),
    (
        r"\begin{pmatrix}6 & 8\end{pmatrix}",
        r"\begin{pmatrix}1 & 2\end{pmatrix} + \begin{pmatrix}5 & 6\end{pmatrix}",
        True,
    ),
    ("Evelyn", "7", None),
]


@pytest.mark.parametrize(("gold", "answer", "expected"), DECIDED)
def test_what_takes_algebra_is_decided(engine: SympyAlgebra, gold: str, answer: str, expected: bool | None) -> None:
    assert engine.decide([(gold, answer)]) == [expected]


def test_many_pairs_are_answered_in_their_order(engine: SympyAlgebra) -> None:
    assert engine.decide([(g, a) for g, a, _ in DECIDED]) == [e for _, _, e in DECIDED]


HARD = (r"\int_0^1 \sin(x^7+x^5)^{17} \cos(e^{x^3}) dx", r"\int_0^2 \sin(x^9)^{23} dx")


def test_what_takes_too_long_stays_undecided_and_the_next_is_answered() -> None:
    with SympyAlgebra(seconds=2) as algebra:
        algebra.decide([("x^2=4", r"\pm 2")])
        began = time.monotonic()
        assert algebra.decide([HARD, ("x^2=4", r"\pm 2")]) == [None, True]
        assert time.monotonic() - began < 60


def test_the_limit_runs_from_the_start_of_the_work_not_from_the_queue() -> None:
    with SympyAlgebra(workers=1, seconds=2) as algebra:
        assert algebra.decide([HARD, HARD, ("x^2=4", r"\pm 2")]) == [None, None, True]


def test_a_process_that_was_killed_is_replaced() -> None:
    with SympyAlgebra() as algebra:
        assert algebra.decide([("x^2=4", r"\pm 2")]) == [True]
        os.kill(algebra._pool[0]._process.pid, signal.SIGKILL)
        algebra._pool[0]._process.wait()
        assert algebra.decide([("x^2=4", r"\pm 2"), ("x^2=9", r"\pm 3")])[1] is True


def test_a_process_that_takes_long_to_start_is_waited_for_as_long_as_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOOK", 0.01)  # sympy takes many times as long to be imported
    with SympyAlgebra() as algebra:
        assert algebra.decide([("x^2=4", r"\pm 2")]) == [True]


def test_a_process_that_stands_still_is_trouble_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "_LOOK", 0.01)
    monkeypatch.setattr(processes, "_STANDS_STILL", 0.2)
    asleep = tmp_path / "asleep"
    asleep.write_text("#!/bin/sh\nexec sleep 600\n")
    asleep.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(asleep))
    with SympyAlgebra() as algebra, pytest.raises(PlatformError, match="did not start"):
        algebra.decide([("x^2=4", r"\pm 2")])


def test_a_process_that_never_starts_is_trouble_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOOK", 0.01)
    monkeypatch.setattr(processes, "_STANDS_STILL", 0.1)
    monkeypatch.setattr(sys, "executable", "/bin/cat")
    with SympyAlgebra() as algebra, pytest.raises(PlatformError, match="did not start"):
        algebra.decide([("x^2=4", r"\pm 2")])


def test_memory_is_limited() -> None:
    with SympyAlgebra(seconds=4, memory_mib=400) as algebra:
        assert algebra.decide([(r"(x+y+z)^{900} = 0", "x^2+y+z=0"), ("x^2=4", r"\pm 2")])[1] is True


def test_processes_end_with_who_started_them() -> None:
    program = (
        "import os\nfrom mmst.grading.algebra.processes import SympyAlgebra\na = SympyAlgebra()\n"
        "a.decide([('x^2=4', 'x=2')])\nprint(a._pool[0]._process.pid, flush=True)\nos._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    pid, until = int(done.stdout), time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_sympy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install .*\[grade\]"):
        SympyAlgebra().decide([("x^2=4", r"\pm 2")])


def test_nothing_is_started_for_nothing() -> None:
    with SympyAlgebra() as algebra:
        assert algebra.decide([]) == []
        assert algebra._pool == []


def test_the_worker_speaks_json_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmst.grading.algebra.worker", "10", "2048"],
        input=json.dumps(["x^2=4", r"\pm 2"]) + "\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert [json.loads(line) for line in done.stdout.splitlines()] == ["ready", True]
