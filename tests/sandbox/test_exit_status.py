"""What the end of a process means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.ports import Limits
from mmst.sandbox.exit_status import exit_status, missing_package

AT = 'Traceback (most recent call last):\n  File "<program>", line 3, in f\n'


@pytest.mark.parametrize(
    ("status", "cut", "stderr", "expected"),
    [
        (0, "", "a warning\n", ("ok", "")),
        (0, "output", "", ("output_limit", "wrote more than 64 KiB")),
        (-9, "time", "", ("timed_out", "did not end within 2 s")),
        (-24, "", "", ("timed_out", "did not end within 2 s")),
        (-11, "", "", ("crashed", "killed by SIGSEGV")),
        (-77, "", "", ("crashed", "killed by signal 77")),
        (2, "", "nothing known", ("crashed", "exit status 2")),
        (1, "", AT + "KeyError: 'x'\n", ("crashed", "KeyError, line 3: 'x'")),
        (1, "", AT + "ValueError: two\nlines: here\n", ("crashed", "ValueError, line 3: two")),
        (1, "", AT + "my.Own\n", ("crashed", "my.Own, line 3")),
        (1, "", AT + "MemoryError\n", ("out_of_memory", "needed more than 256 MiB, line 3")),
        (1, "", "MemoryError\n", ("out_of_memory", "needed more than 256 MiB")),
        (
            1,
            "",
            AT + "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB for an array\n",
            ("out_of_memory", "needed more than 256 MiB, line 3"),
        ),
        (1, "", AT + "MyMemoryError: x\n", ("crashed", "MyMemoryError, line 3: x")),
        (1, "", AT + "numpy.MemoryError: x\n", ("crashed", "numpy.MemoryError, line 3: x")),
        (1, "", "SyntaxError: no line\n", ("crashed", "SyntaxError: no line")),
        (1, "", AT + '  File "/lib/x.py", line 9, in g\n    y\nOSError: z\n', ("crashed", "OSError, line 3: z")),
        (1, "", AT + "KeyError: 1\n\nDuring …:\n\n" + AT + "OSError: 2\n", ("crashed", "OSError, line 3: 2")),
        (1, "", AT + "    f(x)\n    ^^^^\nOSError: 2\n", ("crashed", "OSError, line 3: 2")),
        (
            1,
            "",
            AT + "  File \"/lib/subprocess.py\", line 9, in _execute_child\nPermissionError: [Errno 1] no: 'ls'\n",
            ("crashed", "PermissionError, line 3: the sandbox forbids new processes ([Errno 1] no: 'ls')"),
        ),
        (
            1,
            "",
            AT + "    os.fork()\nPermissionError: [Errno 1] no\n",
            ("crashed", "PermissionError, line 3: the sandbox forbids new processes ([Errno 1] no)"),
        ),
        (
            1,
            "",
            AT + "    os.kill(1, 9)\nPermissionError: [Errno 1] no\n",
            ("crashed", "PermissionError, line 3: the sandbox forbids it ([Errno 1] no)"),
        ),
        (1, "", AT + "PermissionError: [Errno 13] no\n", ("crashed", "PermissionError, line 3: [Errno 13] no")),
        (1, "", AT + "E: " + "x" * 999, ("crashed", "E, line 3: " + "x" * 200)),
    ],
)
def test_table(status: int, cut: str, stderr: str, expected: tuple[str, str]) -> None:
    assert exit_status(status=status, cut=cut, stderr=stderr, limits=Limits()) == expected


@given(st.integers(-64, 255), st.sampled_from(["", "time", "output"]), st.text(max_size=60))
def test_any_end_has_an_outcome(status: int, cut: str, stderr: str) -> None:
    what, detail = exit_status(status=status, cut=cut, stderr=stderr, limits=Limits())
    assert what in {"ok", "crashed", "timed_out", "out_of_memory", "output_limit"}
    assert (what == "ok") == (detail == "")


def lacking(message: str, name: str = "ModuleNotFoundError", keyed: bool = True) -> str:
    return exit_status(status=1, cut="", stderr=f"{AT}{name}: {message}\n", limits=Limits(), keyed=keyed)[1]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("sympy", "sympy is not in the sandbox; check.packages"),
        ("numpy", "numpy is not in the sandbox; check.packages"),
        ("scipy", "scipy is not in the sandbox; check.packages"),
        ("pandas", "pandas is not in the sandbox; check.packages"),
        ("requests", "requests is not in the sandbox"),
        ("mpmath", "mpmath is not in the sandbox"),
        ("sklearn", "sklearn is not in the sandbox"),
        ("_tkinter", "_tkinter is not in the sandbox"),
        ("caf\u00e9", "caf\u00e9 is not in the sandbox"),
    ],
)
def test_a_missing_package_is_its_own_detail(name: str, detail: str) -> None:
    assert lacking(f"No module named '{name}'") == detail
    assert missing_package(detail) == name
    assert missing_package(lacking(f"No module named '{name}'", keyed=False)) == name


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("No module named 'sympy.nothing'", "ModuleNotFoundError"),
        ("No module named 'math.x'; 'math' is not a package", "ModuleNotFoundError"),
        ("No module named ''", "ModuleNotFoundError"),
        ("No module named 'a b'", "ModuleNotFoundError"),
        ("no sympy here", "ModuleNotFoundError"),
        ("No module named 'sympy'", "ImportError"),
        ("No module named 'sympy'", "ValueError"),
        ("No module named 'sympy'", "my.ModuleNotFoundError"),
        ("cannot import name 'x' from 'sympy' (unknown location)", "ImportError"),
        ("sympy is not in the sandbox", "ValueError"),
    ],
)
def test_other_import_errors_stay_as_they_are(message: str, name: str) -> None:
    assert lacking(message, name) == f"{name}, line 3: {message}"
    assert missing_package(lacking(message, name)) is None


@pytest.mark.parametrize(
    "detail", ["", "exit status 1", "did not end within 2 s", "killed by SIGABRT", "answered 3, gold 4"]
)
def test_other_details_lack_no_package(detail: str) -> None:
    assert missing_package(detail) is None
