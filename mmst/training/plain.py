"""The engine of the fine-tuning worker for one process: plain torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.training.data import TokenizedExample
from mmst.training.export import causal, covers, export
from mmst.training.loss import CompletionLoss
from mmst.training.model import adamw, export_whole, fill, loaded_logits, trainable


class Plain:
    """One process, plain torch; bf16 as autocast over fp32 weights."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
        self.spec, self.settings, self.base = spec, s, Path(spec.model)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = trainable(spec, s).to(self.device)
        self.model.train()
        self.optimizer = adamw(self.model, s)
        self.clip = s.clip
        dtype = torch.bfloat16 if s.precision == "bfloat16" else torch.float32
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=s.precision == "bfloat16")
        with self.autocast:
            self._loss = CompletionLoss(causal(self.model), self.model, self.device, dtype)

    @property
    def packs(self) -> bool:
        """Whether rows are computed without padding."""
        return self._loss.packs

    def loss(self, rows: Sequence[TokenizedExample]) -> torch.Tensor:
        """Cross entropy of the rows' completions, summed over their tokens."""
        with self.autocast:
            return self._loss(rows)

    def measured(self, rows: Sequence[TokenizedExample]) -> float:
        """The same, from which nothing is to be learnt: without dropout and gradients."""
        self.model.eval()
        with torch.no_grad():
            found = self.loss(rows)
        self.model.train()
        return found.item()

    def probe(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits as the exported model is to compute them."""
        self.model.eval()
        with torch.no_grad():
            return cast(torch.Tensor, self.model(input_ids=ids, use_cache=False).logits)

    def learn(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradients of a part of a step; `last`: of its last part."""
        loss.backward()  # type: ignore[no-untyped-call]

    def update(self, lr: float) -> None:
        """One optimiser step with the gradients that were added up."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path) -> None:
        """Everything that resuming needs."""
        state = {"weights": self.trained(), "optimizer": self.optimizer.state_dict(), "rng": torch.get_rng_state()}
        torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` left."""
        state = torch.load(folder / "state.pt", map_location=self.device, weights_only=True)
        fill(self.model, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())

    def trained(self) -> dict[str, torch.Tensor]:
        """The trained weights by name, in fp32."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def export(self, folder: Path) -> None:
        """Write the trained model into an empty folder."""
        if covers(self.base, self.model):
            export(self.model, lambda name: self.trained()[name], self.base, folder)
        else:
            export_whole(self.spec, self.settings, self.trained(), folder)

    def reloaded(self, folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, torch.dtype] | None:
        """Logits of an exported model, and the dtype that it is stored in."""
        return loaded_logits(self.spec, folder, ids, torch.float32)

    def wait(self) -> None:
        """Until every rank is here."""

    def total(self, value: float) -> float:
        """The sum over ranks."""
        return value

    def close(self) -> None:
        """Leave in an orderly way."""
