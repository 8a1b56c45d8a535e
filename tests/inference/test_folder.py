"""What is read of a model folder beside its weights: where its completions end, and what stands around its texts."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from tokenizers.processors import TemplateProcessing

from mmst.core.errors import ModelError
from mmst.inference.folder import counter, framing, load_tokenizer, load_tokens
from mmst.inference.sequences import sequences_of
from mmst.models import model_folder
from tests.support.serving import request_of
from tests.support.tiny_models import tiny_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def folder_of(tokenizer: Any, folder: Path) -> Path:
    tokenizer.save_pretrained(folder)
    return folder


def chatml(end: str = "</s>", template: str = CHATML) -> Any:
    """A tokenizer with ChatML's tokens, of a model whose end token is `end`."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template, tokenizer.eos_token = template, end
    return tokenizer


def test_a_model_with_a_template_in_chatml_ends_at_the_end_of_its_turn_whatever_end_token_it_names(
    tmp_path: Path,
) -> None:
    tokens = load_tokens(folder_of(chatml(), tmp_path), trust=False)
    (row, *_) = sequences_of(request_of(1), tokens.bare("ab"), 512)
    for piece in tokens.bare("cd<|im_end|>"):
        assert row.finish == ""
        row.take(piece, 0.0)
        ended = tokens.ends(row)
    assert ended
    assert (row.text, row.finish) == ("cd", "stop")


@pytest.mark.parametrize(
    ("tokenizer", "ends"),
    [
        (lambda: chatml(end="<|im_end|>"), {"<|im_end|>"}),
        (lambda: chatml(), {"</s>", "<|im_end|>"}),
        (lambda: chatml(template="{{ messages }}"), {"</s>"}),
        (lambda: tiny_tokenizer(), {"</s>"}),
        (lambda: tiny_tokenizer(chat=True), {"</s>"}),
    ],
    ids=["named already", "another named", "another template", "no template", "chat, not ChatML"],
)
def test_the_tokens_that_end_a_completion(tokenizer: Any, ends: set[str], tmp_path: Path) -> None:
    tokens = load_tokens(folder_of(tokenizer(), tmp_path), trust=False)
    assert set(tokens.tokenizer.convert_ids_to_tokens(sorted(tokens.end_tokens))) == ends


def test_a_template_in_chatml_without_the_token_ends_nothing(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHATML
    folder = folder_of(tokenizer, tmp_path)
    assert load_tokens(folder, trust=False).end_tokens == {2}
    assert framing(folder).turn_end == ""


def test_a_server_is_told_the_end_of_a_turn_and_its_token_only_where_it_would_not_end_there(tmp_path: Path) -> None:
    right, other = folder_of(chatml(end="<|im_end|>"), tmp_path / "right"), folder_of(chatml(), tmp_path / "other")
    assert framing(right)[-2:] == ("<|im_end|>", None)
    assert framing(other)[-2:] == ("<|im_end|>", chatml().convert_tokens_to_ids("<|im_end|>"))


def test_a_start_token_is_one_that_the_tokenizer_adds_by_itself(tmp_path: Path) -> None:
    adds, named = tiny_tokenizer(), tiny_tokenizer()
    adds.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    begun = framing(folder_of(adds, tmp_path / "adds"))
    assert (begun.start, begun.start_tokens) == ("<s>", len(named("1")["input_ids"]) + 1)
    assert framing(folder_of(named, tmp_path / "named")).start == ""


TEXTS = ["", "1", " 1", "Ann has 12 apples.\nHow many?", "print ( a // 2 )", "naïve 🙂", "<s>Text:</s>", "x" * 3000]


@pytest.fixture(params=["shipped", "tiny"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "shipped":
        return model_folder("mmst:tiny")
    tiny_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_tokens_are_counted_as_transformers_does(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    expected = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    assert counter(folder / "tokenizer.json")(TEXTS) == expected


def test_a_tokenizer_that_is_none_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot load the tokenizer"):
        counter(tmp_path / "tokenizer.json")
