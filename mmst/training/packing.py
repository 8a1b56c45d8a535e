"""Rows of tokens side by side in one, without padding, where none sees its neighbours.

Every row keeps its own positions, and attention goes from row to row: `attention` is registered with
transformers and computes each stretch of equally long rows by itself, so there is neither padding nor a mask
of [tokens, tokens]. Only what attends needs to know; all other layers work token by token.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from mmst.training.data import TokenizedExample

NAME = "mmst_packed"


ATTENDING = {"full_attention", "sliding_attention"}
"""Kinds of layers that `attention` computes."""
STRETCHED = {"dynamic", "longrope"}
"""Rotations whose angles follow the longest row of a call, and so, in a pack, that of the neighbours."""


def packable(config: Any) -> bool:
    """Whether a model's configuration says that rows can be packed: what differs only in long rows, no trial shows."""
    text = config.get_text_config(decoder=True)
    kinds = set(getattr(text, "layer_types", None) or ())
    rope = getattr(text, "rope_parameters", None) or {}
    each = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    turned = {part.get("rope_type") for part in each}
    return kinds <= ATTENDING and not turned & STRETCHED and not getattr(text, "attention_chunk_size", None)


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows as one: ids and positions (1, tokens); where tokens are learnt, they are predicted one before."""

    ids: torch.Tensor
    positions: torch.Tensor
    runs: tuple[tuple[int, int], ...]
    """(rows, tokens of each), in order."""
    predicting: torch.Tensor
    """Places in the row whose next token is learnt."""
    targets: torch.Tensor
    """Those next tokens."""


def pack(rows: Sequence[TokenizedExample], device: torch.device) -> Packed:
    """The rows by length, so that equal ones are attended to together."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    ids = [token for row in ordered for token in row.ids]
    starts = itertools.accumulate((len(row.ids) for row in ordered), initial=0)
    predicting = [at + i - 1 for at, row in zip(starts, ordered, strict=False) for i in range(row.first, len(row.ids))]
    where = torch.tensor(predicting)
    whole = torch.tensor(ids)
    return Packed(
        ids=whole[None].to(device),
        positions=torch.cat([torch.arange(len(row.ids)) for row in ordered])[None].to(device),
        runs=tuple((len(list(same)), n) for n, same in itertools.groupby(len(row.ids) for row in ordered)),
        predicting=where.to(device),
        targets=whole[where + 1].to(device),
    )


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    runs: Sequence[tuple[int, int]] | None = None,
    sliding_window: int | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row; without `runs`, within each row of the batch.

    Query, key and value are (1, heads, tokens, head size); the result is (1, tokens, heads, head size).
    """
    settings.pop("is_causal", None)
    if runs is None:
        runs = ((1, query.shape[2]),)
        if query.shape[0] > 1:
            mask = banded(query.shape[2], sliding_window, query.device)
            return cast(tuple[torch.Tensor, None], sdpa_attention_forward(module, query, key, value, mask, **settings))
    sizes = [rows * tokens for rows, tokens in runs]
    # Split, not sliced: the gradients of slices are each as large as the whole.
    stretches = zip(*(torch.split(x[0], sizes, dim=1) for x in (query, key, value)), strict=True)
    found = []
    for (rows, tokens), stretch in zip(runs, stretches, strict=True):
        parts = (rowwise(x, rows, tokens) for x in stretch)
        mask = banded(tokens, sliding_window, query.device)
        out, _ = sdpa_attention_forward(module, *parts, mask, **settings)
        found.append(out.reshape(1, rows * tokens, *out.shape[2:]))
    return torch.cat(found, dim=1), None


def rowwise(x: torch.Tensor, rows: int, tokens: int) -> torch.Tensor:
    """(heads, rows * tokens, size) -> (rows, heads, tokens, size)."""
    return x.view(x.shape[0], rows, tokens, -1).transpose(0, 1)


def banded(tokens: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """The mask of sliding attention (true: seen); None where no row is longer than the window."""
    if window is None or tokens <= window:
        return None
    distance = torch.arange(tokens, device=device)[:, None] - torch.arange(tokens, device=device)[None]
    return (distance >= 0) & (distance < window)


AttentionInterface.register(NAME, attention)
