"""`mmst init`: what it writes is a recipe that is read, planned and understood."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from mmst import recipes
from mmst.cli import app
from mmst.core.config import parse

PROBLEMS = [{"question": f"What is {n} + 5?", "answer": f"It is {n + 5}.\n#### {n + 5}"} for n in range(60)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    lines = {"train.jsonl": PROBLEMS[:40], "test.jsonl": PROBLEMS[40:], "open.jsonl": [{"question": "What is 9 + 9?"}]}
    for name, rows in lines.items():
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "it's: {a} #1.jsonl").write_text(json.dumps({"question": "What is 3 + 3?", "answer": "6"}))
    return tmp_path


def test_a_file_alone_is_split_into_parts(here: Path) -> None:
    assert app.main(["init", "train.jsonl", "--to", "mine.yaml"]) == 0
    config = recipes.load("mine.yaml")
    roles = (config.problems.train, config.problems.test, config.problems.annotated)
    assert [[(s.format, s.path, s.split) for s in role] for role in roles] == [
        [("gsm8k", "train.jsonl", "train")],
        [("gsm8k", "train.jsonl", "test")],
        [("gsm8k", "train.jsonl", "dev")],
    ]
    assert config.name == "mine"


def test_files_of_every_role_are_named_as_they_are(here: Path) -> None:
    odd = "it's: {a} #1.jsonl"
    arguments = ["init", "train.jsonl", odd, "open.jsonl", "--test", "test.jsonl", "--related", odd, "--to", "b.yaml"]
    assert app.main(arguments) == 0
    problems = recipes.load("b.yaml").problems
    assert [s.path for s in problems.train] == ["train.jsonl", odd]
    assert [s.path for s in problems.unlabelled] == ["open.jsonl"]
    assert [s.path for s in problems.test] == ["test.jsonl"]
    assert [(s.path, s.format) for s in problems.related] == [(odd, "jsonl")]
    assert [s.path for s in problems.annotated] == ["train.jsonl"]


def test_every_section_has_its_comment(here: Path) -> None:
    app.main(["init", "train.jsonl", "--to", "mine.yaml"])
    lines = Path("mine.yaml").read_text().splitlines()
    assert all(
        "#" in line
        for line in lines
        if line.startswith(("prompt", "sampling", "check", "train", "loop", "  ")) and not line.startswith("    ")
    )
    assert yaml.safe_load("\n".join(lines))["loop"]["controls"] == ["annotated-only", "no-translation"]


def test_what_it_found_and_what_is_missing_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app.main(["init", "train.jsonl", "--to", "mine.yaml", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [{"file": "train.jsonl", "format": "gsm8k", "answers": True}]
    assert [note.split(":")[0] for note in said["notes"]] == ["mmst", "no --test", "no --related"]


@pytest.mark.parametrize("name", ["a, b.jsonl", "a}.jsonl", "a.jsonl,", "it's: #1.jsonl"])
def test_a_file_s_name_may_hold_what_yaml_means_something_by(here: Path, name: str) -> None:
    (here / "train.jsonl").rename(here / name)
    assert app.main(["init", name, "--to", "mine.yaml"]) == 0
    assert parse(yaml.safe_load((here / "mine.yaml").read_text())).problems.train[0].path.endswith(name)


def test_a_pipe_is_refused_and_not_waited_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(here / "pipe")
    assert app.main(["init", "pipe", "--to", "mine.yaml"]) == 2
    assert "no file and no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl", "--to", "x.yaml"], "there is no such problem file"),
        (["open.jsonl", "--to", "x.yaml"], "nothing can be measured"),
        (["train.jsonl", "--test", "open.jsonl", "--to", "x.yaml"], "held-out problems need them"),
        (["train.jsonl", "--to", "train.jsonl"], "exists already"),
        (["train.jsonl", "--model", "no/folder", "--to", "x.yaml"], "no/folder"),
        (["train.jsonl", "--to", "no-permission/x.yaml"], "cannot write"),
        (["train.jsonl", "--to", "my recipe!.yaml"], "without .yaml) must be"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (here / "no-permission").write_text("a file")
    before = {p: p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert app.main(["init", *arguments]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert {p: p.read_bytes() for p in here.rglob("*") if p.is_file()} == before
