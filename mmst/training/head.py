"""Cross entropy over a large vocabulary, without ever holding all logits.

A step of 4,096 tokens and a vocabulary of 152,000 words has 2.5 GB of logits in fp32, as much again of
gradients. Here they are made in chunks, and each chunk's gradients at once, as in Liger-Kernel's fused
linear cross entropy (arXiv 2410.10989).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch.utils.checkpoint import checkpoint

from mmst.training.budget import logits_at_once


def summed_loss(head: Any, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy of `targets` (tokens), summed in fp32, from hidden states (tokens, width) through the `head`.

    What the head computes must be the logits: a model that scales or caps them afterwards is not for this.
    """
    if type(head) is torch.nn.Linear and getattr(head, "bias", None) is None:
        loss = _Linear.apply(hidden, head.weight, targets, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
        return cast(torch.Tensor, loss)
    size = logits_at_once(len(targets), int(head.out_features))
    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(targets), size):
        chunk = slice(start, start + size)
        total = total + checkpoint(_of_chunk, head, hidden[chunk], targets[chunk], use_reentrant=False)
    return total


def _of_chunk(head: Any, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = type(head).forward(head, hidden)
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")


class _Linear(torch.autograd.Function):
    """The loss and, in the same pass, its gradients: no logits are kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, learns: bool
    ) -> torch.Tensor:
        of_hidden = torch.empty_like(hidden) if learns and ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight) if learns and ctx.needs_input_grad[1] else None
        size = logits_at_once(len(targets), weight.shape[0])
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, len(targets), size):
            part, wanted = hidden[start : start + size], targets[start : start + size, None]
            logits = torch.nn.functional.linear(part, weight).float()
            whole = logits.logsumexp(1, keepdim=True)
            total += (whole - logits.gather(1, wanted)).sum()
            if of_hidden is None and of_weight is None:
                continue
            gradient = logits.sub_(whole).exp_()
            gradient.scatter_add_(1, wanted, gradient.new_full(wanted.shape, -1.0))
            gradient = gradient.to(part.dtype)
            if of_hidden is not None:
                torch.mm(gradient, weight.to(part.dtype), out=of_hidden[start : start + size])
            if of_weight is not None:
                of_weight += gradient.T @ part
        ctx.save_for_backward(of_hidden, of_weight)
        return total

    @staticmethod
    def backward(ctx: Any, scale: torch.Tensor) -> Any:
        of_hidden, of_weight = ctx.saved_tensors
        return (
            None if of_hidden is None else of_hidden * scale.to(of_hidden.dtype),
            None if of_weight is None else of_weight * scale.to(of_weight.dtype),
            None,
            None,
        )
