"""The loss of completions: from rows of tokens to one number, in the least memory that the model allows.

Two things are done where the model allows them, which a trial of a few tokens finds out when training begins:
rows are packed (`mmst.training.packing`), and logits are made in chunks of learnt tokens only
(`mmst.training.head`). Where a model computes something else so (it attends in a way of its own, scales its
logits), its rows are padded and all logits made, as its authors have it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch

from mmst.training.data import TokenizedExample
from mmst.training.head import summed_loss
from mmst.training.packing import NAME, Packed, pack, packable

log = logging.getLogger(__name__)

TRIAL = (TokenizedExample([5, 9, 3, 7, 4], 2), TokenizedExample([6, 3, 8, 5, 9, 4, 7], 4))
"""Rows that are tried; every tokenizer has as many tokens."""
EXACT = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""By how much of itself the trial's loss may differ."""


class CompletionLoss:
    """Cross entropy of the completions' tokens, summed, as `model` computes it."""

    def __init__(self, model: Any, call: Callable[..., Any], device: torch.device, dtype: torch.dtype) -> None:
        """`call` is the model, or the engine around it, and computes in `dtype`; a collective where calling is one."""
        self._model, self._call, self._device, self._dtype = model, call, device, dtype
        self._head = model.get_output_embeddings()
        self.packs = self.chunks = False
        if getattr(model, "_supports_attention_backend", False) and packable(model.config):
            self._try()

    def __call__(self, rows: Sequence[TokenizedExample]) -> torch.Tensor:
        """The loss of these rows together, which the device has room for."""
        if not self.packs:
            ids, learnt = pad(rows, self._device)
            return completion_loss(self._call(input_ids=ids, use_cache=False).logits, ids, learnt)
        packed = pack(rows, self._device)
        if not self.chunks:
            return torch.nn.functional.cross_entropy(self._predicted(packed).float(), packed.targets, reduction="sum")
        with self._in_chunks(packed.targets):
            return self._predicted(packed).sum()

    def _predicted(self, packed: Packed) -> torch.Tensor:
        """Logits of the tokens that are learnt (tokens, vocabulary), or what the head gives instead."""
        out = self._call(
            input_ids=packed.ids,
            position_ids=packed.positions,
            runs=packed.runs,
            logits_to_keep=packed.predicting,
            use_cache=False,
        )
        return cast(torch.Tensor, out.logits[0])

    @contextlib.contextmanager
    def _in_chunks(self, targets: torch.Tensor) -> Iterator[None]:
        """While the model is called, its head gives the loss instead of logits.

        The head is still called as a module, so that engines that shard weights gather them for it.
        """
        head = self._head
        head.forward = lambda hidden: summed_loss(head, hidden[0], targets)[None, None, None]
        try:
            yield
        finally:
            del head.forward

    def _try(self) -> None:
        """Find out what this model allows; leaves it as it was where it allows nothing."""
        before, training = self._model.config._attn_implementation, self._model.training
        packed = pack(TRIAL, self._device)
        self._model.eval()
        try:
            with torch.no_grad():
                ids, learnt = pad(TRIAL, self._device)
                wanted = self._call(input_ids=ids, use_cache=False).logits[:, :-1][learnt[:, 1:]]
                self._model.set_attn_implementation(NAME)
                self.packs = self._same(self._predicted(packed), wanted)
                if self.packs:
                    with self._in_chunks(packed.targets):
                        loss = self._predicted(packed).sum()
                    whole = torch.nn.functional.cross_entropy(wanted.float(), packed.targets, reduction="sum")
                    self.chunks = self._same(loss, whole)
        except (TypeError, ValueError, RuntimeError) as e:
            log.info("this model's rows are padded: %s", e)
        self._model.train(training)
        if not self.packs:
            self._model.set_attn_implementation(before)

    def _same(self, found: torch.Tensor, wanted: torch.Tensor) -> bool:
        return bool((found - wanted).abs().max() <= EXACT[self._dtype] * wanted.abs().max())


def pad(rows: Sequence[TokenizedExample], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (rows, tokens), padded on the right, and where a token is to be learnt (a mask).

    A causal model needs no attention mask for padding on the right: nothing looks that way.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + row.ids[-1:] * (width - len(row.ids)) for row in rows])
    at = torch.arange(width)
    starts, ends = (torch.tensor([[n] for n in ns]) for ns in zip(*((r.start, len(r.ids)) for r in rows), strict=True))
    return ids.to(device), ((at >= starts) & (at < ends)).to(device)


def completion_loss(logits: torch.Tensor, ids: torch.Tensor, learnt: torch.Tensor) -> torch.Tensor:
    """Cross entropy summed over the completions' tokens, in fp32."""
    wanted = learnt[:, 1:]
    return torch.nn.functional.cross_entropy(logits[:, :-1][wanted].float(), ids[:, 1:][wanted], reduction="sum")
