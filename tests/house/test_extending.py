"""The package of docs/extending.md, really installed: what it adds is found, listed, run and part of the keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst import datasets
from mmst.core import plugin_keys, plugins
from mmst.core.config import Source
from mmst.core.errors import DataError
from mmst.methods import method
from mmst.methods.prompts import solve_prompt, translate_prompt
from mmst.preflight import machine

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed, without an index."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, folder / "source")  # setuptools leaves build/ behind
    subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation",
            "--python", sys.executable, "--target", str(folder / "site"), str(source),
        ],
        check=True,
    )  # fmt: skip
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package on this process's path."""
    monkeypatch.syspath_prepend(site)
    plugins.forget()
    yield
    monkeypatch.undo()
    for name in [name for name in sys.modules if name.startswith("mmst_example")]:
        del sys.modules[name]
    plugins.forget()


def mmst(site: Path, *arguments: str, out: Path) -> Any:
    """What a command prints as JSON, in a process with the package on its path."""
    environment = os.environ | {"PYTHONPATH": str(site), "MMST_EXAMPLE": str(EXAMPLE)}
    command = [sys.executable, "-m", "mmst.cli.app", *arguments, "--json"]
    done = subprocess.run(command, env=environment, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_keys_and_formats_name_the_package_that_adds_a_choice(site: Path, tmp_path: Path) -> None:
    helps = {row["key"]: row["help"] for row in mmst(site, "recipes", "--keys", out=tmp_path)}
    for key, name in (
        ("methods", "equation"),
        ("problems.train", "sheet"),
        ("sampling.backend", "adder"),
        ("check.sandbox", "calculator"),
    ):
        assert helps[key].endswith(f"installed here: {name} (mmst-example 0.1.0)")
    listed = {row["format"]: row["help"] for row in mmst(site, "problems", "list", out=tmp_path)}
    assert listed["sheet"].endswith("(mmst-example 0.1.0)")


@pytest.mark.timeout(1200)
def test_a_whole_run_uses_method_format_sampler_and_sandbox_of_the_package(site: Path, tmp_path: Path) -> None:
    mmst(site, "run", "--recipe", str(EXAMPLE / "recipe.yaml"), "--out", "runs", out=tmp_path)
    (pointer,) = (tmp_path / "runs/runs").glob("*/01.mmst.build_trainset.json")
    made = json.loads((tmp_path / "runs" / json.loads(pointer.read_text())["ref"] / "manifest.json").read_text())
    assert made["counts"]["passed"] == made["counts"]["asked"] == 36  # the sampler adds, the sandbox calculates
    assert made["counts"]["new.equation.own"] == 12
    assert made["counts"]["translated_passed"] == 72


def test_doctor_names_what_is_added_and_where_it_comes_from(installed: None) -> None:
    found = {finding.what: finding for finding in machine.plug_ins()}
    assert set(found) == {"method equation", "problem format sheet", "sampler adder", "sandbox calculator"}
    assert all(f.ok and f.found == "mmst-example 0.1.0" and not f.needed for f in found.values())


def test_a_registered_model_requires_the_package_of_its_method(installed: None) -> None:
    assert plugin_keys.requirements(["text", "equation"]) == ["mmst-example==0.1.0"]


def test_its_image_puts_it_where_the_python_of_ours_looks(repo_root: Path) -> None:
    """Debian 12, from which ours is made, has Python 3.11."""
    ours = (repo_root / "images/pipeline/Containerfile").read_text(encoding="utf-8")
    assert "uv venv --python /usr/bin/python3 /opt/venv" in ours
    assert "debian:bookworm" in ours
    theirs = (EXAMPLE / "Containerfile").read_text(encoding="utf-8")
    assert "COPY added /opt/venv/lib/python3.11/site-packages" in theirs


def test_programs_of_a_file_run_in_its_sandbox_too(site: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "program": "print(6 * 7)"}\n{"id": "b", "program": "import os"}\n')
    told = mmst(site, "check-programs", "in.jsonl", "--out", "out.jsonl", "--sandbox", "calculator", out=tmp_path)
    assert told["verdicts"] == {"ok": 1, "crashed": 1}


def test_the_method_answers(installed: None) -> None:
    equation = method("equation")
    assert equation.answer(equation.solution("\n ( 3 + 4 ) * 2 \nbecause"), None) == "14"
    assert equation.answer("7 / 2", None) == "7/2"
    assert equation.answer("fourteen", None) is None
    assert equation.answer("1 / 0", None) is None
    assert equation.canonical("3+ 4") == equation.canonical("3 + 4")


@pytest.mark.parametrize("style", ["plain", "instruct", "few-shot"])
def test_the_method_can_be_prompted_and_translated_both_ways(installed: None, style: str) -> None:
    text, equation = method("text"), method("equation")
    assert solve_prompt(equation, "How many?", style, 4).endswith("Question: How many?\nEquation:\n")
    assert translate_prompt(text, equation, "How many?", "It is 3.", style, 4).endswith("It is 3.\nEquation:\n")
    assert translate_prompt(equation, text, "How many?", "1 + 2", style, 4).endswith("Equation:\n1 + 2\nText:\n")


def test_the_format_is_read(installed: None, tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_text("question,answer,topic\nHow many are 3 and 4?,7,sums\nAnd 2 and 2?,4,sums\n", encoding="utf-8")
    made = list(datasets.load(Source(format="sheet", path=str(file))))
    assert [(p.answer, p.family, p.source) for p in made] == [("7", "sums", "sheet"), ("4", "sums", "sheet")]


def test_the_format_refuses_a_bad_line_by_name(installed: None, tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_text("question,answer\nHow many are 3 and 4?,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2.*answer"):
        list(datasets.load(Source(format="sheet", path=str(file))))
