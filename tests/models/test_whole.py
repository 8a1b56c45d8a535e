"""A model folder that is not whole, or whose parts do not fit together, is refused in one line that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import ModelError
from mmst.models import model_folder, whole

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped model."""
    return Path(shutil.copytree(model_folder("mmst:tiny"), tmp_path / "model"))


def change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **keys}), encoding="utf-8")


def weights(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def test_the_shipped_model_is_whole() -> None:
    whole.check(model_folder("mmst:tiny"))


def cut_off(folder: Path) -> None:
    content = weights(folder).read_bytes()
    weights(folder).write_bytes(content[:-1])


def cut_off_in_the_header(folder: Path) -> None:
    weights(folder).write_bytes(weights(folder).read_bytes()[:100])


def empty(folder: Path) -> None:
    weights(folder).write_bytes(b"")


def a_page_instead(folder: Path) -> None:
    """What a download that failed leaves, and a pointer of Git LFS."""
    weights(folder).write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


def a_file_missing(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": weights(folder).name, "b": "model-2.safetensors"}}))


def a_tensor_missing(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a.weight": weights(folder).name}}))


def other_width(folder: Path) -> None:
    change(folder / "config.json", hidden_size=4096)


def other_vocabulary(folder: Path) -> None:
    change(folder / "config.json", vocab_size=32_000)


def more_layers(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=48)


def other_tokenizer(folder: Path) -> None:
    vocabulary = {"<unk>": 0, "the": 151_643}
    change(folder / "tokenizer.json", model={"type": "BPE", "vocab": vocabulary, "merges": []})


def a_turn_that_never_got_a_row(folder: Path) -> None:
    """Chat tokens added by somebody who did not resize the embedding."""
    change(folder / "tokenizer.json", added_tokens=[{"id": 151_645, "content": "<|im_end|>"}])
    change(folder / "tokenizer_config.json", chat_template="{{ messages[0].content }}<|im_end|>")


def no_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut_off, "model.safetensors is cut off: "),
        (cut_off_in_the_header, "model.safetensors cannot be read as safetensors"),
        (empty, "model.safetensors cannot be read as safetensors"),
        (a_page_instead, "model.safetensors cannot be read as safetensors"),
        (a_file_missing, f"lacks model-2.safetensors of the weights that {INDEX} lists"),
        (a_tensor_missing, f"lacks the weights a.weight that {INDEX} lists"),
        (other_width, "config.json: hidden_size is 4,096, and the weights have"),
        (other_vocabulary, "config.json: vocab_size is 32,000, and the weights have"),
        (more_layers, "config.json: num_hidden_layers is 48, and the weights have"),
        (other_tokenizer, "tokenizer.json is another model's: it has a token 151,643"),
        (a_turn_that_never_got_a_row, "tokenizer.json is another model's: it has a token 151,645"),
        (no_configuration, "config.json contains no JSON object"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(folder: Path, harm: Callable[[Path], None], said: str) -> None:
    harm(folder)
    with pytest.raises(ModelError) as refused:
        whole.check(folder)
    assert said in str(refused.value)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_token_that_no_text_is_made_of_may_be_beyond_the_embedding(folder: Path) -> None:
    """The text models of Gemma 3: 262,144 rows, and a token of that number for the images of their larger sisters."""
    beyond = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    tokens.append({**tokens[0], "id": beyond, "content": "<image_soft_token>"})
    change(folder / "tokenizer.json", added_tokens=tokens)
    change(folder / "tokenizer_config.json", image_token="<image_soft_token>")
    whole.check(folder)


def test_a_chat_needs_a_template(folder: Path) -> None:
    with pytest.raises(ModelError, match="needs a chat template"):
        whole.check(folder, chat=True)
    change(folder / "tokenizer_config.json", chat_template="{{ messages }}")
    whole.check(folder, chat=True)
