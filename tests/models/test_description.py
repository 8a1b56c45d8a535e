"""What a model folder says of itself, and which folders are no base models."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import ModelError
from mmst.models import model_folder
from mmst.models.description import describe


def folder(path: Path, config: dict[str, Any], tensors: dict[str, list[int]], **files: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text("{}")
    header = json.dumps({n: {"dtype": "BF16", "shape": s, "data_offsets": [0, 0]} for n, s in tensors.items()}).encode()
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for name, text in files.items():
        (path / name.replace("_md", ".md").replace("_jinja", ".jinja")).write_text(text)
    return path


def test_parameters_are_counted_from_the_headers(tmp_path: Path) -> None:
    made = folder(tmp_path / "m", {"model_type": "llama"}, {"a": [3, 4], "b": [5], "scale": []})
    assert describe(made).parameters == 18


def test_context_and_architecture_are_the_configuration_s(tmp_path: Path) -> None:
    config = {"architectures": ["Gemma3ForCausalLM"], "text_config": {"max_position_embeddings": 2048}}
    found = describe(folder(tmp_path / "m", config, {}))
    assert (found.architecture, found.context) == ("Gemma3ForCausalLM", 2048)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [a]\n---\nWords", "apache-2.0"),
        ("---\nlicense_name: gemma\n---\n", "gemma"),
        ("# A model\nlicense: none\n---\n", "none"),
        ("words", ""),
    ],
)
def test_the_licence_is_that_of_the_card(tmp_path: Path, card: str, licence: str) -> None:
    assert describe(folder(tmp_path / "m", {}, {}, README_md=card)).licence == licence


def test_a_chat_template_is_found_in_its_own_file(tmp_path: Path) -> None:
    assert not describe(folder(tmp_path / "a", {}, {})).chat_template
    assert describe(folder(tmp_path / "b", {}, {}, chat_template_jinja="x")).chat_template


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x09\0\0\0\0\0\0\0" + b'{"a": 1}'])
def test_weights_that_are_something_else_are_named(tmp_path: Path, content: bytes) -> None:
    made = folder(tmp_path / "m", {}, {})
    (made / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        describe(made)


def test_an_encoder_decoder_is_no_base_model(tmp_path: Path) -> None:
    made = folder(tmp_path / "t5", {"model_type": "t5", "is_encoder_decoder": True}, {})
    with pytest.raises(ModelError, match="encoder-decoder"):
        model_folder(str(made))


@pytest.mark.parametrize(
    "config", [{"architectures": [1]}, {"architectures": "abc"}, {"max_position_embeddings": True}]
)
def test_what_a_configuration_says_in_no_sensible_way_is_not_stated(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    found = describe(tmp_path)
    assert (found.architecture, found.context) == ("llama", 0)


@pytest.mark.parametrize("shape", ["2", 5, None])
def test_a_tensor_without_a_shape_is_refused(tmp_path: Path, shape: object) -> None:
    (tmp_path / "config.json").write_text("{}")
    header = json.dumps({"w": {"shape": shape, "dtype": "F32"}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        describe(tmp_path)
