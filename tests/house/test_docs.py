"""The docs say what the code does: generated parts are fresh, examples run, commands exist."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmst import datasets, recipes
from mmst.core import config
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
    assert {s.format for s in made.problems.train} <= {"generated", *datasets.formats()}


def test_the_example_with_teachers_is_valid() -> None:
    made = recipes.load(str(ROOT / "docs/examples/teachers.yaml"))
    assert {name: t.backend for name, t in made.teachers.items()} == {"big": "", "api": "openai", "file": "recorded"}
    assert made.teachers["api"].revision == "2026-10-01"
