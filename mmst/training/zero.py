"""The engine of the fine-tuning worker for several processes, or for one that is to shard: DeepSpeed ZeRO."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.training.data import TokenizedExample
from mmst.training.export import causal, covers, export, stored_dtype
from mmst.training.loss import CompletionLoss
from mmst.training.model import adamw, export_whole, load_model, loaded_logits, trainable

PATIENCE = timedelta(hours=6)
"""For how long ranks wait for each other: the first one alone may have to put a large model together."""


class Zero:
    """Several processes, or one that is to shard or offload: DeepSpeed ZeRO."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
        self.spec, self.settings, self.base, self.stage = spec, s, Path(spec.model), s.zero or 2
        cuda = torch.cuda.is_available()
        if not cuda:
            os.environ["DS_ACCELERATOR"] = "cpu"
        import deepspeed
        from deepspeed.ops import __compatible_ops__
        from transformers.integrations import HfDeepSpeedConfig

        # On CPUs DeepSpeed would compile a shared-memory all-reduce at this point: a minute, a
        # compiler on PATH, and a lock file that hangs every later run when the build is killed.
        __compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="nccl" if cuda else "gloo", timeout=PATIENCE)
        self.device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
        self.dtype = dtype = torch.bfloat16 if s.precision == "bfloat16" else torch.float32
        settings: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_clipping": s.clip,
            "bf16": {"enabled": dtype is torch.bfloat16},
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": self.stage, "overlap_comm": False},
            "steps_per_print": 1 << 30,
        }
        # While this object lives, from_pretrained shards a ZeRO-3 model as it loads and keeps the
        # rotary frequencies in fp32 (deepspeed.zero.Init would round them to bf16).
        sharding = HfDeepSpeedConfig(settings)
        self.model = model = trainable(spec, s, dtype)
        del sharding
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.engine, *_ = deepspeed.initialize(model=model, optimizer=adamw(model, s), config=settings)
        self.engine.train()
        self._loss = CompletionLoss(causal(model), self.engine, self.device, dtype)

    @property
    def packs(self) -> bool:
        """Whether rows are computed without padding."""
        return self._loss.packs

    def loss(self, rows: Sequence[TokenizedExample]) -> torch.Tensor:
        """Cross entropy of the rows' completions, summed over their tokens; called by every rank."""
        return self._loss(rows)

    def measured(self, rows: Sequence[TokenizedExample]) -> float:
        """The same, from which nothing is to be learnt: without dropout and gradients; called by every rank."""
        self.engine.eval()
        with torch.no_grad():
            found = self.loss(rows)
        self.engine.train()
        return found.item()

    def probe(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits as the exported model is to compute them, called by every rank."""
        self.engine.eval()
        with torch.no_grad():
            return cast(torch.Tensor, self.engine(input_ids=ids, use_cache=False).logits)

    def learn(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add the gradients of a part of a step (`last`: of its last part), called by every rank."""
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss)

    def update(self, lr: float) -> None:
        """One optimiser step with the gradients that were added up, called by every rank."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.step()

    def save(self, folder: Path) -> None:
        """Everything that resuming needs, called by every rank."""
        self.engine.save_checkpoint(str(folder), tag="zero")
        torch.save(torch.get_rng_state(), folder / f"rng-{torch.distributed.get_rank()}.pt")

    def load(self, folder: Path) -> None:
        """Take up what `save` left, called by every rank."""
        self.engine.load_checkpoint(str(folder), tag="zero")
        torch.set_rng_state(torch.load(folder / f"rng-{torch.distributed.get_rank()}.pt", weights_only=True))

    def weight(self, name: str) -> torch.Tensor:
        """A trained weight, whole and in fp32; called by every rank."""
        from deepspeed.utils import safe_get_full_fp32_param

        return cast(torch.Tensor, safe_get_full_fp32_param(self.parameters[name])).detach()

    def export(self, folder: Path) -> None:
        """Write the trained model into an empty folder, every rank its part; called by every rank."""
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        if covers(self.base, self.model):
            export(self.model, self.weight, self.base, folder, rank, ranks)
            return
        weights = {}
        for name in self.parameters:
            whole = self.weight(name)
            if rank == 0:
                weights[name] = whole.cpu()
        if rank == 0:
            export_whole(self.spec, self.settings, weights, folder)

    def reloaded(self, folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, torch.dtype] | None:
        """Logits of an exported model, and the dtype that it is stored in; on the first rank. Called by every rank.

        What is sharded in training is so here: nobody needs to hold all of it.
        """
        if self.stage < 3:
            return loaded_logits(self.spec, folder, ids, self.dtype) if torch.distributed.get_rank() == 0 else None
        import deepspeed
        from transformers.integrations import HfDeepSpeedConfig

        settings = {
            "train_micro_batch_size_per_gpu": 1,
            "bf16": {"enabled": self.dtype is torch.bfloat16},
            "zero_optimization": {"stage": 3},
        }
        sharding = HfDeepSpeedConfig(settings)
        model = load_model(folder, self.dtype, self.spec.trust_remote_code).eval()
        del sharding
        engine, *_ = deepspeed.initialize(model=model, config=settings)
        with torch.no_grad():
            found = engine(input_ids=ids, use_cache=False).logits
        engine.destroy()
        return found, stored_dtype(folder)

    def wait(self) -> None:
        """Until every rank is here."""
        torch.distributed.barrier()

    def total(self, value: float) -> float:
        """The sum over ranks, called by every rank."""
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return float(summed)

    def close(self) -> None:
        """Leave in an orderly way, called by every rank."""
        # A Gloo thread that still works when the interpreter ends aborts the process.
        torch.distributed.barrier()
        self.engine.destroy()
        torch.distributed.destroy_process_group()
