"""The docs say what the code does: generated parts are fresh, examples run, commands exist."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst import datasets, methods, recipes
from mmst.core import config
from mmst.core.config import Source
from mmst.core.errors import DataError
from mmst.methods.prompts import solve_prompt, translate_prompt
from tests.support import completion_cases

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_generated_parts_are_fresh_and_links_lead_somewhere() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs/generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_stale_docs_are_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    generate = importlib.import_module("generate")
    page = tmp_path / "page.md"
    page.write_text("<!-- from: options -->\nold\n<!-- end -->\nsee [there](nowhere.md)\n", encoding="utf-8")
    monkeypatch.setattr(generate, "PAGES", (page,))
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(check=True) == 1
    assert "stale" in (said := capsys.readouterr().out)
    assert "no nowhere.md" in said
    assert "old" in page.read_text(encoding="utf-8")


def test_every_option_stands_in_the_recipe_page() -> None:
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    for path, *_, help in config.options():
        assert f"| `{path.rpartition('.')[2]}` |" in text
        assert help.replace("|", "/") in text


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES)])
def test_every_command_shown_exists(page: str) -> None:
    import typer.main

    from mmst.cli.app import app

    known = typer.main.get_command(app)
    shown = re.findall(r"(?:^ +|`)(?:\.venv/bin/)?mmst ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.M)
    assert set(shown) <= set(known.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in PAGES)])
def test_every_make_target_shown_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    shown = set(re.findall(r"(?:^ +|`)make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.M))
    assert shown <= targets


def test_every_key_set_in_the_docs_exists() -> None:
    known = {path for path, *_ in config.options()}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        keys = set(re.findall(r"--set '?([a-z_.]+)=", page.read_text(encoding="utf-8")))
        assert keys <= known, page.name


def test_the_page_on_grading_counts_the_table_of_completions() -> None:
    total = sum(map(len, (completion_cases.STATED, completion_cases.PROGRAMS, completion_cases.PRINTED)))
    assert f"A table of {total} completions" in (ROOT / "docs/grading.md").read_text(encoding="utf-8")


def test_the_example_recipe_is_valid() -> None:
    made = recipes.load(str(ROOT / "docs/examples/recipe.yaml"))
    assert made.loop.rounds == 2
    assert {s.format for s in made.problems.train} <= {"generated", *datasets.FORMATS}


@pytest.fixture
def equation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The worked example, as if it stood in mmst/methods."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(ROOT / "docs/examples/methods")])
    yield methods.method("equation")
    sys.modules.pop("mmst.methods.equation", None)


def test_the_example_method_is_found_and_answers(equation: Any) -> None:
    assert set(methods.methods()) == {"text", "code", "equation"}
    assert equation.answer(equation.solution("\n ( 3 + 4 ) * 2 \nbecause"), None) == "14"
    assert equation.answer("7 / 2", None) == "7/2"
    assert equation.answer("fourteen", None) is None
    assert equation.answer("1 / 0", None) is None
    assert equation.canonical("3+ 4") == equation.canonical("3 + 4")


@pytest.mark.parametrize("style", ["plain", "instruct", "few-shot"])
def test_the_example_method_can_be_prompted_and_translated_both_ways(equation: Any, style: str) -> None:
    text = methods.method("text")
    assert solve_prompt(equation, "How many?", style, 4).endswith("Question: How many?\nEquation:\n")
    assert translate_prompt(text, equation, "How many?", "It is 3.", style, 4).endswith("It is 3.\nEquation:\n")
    assert translate_prompt(equation, text, "How many?", "1 + 2", style, 4).endswith("Equation:\n1 + 2\nText:\n")


@pytest.fixture
def sheet(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The worked example, as if it stood in mmst/datasets and its FORMATS."""
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(ROOT / "docs/examples/datasets")])
    monkeypatch.setitem(datasets.FORMATS, "sheet", "sheet")
    yield "sheet"
    sys.modules.pop("mmst.datasets.sheet", None)


def test_the_example_problem_set_is_read(sheet: str, tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_text("question,answer,topic\nHow many are 3 and 4?,7,sums\nAnd 2 and 2?,4,sums\n", encoding="utf-8")
    made = list(datasets.load(Source(format=sheet, path=str(file))))
    assert [(p.answer, p.family, p.source) for p in made] == [("7", "sums", "sheet"), ("4", "sums", "sheet")]


def test_the_example_problem_set_refuses_a_bad_line_by_name(sheet: str, tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_text("question,answer\nHow many are 3 and 4?,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2.*answer"):
        list(datasets.load(Source(format=sheet, path=str(file))))
