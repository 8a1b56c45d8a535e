"""What the end of a process means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.outcome import outcome
from mmst.ports import Limits

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
        (1, "", "SyntaxError: no line\n", ("crashed", "SyntaxError: no line")),
        (1, "", AT + '  File "/lib/x.py", line 9, in g\n    y\nOSError: z\n', ("crashed", "OSError, line 3: z")),
        (1, "", AT + "KeyError: 1\n\nDuring …:\n\n" + AT + "OSError: 2\n", ("crashed", "OSError, line 3: 2")),
        (1, "", AT + "E: " + "x" * 999, ("crashed", "E, line 3: " + "x" * 200)),
    ],
)
def test_table(status: int, cut: str, stderr: str, expected: tuple[str, str]) -> None:
    assert outcome(status=status, cut=cut, stderr=stderr, limits=Limits()) == expected


@given(st.integers(-64, 255), st.sampled_from(["", "time", "output"]), st.text(max_size=60))
def test_any_end_has_an_outcome(status: int, cut: str, stderr: str) -> None:
    what, detail = outcome(status=status, cut=cut, stderr=stderr, limits=Limits())
    assert what in {"ok", "crashed", "timed_out", "out_of_memory", "output_limit"}
    assert (what == "ok") == (detail == "")
