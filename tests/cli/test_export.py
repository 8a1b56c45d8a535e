"""`mmst export`: files, lineage, counts, refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmst import wiring
from mmst.cli import app
from mmst.runs import export
from tests.support.runs import Made
from tests.support.s3_server import CREDENTIALS, s3_server
from tests.support.taught import PROBLEMS, RIGHT, WRONG, run

Mmst = Callable[..., tuple[int, str, str]]
FORMATS = sorted(export.FORMATS)


@pytest.fixture
def mmst(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mmst:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)

    def ran(*arguments: str) -> tuple[int, str, str]:
        code = app.main(list(arguments))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return ran


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("format", FORMATS)
def test_every_row_has_its_lineage(tmp_path: Path, mmst: Mmst, format: str) -> None:
    made, to = run(tmp_path, [RIGHT, *WRONG]), tmp_path / "x.jsonl"
    code, said, _ = mmst("export", "made", "--format", format, "--to", str(to), "--out", str(tmp_path / "store"))
    assert (code, "1 examples" in said) == (0, True)
    (row,) = lines(to)
    closed = format in export.CLOSED
    lineage = lines(tmp_path / "x.jsonl.lineage.jsonl")[0] if closed else row["lineage"]
    assert (lineage["samples"], lineage["run"]) == ([RIGHT.sample.id], made.run)
    assert ("lineage" in row) is not closed


def test_the_counts_are_printed_as_json(tmp_path: Path, mmst: Mmst) -> None:
    run(tmp_path, [RIGHT, *WRONG])
    at = ("--out", str(tmp_path / "store"), "--to", str(tmp_path / "x.jsonl"))
    _, said, _ = mmst("export", "made", "--format", "trl", "--pairs", "--json", *at)
    found = json.loads(said)
    assert (found["pairs"], found["round"], found["arm"]) == (1, 1, "mmst")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("made", "--format", "tlr"), "unknown export format, got 'tlr'. Remedy: did you mean trl?"),
        (("made", "--format", "trl", "--arm", "own-text"), "trained no such arm, got 'own-text'. Remedy: --arm mmst"),
        (("made", "--format", "trl", "--round", "3"), "in this round, got 3. Remedy: --round 1"),
        (("wade", "--format", "trl"), "no such run in .*did you mean made"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    tmp_path: Path, mmst: Mmst, arguments: tuple[str, ...], says: str
) -> None:
    run(tmp_path, [RIGHT])
    to = tmp_path / "x.jsonl"
    code, _, said = mmst("export", *arguments, "--to", str(to), "--out", str(tmp_path / "store"))
    assert code == 2
    assert re.search(says, " ".join(said.split())), said
    assert not to.exists()


def test_a_run_without_a_training_set_says_how_to_go_on(tmp_path: Path, mmst: Mmst) -> None:
    made = Made(tmp_path / "store")
    made.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS})
    at = ("--to", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "store"))
    code, _, said = mmst("export", "made", "--format", "trl", *at)
    assert (code, "has no training set yet" in said) == (2, True)


def test_a_file_is_left_as_it_was_when_an_export_fails(tmp_path: Path, mmst: Mmst) -> None:
    run(tmp_path, [RIGHT], heldout=[PROBLEMS[1]])
    to = tmp_path / "x.jsonl"
    to.write_text("before")
    code, _, _ = mmst("export", "made", "--format", "openai", "--to", str(to), "--out", str(tmp_path / "store"))
    assert (code, to.read_text(), sorted(p.name for p in tmp_path.iterdir())) == (2, "before", ["store", "x.jsonl"])


@pytest.mark.server
def test_a_store_in_s3_gives_the_same_bytes(tmp_path: Path, mmst: Mmst, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    made = run(tmp_path, [RIGHT, *WRONG])
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="exports")
        copy = wiring.open_store("s3://exports/runs")
        for name in made.store.names(""):
            copy.write(name, made.store.read(name) or b"")
        for n, store in enumerate(("s3://exports/runs", str(tmp_path / "store"))):
            to = str(tmp_path / f"{n}.jsonl")
            assert mmst("export", "made", "--format", "trl", "--pairs", "--to", to, "--out", store)[0] == 0
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes() != b""
