"""A model's shape, from its Hugging Face `config.json`, and figures derived from it. Pure.

Parameters, the largest layer, key-value cache and kept activations are counted from the shape
alone: no weight is loaded, so a model that is not on this machine can be planned for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmst.core.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A decoder-only transformer's shape; counts are per layer unless they say otherwise.

    `bias_qkv`, `bias_out` and `bias_mlp` say which projections have biases; `norm_vectors` is 1
    for RMSNorm and 2 for LayerNorm (scale and shift); `head_norms` for norms of each head's
    queries and keys. `keeps_scores`: attention is computed step by step, so its matrix is kept.
    """

    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    mlp: int
    vocabulary: int
    context: int
    tied: bool
    gated: bool = True
    bias_qkv: bool = False
    bias_out: bool = False
    bias_mlp: bool = False
    norm_vectors: int = 1
    head_norms: bool = False
    embedding_norm: bool = False
    keeps_scores: bool = False

    @property
    def queries(self) -> int:
        """Width of a token's queries: heads x head size."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Width of a token's keys, and of its values."""
        return self.kv_heads * self.head_size

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer: attention, feed-forward network and norms."""
        h, q, k, f = self.hidden, self.queries, self.keys, self.mlp
        attention = h * (q + 2 * k) + q * h + self.bias_qkv * (q + 2 * k) + self.bias_out * h
        inputs = 2 if self.gated else 1
        feed_forward = (inputs + 1) * h * f + self.bias_mlp * (inputs * f + h)
        return attention + feed_forward + 2 * self.norm_vectors * h + self.head_norms * 2 * self.head_size

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the token embedding, which the output layer shares when `tied`."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        norms = (1 + self.embedding_norm) * self.norm_vectors * self.hidden
        return self.layers * self.layer_parameters + (1 if self.tied else 2) * self.embedding_parameters + norms

    @property
    def matrix_parameters(self) -> int:
        """Parameters that every token is multiplied by: the layers and the output layer."""
        return self.layers * self.layer_parameters + self.embedding_parameters

    @property
    def largest_module_parameters(self) -> int:
        """Parameters of the largest single module, as DeepSpeed counts it: an embedding or one projection."""
        return max(self.embedding_parameters, self.hidden * self.mlp)

    def kv_bytes(self, size: int) -> int:
        """Bytes of keys and values that one token adds to the cache, at `size` bytes per number.

        2 x layers x kv_heads x head_size x size: Kwon et al. 2023 (vLLM), arXiv 2309.06180, section 3.
        """
        return 2 * self.layers * self.keys * size

    def activation_bytes(self, size: int, row: int, recomputed: bool = False) -> int:
        """Bytes that one token of a row of `row` tokens keeps in all layers for the backward pass.

        At `size` bytes a number. `recomputed`: only each layer's input is kept, and the rest is made
        again for one layer at a time (gradient checkpointing).
        """
        if recomputed:
            return self.layers * size * self.hidden + self.layer_activation_bytes(size, row)
        return self.layers * self.layer_activation_bytes(size, row)

    def layer_activation_bytes(self, size: int, row: int) -> int:
        """The part of it that one layer keeps.

        Inputs and outputs of the norms, queries, keys, values, the attention's output, and the
        feed-forward network's inner vectors.
        """
        norms = 2 * (2 * size if self.norm_vectors == 2 else 2 * size + 4) * self.hidden
        attention = size * (2 * self.queries + 2 * self.keys)
        # Kept: the softmax in fp32, and its copy in the weights' type.
        scores = self.heads * row * (size + 4 if size < 4 else size) if self.keeps_scores else 0
        feed_forward = size * (4 if self.gated else 2) * self.mlp
        return norms + attention + scores + feed_forward


def architecture(config: Mapping[str, Any], where: str) -> Architecture:
    """The shape in a `config.json`; `ModelError` if it is unknown or incomplete.

    >>> architecture({"model_type": "mamba"}, "config.json")
    Traceback (most recent call last):
    mmst.core.errors.ModelError: `mmst plan` does not know the architecture in config.json, got 'mamba'. \
Remedy: it knows bloom, llama, mistral, qwen2, qwen3
    """
    kind = config.get("model_type")
    if kind not in _KINDS:
        raise ModelError(
            f"`mmst plan` does not know the architecture in {where}",
            value=kind,
            remedy=f"it knows {', '.join(sorted(_KINDS))}",
        )
    try:
        return _KINDS[kind](config)
    except KeyError as e:
        raise ModelError(f"{where} lacks {e}", remedy="pass the model's own config.json") from None


def _bloom(c: Mapping[str, Any]) -> Architecture:
    hidden, heads = _first(c, "hidden_size", "n_embed"), _first(c, "num_attention_heads", "n_head")
    return Architecture(
        kind="bloom",
        hidden=hidden,
        layers=_first(c, "num_hidden_layers", "n_layer"),
        heads=heads,
        kv_heads=heads,
        head_size=hidden // heads,
        mlp=4 * hidden,
        vocabulary=c["vocab_size"],
        context=c.get("seq_length", 2048),
        tied=c.get("tie_word_embeddings", True),
        gated=False,
        bias_qkv=True,
        bias_out=True,
        bias_mlp=True,
        norm_vectors=2,
        embedding_norm=True,
        keeps_scores=True,
    )


def _llama(c: Mapping[str, Any]) -> Architecture:
    kind, hidden, heads = c["model_type"], c["hidden_size"], c["num_attention_heads"]
    bias = c.get("attention_bias", False)
    return Architecture(
        kind=kind,
        hidden=hidden,
        layers=c["num_hidden_layers"],
        heads=heads,
        kv_heads=c.get("num_key_value_heads") or heads,
        head_size=c.get("head_dim") or hidden // heads,
        mlp=c["intermediate_size"],
        vocabulary=c["vocab_size"],
        context=c.get("max_position_embeddings", 2048),
        tied=c.get("tie_word_embeddings", False),
        bias_qkv=kind == "qwen2" or bias,
        bias_out=kind != "qwen2" and bias,
        bias_mlp=c.get("mlp_bias", False),
        head_norms=kind == "qwen3",
    )


def _first(c: Mapping[str, Any], *names: str) -> int:
    """The first of several names for the same figure that a configuration has."""
    for name in names:
        if c.get(name):
            return int(c[name])
    raise KeyError(names[0])


_KINDS: dict[Any, Callable[[Mapping[str, Any]], Architecture]] = {
    "bloom": _bloom,
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
}
