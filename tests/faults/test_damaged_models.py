"""A model folder of the user's with a damaged file: the file is named, and it is the input that is wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmst.core.errors import ModelError
from mmst.models import SHIPPED, whole

JSON = {
    "cut": b'{"model_type": "lla',
    "empty": b"",
    "a list": b"[1]",
    "null": b"null",
    "deep": b'{"a":' * 50_000,
    "no text": b"\xff\xfe\x00",
    "a large number": b'{"vocab_size": 1' + b"0" * 5000 + b"}",
}
WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "no header": lambda data: b"\xff" * len(data),
    "another header": lambda data: data[:8] + b"[" * 100 + data[108:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "tiny", tmp_path / "model"))


@pytest.mark.parametrize("damage", JSON)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_configuration_is_a_model_error(name: str, damage: str, folder: Path) -> None:
    from mmst.inference.folder import load_tokenizer

    (folder / name).write_bytes(JSON[damage])
    with pytest.raises(ModelError, match=rf"{name}.*Remedy"):
        load_tokenizer(folder)


@pytest.mark.parametrize("damage", JSON)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_damaged_configuration_is_found_before_anything_is_loaded(name: str, damage: str, folder: Path) -> None:
    (folder / name).write_bytes(JSON[damage])
    with pytest.raises(ModelError, match=rf"{name}.*Remedy"):
        whole.check(folder)


@pytest.mark.parametrize("damage", WEIGHTS)
def test_damaged_weights_are_found_before_anything_is_loaded(damage: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(WEIGHTS[damage](path.read_bytes()))
    with pytest.raises(ModelError, match=r"model\.safetensors .*Remedy"):
        whole.check(folder)


@pytest.mark.parametrize("damage", WEIGHTS)
def test_damaged_weights_are_a_model_error(damage: str, folder: Path) -> None:
    from mmst.inference.providers.transformers import load_model

    path = folder / "model.safetensors"
    path.write_bytes(WEIGHTS[damage](path.read_bytes()))
    with pytest.raises(ModelError, match=r"cannot load the model in .*Remedy"):
        load_model(folder, "float32", False)
