"""What a stage's process takes from its surroundings, and what a run leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmst import wiring
from mmst.core.config import parse, run_id, to_text
from mmst.runner import run_stage


def test_the_keys_of_mounted_secrets_become_environment_variables_that_nothing_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the kubelet writes them: the files are links through a hidden folder that is swapped at once.
    hidden = tmp_path / "mmst-s3" / "..data"
    hidden.mkdir(parents=True)
    for key, value in {"AWS_ACCESS_KEY_ID": "me\n", "AWS_REGION": "theirs"}.items():
        (hidden / key).write_text(value)
        (tmp_path / "mmst-s3" / key).symlink_to(Path("..data") / key)
    monkeypatch.setattr(os, "environ", {"MMST_SECRETS": str(tmp_path), "AWS_REGION": "mine"})
    run_stage.take_secrets()
    assert os.environ == {"MMST_SECRETS": str(tmp_path), "AWS_REGION": "mine", "AWS_ACCESS_KEY_ID": "me"}


def test_without_mounted_secrets_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    run_stage.take_secrets()
    assert os.environ == {}


@pytest.mark.parametrize(
    ("recipe", "asked"),
    [
        ({}, False),
        ({"check": {"sandbox": "gvisor_job"}}, True),
        ({"train": {"launcher": "pytorchjob"}}, True),
        ({"sampling": {"backend": "kserve"}}, True),
        ({"teachers": {"big": {"base": "/m", "backend": "kserve"}}}, True),
        ({"teachers": {"big": {"base": "/m"}}}, False),
    ],
)
def test_a_run_is_cleaned_up_only_where_an_engine_of_it_is_in_a_cluster(
    recipe: dict[str, object], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[str] = []
    monkeypatch.setattr(wiring.Wired, "cleanup", lambda self, run: cleaned.append(run))
    config = parse(recipe)
    run_stage.clean_up(to_text(config))
    assert cleaned == ([run_id(config)] if asked else [])
