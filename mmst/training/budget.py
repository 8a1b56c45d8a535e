"""How much a training process computes at once: what `mmst plan` counts and the worker keeps to. No torch."""

from __future__ import annotations

from mmst.core.config import TrainConfig

LOGIT_BYTES = 64 << 20
"""The logits that are held at once, in fp32."""


def tokens_at_once(s: TrainConfig) -> int:
    """Tokens that go through the model of a rank together.

    >>> tokens_at_once(TrainConfig(batch_tokens=4096, ranks=2))
    2048
    """
    return s.micro_tokens or max(1, s.batch_tokens // s.ranks)


def logits_at_once(tokens: int, vocabulary: int) -> int:
    """Of so many learnt tokens, those whose logits are held together.

    >>> logits_at_once(4096, 152_000)
    110
    """
    return max(1, min(tokens, LOGIT_BYTES // (4 * vocabulary)))
