"""What transformers reads of a model folder beside its weights: tokenizer, end tokens, context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmst.core.errors import ModelError
from mmst.models.loading import UNREADABLE, first_line, json_object

if TYPE_CHECKING:
    from mmst.inference.tokenizer import Tokens

CHATML = ("<|im_start|>", "<|im_end|>")
"""What begins and ends a turn of a chat template in ChatML."""
SAVE = "save it with tokenizer.save_pretrained(folder)"


def context_of(folder: Path) -> int:
    """The tokens that the context of a folder's model holds; loads no weights."""
    from transformers import AutoConfig, DynamicCache

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except UNREADABLE as e:
        raise ModelError(f"cannot read the model in {folder} ({first_line(e)})", remedy="see model.base") from e
    return context_of_config(config, DynamicCache(config=config).layers)


def context_of_config(config: Any, layers: Sequence[Any]) -> int:
    """The tokens that a configuration's context, and its layers' windows, hold."""
    text = config.get_text_config(decoder=True)
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "n_positions")]
    limits += [getattr(layer, "sliding_window", None) for layer in layers]
    return min((int(limit) for limit in limits if limit), default=1 << 20)


def load_tokens(folder: Path, trust: bool) -> Tokens:
    """The folder's tokenizer, with every end token: those that its configurations name, and ChatML's end of turn."""
    from transformers import GenerationConfig

    from mmst.inference.tokenizer import Tokens

    tokenizer = load_tokenizer(folder, trust)
    try:
        named = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:
        named = None
    ends = {tokenizer.eos_token_id, turn_end(tokenizer), *(named if isinstance(named, list) else [named])}
    return Tokens(tokenizer, frozenset(e for e in ends if e is not None))


def turn_end(tokenizer: Any) -> int | None:
    """The token that ends a turn, where the tokenizer's chat template is in ChatML; None where it is not.

    A model that was trained on such turns writes it, also where its configuration names another end token (that
    of the base model that it was made from), and would go on with the next turn, its user's.
    """
    template = tokenizer.chat_template
    texts = template.values() if isinstance(template, dict) else [template or ""]
    if not any(all(mark in text for mark in CHATML) for text in texts):
        return None
    token = tokenizer.convert_tokens_to_ids(CHATML[1])
    known = isinstance(token, int) and tokenizer.convert_ids_to_tokens(token) == CHATML[1]
    return token if known else None


class Framing(NamedTuple):
    """What stands around the texts of a folder's model, as a server must be told it."""

    start: str
    """The text of the token that the tokenizer puts before a text by itself; "" for none."""
    start_tokens: int
    """The tokens of the text "1", with it."""
    turn_end: str
    """ChatML's end of turn; "" if the template is another."""
    turn_end_token: int | None
    """Its token, where the tokenizer names another as its end token."""


def framing(folder: Path, trust: bool = False) -> Framing:
    """See `Framing`."""
    tokenizer = load_tokenizer(folder, trust)
    ids = tokenizer("1")["input_ids"]
    begins = tokenizer.bos_token and ids[:1] == [tokenizer.bos_token_id]
    end = turn_end(tokenizer)
    return Framing(
        tokenizer.bos_token if begins else "",
        len(ids),
        "" if end is None else CHATML[1],
        None if end == tokenizer.eos_token_id else end,
    )


def counter(file: Path) -> Callable[[Sequence[str]], list[int]]:
    """How many tokens texts are for a tokenizer.json, its own start and end tokens left out; or `ModelError`."""
    from tokenizers import Tokenizer

    json_object(file)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as e:  # tokenizers raises nothing narrower
        raise ModelError(f"cannot load the tokenizer in {file} ({first_line(e)})", remedy=SAVE) from e
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda texts: [len(e) for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def load_tokenizer(folder: Path, trust: bool = False) -> Any:
    """The folder's tokenizer, or `ModelError`."""
    from transformers import AutoTokenizer

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if (folder / name).exists():
            json_object(folder / name)
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, local_files_only=True)
    except UNREADABLE as e:
        raise ModelError(f"cannot load the tokenizer in {folder} ({first_line(e)})", remedy=SAVE) from e
