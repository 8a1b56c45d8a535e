"""Real commands with passwords where they may be, and servers, files and names that attack the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.support.openai_stub import starting

PW = "hunTer2-x9"
HOSTILE = "\x1b[2J\x1b]52;c;eA==\x07\x9b2J\rmmst: forged\b\u202e\u200b\u2028\x85\nmmst: forged"
SET: dict[str, Any] = {"format": "generated", "count": 60, "limit": 4}
RECIPE = {
    "problems": {"train": [SET | {"split": "train"}], "test": [SET | {"split": "test"}]},
    "check": {"sandbox": "subprocess"},
}


class Place:
    """A folder to run commands in; what they say and leave behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "r.yaml").write_text(json.dumps(RECIPE))

    def mmst(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        done = subprocess.run(
            [sys.executable, "-m", "mmst.cli.app", *arguments],
            cwd=self.folder, env=os.environ | environment, capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "surrogateescape")

    def holding(self, secret: str) -> list[Path]:
        """The files that hold a text."""
        return [p for p in self.folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def unsafe(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]


@pytest.mark.parametrize(
    "setting",
    [
        f"promote.tracking_uri=http://me:{PW}@127.0.0.1:9",
        f"sampling.url=http://127.0.0.1:9/v1?token={PW}",
        f"cluster.env=[DB_PASSWORD={PW}]",
        f"out=s3://me:{PW}@bucket/x",
    ],
)
def test_a_recipe_with_a_password_starts_nothing_and_leaves_nothing(place: Place, setting: str) -> None:
    code, said = place.mmst("run", "-r", "r.yaml", "-s", setting)
    assert code == 2
    assert "Remedy" in said
    assert PW not in said
    assert place.holding(PW) == []


@pytest.mark.parametrize("command", [["doctor", "-o", "out"], ["--debug", "run", "-r", "r.yaml", "-o", "out"]])
def test_an_address_in_the_environment_is_used_and_not_shown(place: Place, command: list[str]) -> None:
    code, said = place.mmst(*command, MLFLOW_TRACKING_URI=f"http://me:{PW}@127.0.0.1:9", COLUMNS="200")
    assert (code, "Connection refused" in said) == (3, True)
    assert "http://***@127.0.0.1:9" in said
    assert PW not in said
    assert place.holding(PW) == []


def test_a_bucket_that_does_not_answer_is_named_without_its_password(place: Place) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": PW, "AWS_DEFAULT_REGION": "us-east-1"}
    code, said = place.mmst("status", "-o", "s3://b/x", AWS_ENDPOINT_URL=f"htp//me:{PW}@h", **keys)
    assert code == 4
    assert PW not in said


def test_a_servers_words_do_nothing_to_the_terminal(place: Place) -> None:
    def refuses(attempt: int, body: dict[str, Any]) -> Any:
        return 401, {}, json.dumps({"error": {"message": f"{HOSTILE} {PW}"}}).encode()

    refs = {}
    for stage in ("prepare", "base-model"):
        said = place.mmst(stage, "-r", "r.yaml", "-o", "out", "--json")[1]
        refs[stage] = json.loads(said[: said.rindex("}") + 1])["ref"]
    with starting() as start:
        url = start(refuses).url
        given = ["-s", "sampling.backend=openai", "-s", f"sampling.url={url}", "-s", "sampling.api_key_env=ANY"]
        given += ["-s", "sampling.served_model=m", "-s", "sampling.revision=r1"]
        of = ["--problems", refs["prepare"], "--checkpoint", refs["base-model"]]
        code, said = place.mmst("sample", "-r", "r.yaml", "-o", "out", *given, *of, ANY=PW)
    assert code == 4
    assert "\\x1b[2J" in said
    assert not unsafe(said)
    assert "\nmmst: forged" not in said
    assert PW not in said


def test_the_words_of_files_and_names_do_nothing_to_the_terminal(place: Place) -> None:
    (place.folder / "in.jsonl").write_text(json.dumps({"id": 1, "gold": "1", "answer": [HOSTILE]}) + "\n")
    for arguments in (
        ["grade", "in.jsonl", "-o", "out.jsonl"],
        ["grade", HOSTILE, "-o", "x"],
        ["grade", f"--{HOSTILE}"],
    ):
        code, said = place.mmst(*arguments)
        assert code == 2
        assert not unsafe(said)
        assert "\nmmst: forged" not in said


def test_a_run_leaves_nothing_that_others_may_read(place: Place) -> None:
    assert place.mmst("prepare", "-r", "r.yaml", "-o", "new/out")[0] == 0
    assert [p for p in (place.folder / "new").rglob("*") if p.stat().st_mode & 0o077] == []
