"""Tiny causal language models with random weights, saved as any Hugging Face model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ARCHITECTURES = ("bloom", "llama", "qwen2")
WORDS = ("Question:", "Text:", "Python:", "print", "The", "answer", "is", "has", "apples", "how", "many")
TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def tiny_model(folder: Path, architecture: str = "llama", *, seed: int = 0, chat: bool = False) -> Path:
    """A random model of one of `ARCHITECTURES` (2 layers, width 32), with its tokenizer, in `folder`."""
    import torch

    tokenizer = tiny_tokenizer(chat=chat)
    torch.manual_seed(seed)
    model = _model(architecture, len(tokenizer))
    with torch.no_grad():
        for p in model.parameters():  # the usual start is so even that sampling tells little apart
            if p.dim() > 1:
                p.normal_(0.0, 0.3)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokenizer(*, chat: bool = False) -> Any:
    """Byte-level BPE with a few whole words: any text passes through it unchanged."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(list(WORDS))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    if chat:
        wrapped.chat_template = TEMPLATE
    return wrapped


def _model(architecture: str, vocabulary: int) -> Any:
    from transformers import (
        BloomConfig,
        BloomForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    ids = {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if architecture == "bloom":
        return BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=4, **ids))
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
    }
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape, **ids))
    return Qwen2ForCausalLM(Qwen2Config(**shape, **ids))
