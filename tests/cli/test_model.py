"""`mmst model`: what a model's files say, for people and for scripts, and refusals by exit code."""

import json
from pathlib import Path

import pytest

from mmst.cli.app import main


def test_a_model_is_shown_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", "mmst:tiny", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["architecture"], shown["licence"]) == ("LlamaForCausalLM", "apache-2.0")
    assert shown["parameters"] > 1_000_000


def test_a_model_is_shown_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", "mmst:tiny"]) == 0
    assert "LlamaForCausalLM" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["show", "nowhere"], ["show", "x.gguf"], ["import", "x.gguf", "--to", "y"]])
def test_what_is_not_there_is_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["model", *arguments]) == 2
    assert capsys.readouterr().err.startswith("mmst: ")
    assert list(tmp_path.iterdir()) == []
