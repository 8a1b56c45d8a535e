# ruff: noqa: E501  programs, one a line
"""Packages in the gVisor sandbox: what programs find, and that it is what a fresh interpreter would give them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.core.ports import Execution, Limits, Program
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox
from tests.support.package_programs import NUMPY, SYMPY
from tests.support.sandboxes import AMPLE, gvisor, results, run

pytestmark = [pytest.mark.gvisor, pytest.mark.timeout(300)]
WIDE = Limits(timeout=60.0)


@pytest.fixture(scope="module")
def box() -> Iterator[GvisorSandbox]:
    made = gvisor(1)
    try:
        yield made
    finally:
        made.__exit__(None, None, None)


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GvisorSandbox]:
    """A sandbox that imports nothing before a program begins."""
    inside = tmp_path / "inside"
    shutil.copytree(gvisor_root._GUEST, inside)
    packages = inside / "packages.py"
    packages.write_text(packages.read_text().replace("    found = {", "    return ()\n    found = {"))
    monkeypatch.setattr(gvisor_root, "_GUEST", inside)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = gvisor(2)
    try:
        yield made
    finally:
        made.__exit__(None, None, None)


def ends(box: GvisorSandbox, sources: list[str]) -> list[tuple[str, str, str, str]]:
    return [(e.exit_status, e.stdout, e.stderr, e.detail) for e in results(box, sources, WIDE)]


def test_a_program_prints_what_it_would_print_in_a_fresh_interpreter(box: GvisorSandbox, cold: GvisorSandbox) -> None:
    sources = NUMPY[::6] + SYMPY[::8]
    assert ends(box, sources) == ends(cold, sources)


@pytest.mark.slow
def test_every_program_prints_what_it_would_print_in_a_fresh_interpreter(
    box: GvisorSandbox, cold: GvisorSandbox
) -> None:
    sources = NUMPY + SYMPY
    assert len(set(sources)) == len(sources) >= 60
    assert ends(box, sources) == ends(cold, sources) == ends(box, sources[::-1])[::-1]


@pytest.mark.parametrize(
    ("source", "stdout"),
    [
        ("from sympy import symbols, Eq, solve\nx = symbols('x')\nprint(solve(Eq(x + 3, 10), x)[0])", "7\n"),
        ("import numpy as np\nprint(np.sum([3, 4]))", "7\n"),
        ("from mpmath import mp\nmp.dps = 20\nprint(mp.pi)", "3.1415926535897932385\n"),
        ("print(__import__('num' + 'py').arange(3))", "[0 1 2]\n"),
        ("import importlib.metadata as m\nprint(m.version('numpy')[0], m.version('sympy')[0])", "2 1\n"),
        ("import numpy as np, threading\nprint(threading.active_count(), (np.ones((9, 9)) @ np.ones((9, 9))).sum())", "1 729.0\n"),
    ],
)  # fmt: skip
def test_a_package_is_there(box: GvisorSandbox, source: str, stdout: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.stdout, e.stderr) == ("ok", stdout, "")


def test_the_packages_generators_begin_the_same_for_every_program(box: GvisorSandbox) -> None:
    draws = "print(np.random.rand(), np.random.randint(9), np.random.permutation(5))"
    found = results(box, [f"import numpy as np\n{draws}", f"np = __import__('num' + 'py')\n{draws}"] * 2)
    assert {e.exit_status for e in found} == {"ok"}
    assert len({e.stdout for e in found}) == 1


def test_a_generator_without_a_seed_draws_something_new(box: GvisorSandbox) -> None:
    found = results(box, ["import numpy as np\nprint(np.random.default_rng().integers(10**15))"] * 3)
    assert len({e.stdout for e in found}) == 3


def test_what_a_program_did_to_a_package_is_not_seen_by_the_next(box: GvisorSandbox) -> None:
    spoil = "import numpy as np, sympy\nnp.sum = sympy.solve = None\nnp.random.seed(9)\nnp.seterr(all='raise')"
    look = "import numpy as np, sympy\nprint(np.sum([1, 2]), sympy.solve(sympy.Symbol('x') - 1), np.random.rand(), np.geterr()['over'])"
    first, _, second = results(box, [look, spoil, look])
    assert first.exit_status == "ok"
    assert first.stdout == second.stdout


def test_the_usual_memory_is_enough_and_is_the_limit(box: GvisorSandbox) -> None:
    used = "from sympy import *\nx = Symbol('x')\nprint(integrate(sin(x)**3, x))\nimport numpy as np\na = np.ones({} << 17)\nprint(a.nbytes >> 20)"
    assert run(box, used.format(150)).stdout.endswith("150\n")
    assert run(box, used.format(300)).exit_status == "out_of_memory"


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("import math\nimport scipy.stats", "scipy is not in the sandbox; check.packages"),
        ("from pandas import DataFrame", "pandas is not in the sandbox; check.packages"),
        ("def f():\n    import requests\nf()", "requests is not in the sandbox"),
        ("import sympy.nothing", "ModuleNotFoundError, line 1: No module named 'sympy.nothing'"),
        ("from sympy import nothing", "ImportError, line 1: cannot import name 'nothing' from 'sympy' (/opt/packages/sympy/__init__.py)"),
    ],
)  # fmt: skip
def test_a_missing_package_has_a_detail_of_its_own(box: GvisorSandbox, source: str, detail: str) -> None:
    e = run(box, source)
    assert (e.exit_status, e.detail) == ("crashed", detail)


def test_only_the_named_packages_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with GvisorSandbox(1, packages=["numpy"]) as one:
        found = results(one, ["import numpy", "import sympy", "import mpmath"])
    assert [e.detail for e in found] == [
        "",
        "sympy is not in the sandbox; check.packages",
        "mpmath is not in the sandbox",
    ]


def test_scipy_and_pandas_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sources = [
        "import scipy.stats, scipy.optimize\nprint(round(scipy.stats.norm.cdf(0), 3), scipy.optimize.brentq(lambda x: x - 2, 0, 5))",
        "from scipy.integrate import quad\nimport scipy\nprint(round(quad(lambda x: x, 0, 2)[0], 6), scipy.special.comb(5, 2))",
        "import pandas as pd\nd = pd.DataFrame({'a': [1, 2]})\nprint(d.a.sum(), d.sample(1).a.iloc[0], pd.Timestamp('2024-07-01', tz='Europe/Berlin'))",
        "import pandas as pd, io\nprint(pd.read_csv(io.StringIO('a,b\\n1,2')).to_string())",
    ]
    with GvisorSandbox(1, packages=["numpy", "scipy", "pandas"]) as both:
        found = results(both, sources, WIDE)
    assert [(e.exit_status, e.stderr) for e in found] == [("ok", "")] * 4
    assert [e.stdout.split()[0] for e in found] == ["0.5", "2.0", "3", "a"]


def test_programs_with_and_without_packages_in_any_order(box: GvisorSandbox) -> None:
    kinds = ["print({})", "import numpy as np\nprint(np.int64({}))", "import sympy\nprint(sympy.Integer({}))"]
    sources = [kinds[i % 3].format(i) for i in range(30)]
    assert [e.stdout for e in results(box, sources)] == [f"{i}\n" for i in range(30)]


def test_a_limit_shorter_than_a_fork_takes_is_a_timeout(box: GvisorSandbox) -> None:
    e: Execution
    for e in box.run(
        [Program(id=str(i), source="import numpy\nwhile True: pass") for i in range(3)], Limits(timeout=0.05)
    ):
        assert e.exit_status == "timed_out"
    assert run(box, "import numpy\nprint(1)", AMPLE).stdout == "1\n"
