"""The starting checkpoint: which folders can be one, and what is stored of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmst.core.config import parse
from mmst.core.errors import ModelError
from mmst.core.manifest import Manifest, Place
from mmst.core.weights import checkpoint_folder
from mmst.models import model_folder
from mmst.observe.progress import Quiet
from mmst.stages import base_model
from mmst.storage.folder import FolderStore
from mmst.wiring import Wired

PLACE = Place(run="r", round=0, arm="base", step="base_model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (made / "model.safetensors").write_bytes(b"weights")
    (made / "tokenizer.json").write_text("{}")
    return made


def run(model: Path, out: Path) -> Manifest:
    return base_model.BaseModel().run(
        Wired(parse({"model": {"base": str(model)}, "out": str(out)}), Quiet()), PLACE, {}
    )


def test_a_small_model_is_copied_into_the_store(folder: Path, tmp_path: Path) -> None:
    made = run(folder, tmp_path / "out")
    copied = checkpoint_folder(FolderStore(tmp_path / "out"), made)
    assert copied != folder
    assert (copied / "model.safetensors").read_bytes() == b"weights"


def test_a_large_model_is_used_where_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_model, "COPY_BELOW", 3)
    made = run(folder, tmp_path / "out")
    assert checkpoint_folder(FolderStore(tmp_path / "out"), made) == folder


def test_the_same_model_in_another_folder_is_the_same_checkpoint(folder: Path, tmp_path: Path) -> None:
    first = run(folder, tmp_path / "out")
    moved = folder.rename(tmp_path / "another name")
    assert run(moved, tmp_path / "out2").digest == first.digest


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "no .safetensors weights"),
    ],
)
def test_a_folder_that_lacks_something_is_refused_by_name(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], object], names: str
) -> None:
    spoil(folder)
    with pytest.raises(ModelError, match=names):
        run(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "stages").exists()


def test_an_unknown_shipped_model_names_those_there_are() -> None:
    with pytest.raises(ModelError, match="mmst:tiny"):
        model_folder("mmst:huge")
