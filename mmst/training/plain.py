"""The engine of the fine-tuning worker for one process: plain torch."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.training.engine import Engine
from mmst.training.export import covers, export
from mmst.training.model import adamw, export_whole, fill, loaded_logits, trainable


class Plain(Engine):
    """One process, plain torch; bf16 as autocast over fp32 weights."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = trainable(spec, s).to(device)
        model.train()
        self.optimizer = adamw(model, s)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=s.precision == "bfloat16")
        super().__init__(spec, s, model, model, device, autocast)

    def learn(self, loss: torch.Tensor, *, last: bool) -> None:
        """See `Engine`."""
        loss.backward()  # type: ignore[no-untyped-call]

    def update(self, lr: float) -> None:
        """See `Engine`."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.settings.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path) -> None:
        """See `Engine`."""
        state = {"weights": self.trained(), "optimizer": self.optimizer.state_dict(), "rng": torch.get_rng_state()}
        torch.save(state, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """See `Engine`."""
        state = torch.load(folder / "state.pt", map_location=self.device, weights_only=True)
        fill(self.model, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())

    def trained(self) -> dict[str, torch.Tensor]:
        """The trained weights by name, in fp32."""
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def weight(self, name: str) -> torch.Tensor:
        """See `Engine`."""
        return cast(torch.Tensor, self.model.get_parameter(name)).detach()

    def export(self, folder: Path) -> None:
        """See `Engine`."""
        if covers(self.base, self.model):
            export(self.model, self.weight, self.base, folder)
        else:
            export_whole(self.spec, self.settings, self.trained(), folder)

    def reloaded(self, folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, torch.dtype] | None:
        """See `Engine`. The trained model goes first: two of them would be the peak of small batches."""
        self.optimizer.state.clear()
        for p in self.model.parameters():
            p.data, p.grad = p.new_empty(0), None
        return loaded_logits(self.spec, folder, ids, torch.float32)

    def wait(self) -> None:
        """See `Engine`."""

    def total(self, value: float) -> float:
        """See `Engine`."""
        return value

    def close(self) -> None:
        """See `Engine`."""
