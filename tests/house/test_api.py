"""`import mmst`: the public functions, and the page that shows them."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mmst
from mmst.cli import run as run_command
from mmst.core import config
from tests.support.runs import Made

PAGE = Path(__file__).resolve().parents[2] / "docs/python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def odd(value: Any) -> Any:
    """A value of another type than is asked for, as people give who check no types."""
    return value


def asked(line: str) -> str:
    """A line of the page that shows a value, as a call that hands over the value and what is shown."""
    code, mark, said = line.partition("  # ")
    expression = code.strip()
    if not mark or expression.startswith(("import ", "with ")):
        return line
    return f"{code[: -len(expression)]}shown(({expression}), {said!r})"


@pytest.mark.gvisor
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_what_the_page_shows_is_what_comes_out(block: str) -> None:
    values: list[tuple[object, str]] = []
    exec("\n".join(map(asked, block.splitlines())), {"shown": lambda value, said: values.append((value, said))})
    assert values
    for value, said in values:
        assert repr(value) == said or value == ast.literal_eval(said)


def test_every_public_name_is_there_and_no_other_is() -> None:
    assert all(getattr(mmst, name) is not None for name in mmst.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'grde'"):
        _ = mmst.grde


def test_to_grade_and_to_check_programs_takes_no_engine() -> None:
    engines = ["torch", "kfp", "kubernetes", "mlflow", "boto3", "transformers", "sympy"]
    calls = ["grade('1/2', '0.5')", "extract('The answer is 7.')", "Sandbox(backend='subprocess')"]
    source = "; ".join(
        ["import sys, mmst", *(f"mmst.{call}" for call in calls), f"print({{*{engines}}} & {{*sys.modules}})"]
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_programs_come_back_in_their_order() -> None:
    with mmst.Sandbox(backend="subprocess") as sandbox:
        done = sandbox.check([f"import time; time.sleep({0.3 if i == 0 else 0}); print({i})" for i in range(12)])
    assert [d.stdout for d in done] == [f"{i}\n" for i in range(12)]


def test_a_sandbox_that_does_not_exist_is_refused() -> None:
    with pytest.raises(mmst.MmstError, match=r"unknown sandbox, got 'docker'\. Remedy: backend: gvisor or subprocess"):
        mmst.Sandbox(backend="docker")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mmst.grade(odd(7), "7"), r"gold must be a text, got 7\. Remedy: gold='7'"),
        (lambda: mmst.grade("7", odd(None)), "answer must be a text, got None"),
        (lambda: mmst.extract(odd(None)), "solution must be a text, got None"),
        (lambda: mmst.extract("print(7)", by="code", stdout=odd(7)), "stdout must be a text, got 7"),
        (lambda: mmst.check_programs("print(7)"), "programs must be a list of texts"),
        (lambda: mmst.check_programs(["print(7)", odd(b"print(7)")]), r"programs\[1\] must be a text"),
        (lambda: mmst.check_programs([], timeout=0), r"timeout must be from 0\.01 to 86,400, got 0"),
        (lambda: mmst.check_programs([], timeout=odd("2")), "timeout must be from"),
        (lambda: mmst.check_programs([], memory_mib=True), "memory_mib must be from 16 to"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(call: Callable[[], object], said: str) -> None:
    with pytest.raises(mmst.MmstError, match=said):
        call()


def test_runs_are_loaded_from_where_recipes_put_them() -> None:
    assert inspect.signature(mmst.load_run).parameters["out"].default == config.Config().out


def test_what_takes_algebra_is_decided() -> None:
    assert mmst.grade("x^2 > 4", "x > 2 or x < -2").how in ("algebra", "formula")


def test_a_run_is_loaded_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    made = Made(tmp_path)
    made.whole()
    found = mmst.load_run("made", out=str(tmp_path))
    assert found.rounds
    assert found == mmst.load_run(found.run, out=str(tmp_path))


def test_a_run_ends_in_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = mmst.load_recipe("demo", [f"out={tmp_path}"])
    ran: list[object] = []
    monkeypatch.setattr(run_command, "run_here", ran.append)
    assert mmst.run(recipe).run == config.run_id(recipe)
    assert ran == [recipe]
