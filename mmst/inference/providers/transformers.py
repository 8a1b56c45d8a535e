"""The model in this process: any Hugging Face causal language model folder, decoded in batches.

Weights are read from safetensors only, because loading a pickled file runs code. A folder with its own Python files
also runs code, and needs `trust_remote_code`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmst.core.errors import ModelError, PromptError
from mmst.core.ports import Completion, Message, Request, failed

if TYPE_CHECKING:
    from mmst.inference.decoding import Decoding
    from mmst.inference.sequences import ActiveSequence
    from mmst.inference.tokenizer import Tokens

UNREADABLE = (OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, RecursionError, OverflowError)
"""Errors that transformers raises for files with unexpected content."""
SAVE = "save it with tokenizer.save_pretrained(folder)"


class LocalModel:
    """Fulfils `ports.Sampler`; a context manager that holds the model's memory.

    Args:
        folder: what `save_pretrained` wrote for model and tokenizer.
        dtype: `float32`, `bfloat16` or `float16`.
        batch: rows decoded together at most.
        trust_remote_code: whether the folder's own Python files may run.
    """

    def __init__(self, folder: Path | str, *, dtype: str, batch: int, trust_remote_code: bool) -> None:
        self.folder, self.dtype, self.batch, self.trust = Path(folder), dtype, batch, trust_remote_code
        self.model: Any = None
        self.tokens: Tokens
        self.context = 0

    def __enter__(self) -> LocalModel:
        self.tokens = load_tokens(self.folder, self.trust)
        self.model, self.context = load_model(self.folder, self.dtype, self.trust)
        return self

    def __exit__(self, *exc: object) -> None:
        self.model = None

    def sample(
        self, requests: Sequence[Request], on_done: Callable[[int], None] = lambda n: None
    ) -> list[list[Completion]]:
        """The n completions of each request; see `ports.Sampler`. If its prompt does not fit, they are `failed`."""
        from mmst.inference.decoding import failures

        asked = [self._asked(request) for request in requests]
        decoding = self.decoding()
        for rows in sorted((a for a in asked if isinstance(a, list)), key=lambda rows: len(rows[0].prompt)):
            decoding.add(rows)
        if refused := sum(r.n for r, a in zip(requests, asked, strict=True) if isinstance(a, Completion)):
            on_done(refused)
        with failures():
            while decoding.busy:
                if ended := decoding.step():
                    on_done(len(ended))
        return [
            [row.completion for row in a] if isinstance(a, list) else [a] * request.n
            for request, a in zip(requests, asked, strict=True)
        ]

    def _asked(self, request: Request) -> list[ActiveSequence] | Completion:
        """The rows of a request, or why there are none: a prompt that does not fit affects no other request."""
        try:
            return self.rows(request)
        except PromptError as e:
            return failed(f"prompt: {e.what}")

    def rows(self, request: Request) -> list[ActiveSequence]:
        """The rows of a request; `PromptError` if its prompt does not fit."""
        from mmst.inference.sequences import sequences_of

        about = f"problem {request.problem_id}" if request.problem_id else ""
        prompt = self.tokens.prompt(request.prompt, self.context, about)
        if max(prompt) >= (known := self.model.get_input_embeddings().num_embeddings):
            raise ModelError(
                f"the tokenizer in {self.folder} produces token {max(prompt)}, but the model knows {known}",
                remedy="give the model its own tokenizer, or resize its embeddings",
            )
        return sequences_of(request, prompt, self.context)

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
        raise ModelError(f"cannot load the model in {folder} ({_line(e)})", remedy="see model.base") from e
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    layers = DynamicCache(config=model.config).layers
    if not all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        raise ModelError(
            f"the architecture {model.config.model_type} keeps more state than attention keys and values",
            remedy="serve it (vLLM) and set sampling.backend=openai",
        )
    config = model.config.get_text_config(decoder=True)
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    limits += [getattr(layer, "sliding_window", None) for layer in layers]
    return model, min((int(limit) for limit in limits if limit), default=1 << 20)


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
        _check_json(folder / name)
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust, local_files_only=True)
    except UNREADABLE as e:
        raise ModelError(f"cannot load the tokenizer in {folder} ({_line(e)})", remedy=SAVE) from e


def _check_json(path: Path) -> None:
    """`ModelError` for a file on which the native loaders would crash without an error of their own."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{path} cannot be read as JSON ({_line(e)})", remedy="copy or download it again") from e
    if not isinstance(found, dict):
        raise ModelError(f"{path} contains no JSON object", value=found, remedy="copy or download it again")


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


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
