"""The model in this process: any Hugging Face causal language model folder, decoded in batches.

Weights are read from safetensors only, because loading a pickled file runs code. A folder with its own Python files
also runs code, and needs `trust_remote_code`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmst.core.errors import ModelError
from mmst.core.ports import Message
from mmst.inference.folder import context_of_config, load_tokenizer, load_tokens
from mmst.inference.in_process import InProcess, Told
from mmst.models.loading import UNREADABLE, first_line

if TYPE_CHECKING:
    from mmst.inference.decoding import Decoding
    from mmst.inference.sequences import ActiveSequence


class LocalModel(InProcess):
    """The model in transformers; a context manager that holds its memory.

    Args:
        folder: what `save_pretrained` wrote for model and tokenizer.
        dtype: `float32`, `bfloat16` or `float16`.
        batch: rows decoded together at most.
        trust_remote_code: whether the folder's own Python files may run.
    """

    def __init__(self, folder: Path | str, *, dtype: str, batch: int, trust_remote_code: bool) -> None:
        self.folder, self.dtype, self.batch, self.trust = Path(folder), dtype, batch, trust_remote_code
        self.model: Any = None

    def __enter__(self) -> LocalModel:
        self.tokens = load_tokens(self.folder, self.trust)
        self.model, self.context = load_model(self.folder, self.dtype, self.trust)
        self.known = self.model.get_input_embeddings().num_embeddings
        return self

    def __exit__(self, *exc: object) -> None:
        self.model = None

    def decode(self, asked: Sequence[list[ActiveSequence]], on_done: Told, on_tokens: Told) -> None:
        """See `InProcess`."""
        from mmst.inference.decoding import failures

        decoding, drawn = self.decoding(), 0
        for rows in sorted(asked, key=lambda rows: len(rows[0].prompt)):
            decoding.add(rows)
        with failures():
            while decoding.busy:
                ended = decoding.step()
                on_tokens(decoding.drawn - drawn)
                drawn = decoding.drawn
                if ended:
                    on_done(len(ended))

    def decoding(self) -> Decoding:
        """A decode loop for this model."""
        from mmst.inference.decoding import Decoding

        return Decoding(self.model, self.tokens, self.batch)


def load_model(folder: Path, dtype: str, trust: bool) -> tuple[Any, int]:
    """(model, on the GPU if there is one; the size of its context in tokens); else `ModelError`."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust,
            local_files_only=True,
        )
    except (*UNREADABLE, SafetensorError) as e:
        raise ModelError(f"cannot load the model in {folder} ({first_line(e)})", remedy="see model.base") from e
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    layers = DynamicCache(config=model.config).layers
    if not all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        raise ModelError(
            f"the architecture {model.config.model_type} keeps more state than attention keys and values",
            remedy="serve it (vLLM) and set sampling.backend=openai",
        )
    return model, context_of_config(model.config, layers)


def chat_renderer(folder: Path | str) -> Callable[[Sequence[Message]], str]:
    """The folder's chat template as a function from messages to a prompt; loads no weights.

    `ModelError` if the tokenizer has no template.
    """
    tokenizer = load_tokenizer(Path(folder))
    if not tokenizer.chat_template:
        raise ModelError(
            f"prompt.style=chat needs a chat template, and the tokenizer in {folder} has none",
            remedy="use prompt.style=plain, instruct or few-shot",
        )

    def render(messages: Sequence[Message]) -> str:
        chat = [dict(m) for m in messages]
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    return render
