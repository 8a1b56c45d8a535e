"""What the engines of the fine-tuning worker have in common: how rows become a loss, and what each adds to it."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.training.data import TokenizedExample
from mmst.training.export import causal
from mmst.training.loss import CompletionLoss


def computed_in(s: TrainConfig) -> torch.dtype:
    """The dtype that the model computes in."""
    return torch.bfloat16 if s.precision == "bfloat16" else torch.float32


class Engine(ABC):
    """Trains one model. Every rank calls its methods alike, as several of them are collectives where there are ranks.

    `network` is what is called: the `model`, or what DeepSpeed has put around it.
    """

    def __init__(
        self,
        spec: TrainSpec,
        s: TrainConfig,
        model: Any,
        network: Any,
        device: torch.device,
        computing: AbstractContextManager[Any] | None = None,
    ) -> None:
        """Losses are computed within `computing`."""
        self.spec, self.settings, self.base = spec, s, Path(spec.model)
        self.model, self.network, self.device = model, network, device
        self._computing = computing or contextlib.nullcontext()
        with self._computing:
            self._loss = CompletionLoss(causal(model), network, device, computed_in(s))

    @property
    def packs(self) -> bool:
        """Whether rows are computed without padding."""
        return self._loss.packs

    def loss(self, rows: Sequence[TokenizedExample]) -> torch.Tensor:
        """Cross entropy of the rows' completions, summed over their tokens."""
        with self._computing:
            return self._loss(rows)

    def measured(self, rows: Sequence[TokenizedExample]) -> float:
        """The same, from which nothing is to be learnt: without dropout and gradients."""
        self.network.eval()
        with torch.no_grad():
            found = self.loss(rows)
        self.network.train()
        return found.item()

    def probe(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits as the exported model is to compute them."""
        self.network.eval()
        with torch.no_grad():
            return cast(torch.Tensor, self.network(input_ids=ids, use_cache=False).logits)

    @abstractmethod
    def learn(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradients of a part of a step; `last`: of its last part."""

    @abstractmethod
    def update(self, lr: float) -> None:
        """One optimiser step with the gradients that were added up."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything that resuming needs."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Take up what `save` left."""

    @abstractmethod
    def weight(self, name: str) -> torch.Tensor:
        """A trained weight, whole and in fp32."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the trained model into an empty folder, every rank its part."""

    @abstractmethod
    def reloaded(self, folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, torch.dtype] | None:
        """Logits of an exported model, and the dtype that it is stored in; None on a rank that has not loaded it.

        Nothing more is asked of the engine then but `wait` and `close`.
        """

    @abstractmethod
    def wait(self) -> None:
        """Until every rank is here."""

    @abstractmethod
    def total(self, value: float) -> float:
        """The sum over ranks."""

    @abstractmethod
    def close(self) -> None:
        """Leave in an orderly way."""
