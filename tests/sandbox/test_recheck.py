"""Programs rechecked together: CPython says of each whether it prints what the evaluator said."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mmst.sandbox import recheck

SOURCES = ["print(1)", "x = '''a\n'''\nprint(x, end='é\\\\')", "pass"]
TEXTS = ["1\n", "a\né\\", ""]


def said(sources: list[str]) -> str:
    code = recheck.program(sources)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout


def test_all_that_print_their_text_agree() -> None:
    assert recheck.agree(said(SOURCES), TEXTS)


@pytest.mark.parametrize("i", range(3))
def test_one_that_prints_something_else_is_noticed(i: int) -> None:
    assert not recheck.agree(said(SOURCES), [*TEXTS[:i], "other", *TEXTS[i + 1 :]])


@pytest.mark.parametrize("bad", ["1 / 0", "x = (", "raise SystemExit", "import sys\nsys.stdout = None"])
def test_one_that_fails_is_noticed(bad: str) -> None:
    assert not recheck.agree(said([*SOURCES, bad]), [*TEXTS, ""])
