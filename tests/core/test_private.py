"""Who may read what a run and a command leave behind."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.core import output, private, sealed
from mmst.core.errors import StoreError
from mmst.core.stage_folder import StageFolder
from mmst.observe import progress
from mmst.runner import run_stage
from mmst.sandbox import partial
from mmst.storage.folder import FolderStore


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in (folder, *folder.rglob("*")) if mode(p) & 0o077]


def test_a_store_is_its_owners_alone(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "a" / "out")
    sealed.write(store, "runs/demo-1/config.json", "{}")
    (tmp_path / "weights").write_bytes(b"x")
    store.put_file("stages/train/1/model.bin", tmp_path / "weights")
    store.get_file("stages/train/1/model.bin", tmp_path / "a" / "cache" / "model.bin")
    stage = StageFolder.open(store, "verify", version=1, config={}, inputs={})
    with stage.alone() as scratch:
        stage.write_records("shard.jsonl", [{"a": 1}])
        assert mode(scratch) == 0o700
        assert open_to_others(tmp_path / "a") == []


def test_a_folder_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o755)
    FolderStore(tmp_path / "out").write("runs/x/a.json", b"{}")
    assert [mode(tmp_path / p) for p in ("out", "out/runs", "out/runs/x/a.json")] == [0o755, 0o700, 0o600]


def test_what_a_run_leaves_for_its_parent_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMST_FAILURE", str(tmp_path / "failure.json"))
    run_stage.record_failure(StoreError("x"))
    progress.Writer(tmp_path / "events.jsonl").show({"event": "start"})
    with progress.follow(tmp_path / "followed.jsonl"):
        pass
    assert {p.name: mode(p) for p in tmp_path.iterdir()} == dict.fromkeys(
        ("failure.json", "events.jsonl", "followed.jsonl"), 0o600
    )


def test_an_output_is_private_until_it_is_whole_and_then_as_the_umask_says(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_text("")
    target = output.find(tmp_path / "out.jsonl", source)
    with target.writing() as out:
        out.write(b"x")
        assert [mode(p) for p in tmp_path.glob(".mmst-*.part")] == [0o600]
    assert mode(tmp_path / "out.jsonl") == 0o644
    with partial.opened(target, source) as kept:
        assert mode(kept.path) == 0o600


def test_the_umask_is_read_without_changing_it() -> None:
    os.umask(0o027)
    seen = []
    threading.Thread(target=lambda: seen.append(private.umask())).start()
    assert private.umask() == 0o027
    assert os.umask(0o027) == 0o027


def test_folders_above_are_private_too(tmp_path: Path) -> None:
    private.folder(tmp_path / "a" / "b" / "c")
    assert open_to_others(tmp_path / "a") == []
    private.folder(tmp_path / "a" / "b" / "c")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        private.folder(tmp_path / "file")
