"""`mmst clean`: dry unless told otherwise, and never below a run that is under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmst.cli.app import main
from mmst.cli.run import lock_of
from mmst.core import locks
from mmst.core.stage_folder import StageFolder
from mmst.storage.folder import FolderStore
from tests.support.runs import Made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = Made(tmp_path / "runs")
    made.whole()
    StageFolder.open(made.store, "sample", version=1, config="old", inputs={}).finish()
    return tmp_path / "runs"


def test_it_is_dry_by_default(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(FolderStore(out).names(""))
    assert main(["clean", "made", "-o", str(out)]) == 0
    assert "Nothing was deleted" in capsys.readouterr().out
    assert sorted(FolderStore(out).names("")) == before


def test_without_a_run_only_what_no_run_uses_goes(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", "--yes", "--json", "-o", str(out)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [u["stage"] for u in said["unused"]] == ["sample"]
    assert said["deleted"]
    assert main(["show", "made", "-o", str(out)]) == 0


def test_a_run_goes_with_its_logs(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Made(out).run
    logs = out / "logs" / run
    logs.mkdir(parents=True)
    (logs / "run.log").write_text("said")
    assert main(["clean", run, "made", "--yes", "-o", str(out)]) == 0, "a run that is named twice is one"
    assert not list(logs.iterdir())
    assert not list(FolderStore(out).names("runs/"))


def test_a_run_under_way_is_refused(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locks.held(lock_of(FolderStore(out), Made(out).run)):
        assert main(["clean", "made", "--yes", "-o", str(out)]) == 2
    assert "under way" in capsys.readouterr().err
    assert list(FolderStore(out).names("runs/"))


def test_logs_that_a_link_leads_to_stay(out: Path, tmp_path: Path) -> None:
    run = Made(out).run
    (tmp_path / "elsewhere" / run).mkdir(parents=True)
    (tmp_path / "elsewhere" / run / "precious").write_text("mine")
    (out / "logs").symlink_to(tmp_path / "elsewhere")
    assert main(["clean", run, "--yes", "-o", str(out)]) == 0
    assert (tmp_path / "elsewhere" / run / "precious").read_text() == "mine"


@pytest.mark.parametrize(("name", "said"), [("", "is empty"), ("mad", "only the beginning")])
def test_half_a_name_deletes_nothing(out: Path, capsys: pytest.CaptureFixture[str], name: str, said: str) -> None:
    assert main(["clean", name, "--yes", "-o", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert list(FolderStore(out).names("runs/"))


def test_an_unknown_run_deletes_nothing(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(FolderStore(out).names(""))
    assert main(["clean", "made", "nonsense", "--yes", "-o", str(out)]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert sorted(FolderStore(out).names("")) == before
