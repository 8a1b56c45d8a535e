"""What transformers reads of a model folder beside its weights: tokenizer, end tokens, context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmst.core.errors import ModelError
from mmst.models.loading import UNREADABLE, first_line, json_object

if TYPE_CHECKING:
    from mmst.inference.tokenizer import Tokens

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
    """The folder's tokenizer, with every end token that its configurations name."""
    from transformers import GenerationConfig

    from mmst.inference.tokenizer import Tokens

    tokenizer = load_tokenizer(folder, trust)
    try:
        named = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:
        named = None
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return Tokens(tokenizer, frozenset(e for e in ends if e is not None))


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
