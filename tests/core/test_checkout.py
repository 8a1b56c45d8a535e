"""Which commit runs: of a checkout, of an image, of neither."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mmst.core.checkout import REVISION, commit


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_has_its_commit_and_says_when_a_file_is_changed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "m")
    at = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "tag", "v1")
    (tmp_path / "untracked").write_text("")
    assert commit(tmp_path) == at
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == f"{at}-dirty"


def test_an_image_says_from_which_commit_it_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REVISION, "a1b2")
    assert commit(tmp_path) == "a1b2"


def test_a_wheel_has_none_and_neither_has_a_checkout_that_git_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REVISION, raising=False)
    assert commit(tmp_path) == ""
    (tmp_path / ".git").write_text("gitdir: nowhere")
    assert commit(tmp_path) == ""
