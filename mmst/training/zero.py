"""The engine of the fine-tuning worker for several processes, or for one that is to shard: DeepSpeed ZeRO."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.training.engine import Engine, computed_in
from mmst.training.export import covers, export, stored_dtype
from mmst.training.model import adamw, export_whole, load_model, loaded_logits, trainable

PATIENCE = timedelta(hours=6)
"""For how long ranks wait for each other: the first one alone may have to put a large model together."""


class Zero(Engine):
    """Several processes, or one that is to shard or offload: DeepSpeed ZeRO. Every rank calls every method."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
        cuda = torch.cuda.is_available()
        if not cuda:
            os.environ["DS_ACCELERATOR"] = "cpu"
        import deepspeed
        from deepspeed.ops import __compatible_ops__

        # On CPUs DeepSpeed would compile a shared-memory all-reduce at this point: a minute, a
        # compiler on PATH, and a lock file that hangs every later run when the build is killed.
        __compatible_ops__["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="nccl" if cuda else "gloo", timeout=PATIENCE)
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
        self.dtype, self.stage = computed_in(s), s.zero or 2
        settings = {
            **self._settings({"stage": self.stage, "overlap_comm": False} | offloaded(s)),
            "gradient_clipping": s.clip,
            "zero_allow_untested_optimizer": True,
            # Its own one for CPUs would be compiled now; torch's computes the same, offloaded or not.
            "zero_force_ds_cpu_optimizer": False,
            "steps_per_print": 1 << 30,
        }
        model = sharded(settings, lambda: trainable(spec, s, self.dtype))
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        engine, *_ = deepspeed.initialize(model=model, optimizer=adamw(model, s), config=settings)
        engine.train()
        super().__init__(spec, s, model, engine, device)

    def _settings(self, zero: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "train_micro_batch_size_per_gpu": 1,
            "bf16": {"enabled": self.dtype is torch.bfloat16},
            "zero_optimization": zero,
        }

    def learn(self, loss: torch.Tensor, *, last: bool) -> None:
        """See `Engine`."""
        self.network.set_gradient_accumulation_boundary(last)
        self.network.backward(loss)

    def update(self, lr: float) -> None:
        """See `Engine`."""
        for group in self.network.optimizer.param_groups:
            group["lr"] = lr
        self.network.step()

    def save(self, folder: Path) -> None:
        """See `Engine`."""
        self.network.save_checkpoint(str(folder), tag="zero")
        torch.save(torch.get_rng_state(), folder / f"rng-{torch.distributed.get_rank()}.pt")

    def load(self, folder: Path) -> None:
        """See `Engine`."""
        self.network.load_checkpoint(str(folder), tag="zero")
        torch.set_rng_state(torch.load(folder / f"rng-{torch.distributed.get_rank()}.pt", weights_only=True))

    def weight(self, name: str) -> torch.Tensor:
        """See `Engine`."""
        from deepspeed.utils import safe_get_full_fp32_param

        return cast(torch.Tensor, safe_get_full_fp32_param(self.parameters[name])).detach()

    def export(self, folder: Path) -> None:
        """See `Engine`."""
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
        """See `Engine`. What is sharded in training is so here: nobody needs to hold all of it."""
        if self.stage < 3:
            return loaded_logits(self.spec, folder, ids, self.dtype) if torch.distributed.get_rank() == 0 else None
        import deepspeed

        kept = offloaded(self.settings)
        settings = self._settings({"stage": 3} | {what: kept[what] for what in kept if what == PARAMETERS})
        model = sharded(settings, lambda: load_model(folder, self.dtype, self.spec.trust_remote_code)).eval()
        engine, *_ = deepspeed.initialize(model=model, config=settings)
        with torch.no_grad():
            found = engine(input_ids=ids, use_cache=False).logits
        engine.destroy()
        return found, stored_dtype(folder)

    def wait(self) -> None:
        """See `Engine`."""
        torch.distributed.barrier()

    def total(self, value: float) -> float:
        """See `Engine`."""
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(summed)
        return float(summed)

    def close(self) -> None:
        """See `Engine`."""
        # A Gloo thread that still works when the interpreter ends aborts the process.
        torch.distributed.barrier()
        self.network.destroy()
        torch.distributed.destroy_process_group()


PARAMETERS = "offload_param"


def offloaded(s: TrainConfig) -> dict[str, Any]:
    """What DeepSpeed is told to keep in main memory."""
    where = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
    names = {"none": (), "optimizer": ("offload_optimizer",), "parameters": ("offload_optimizer", PARAMETERS)}
    return {name: where for name in names[s.offload]}


def sharded(settings: Mapping[str, Any], load: Callable[[], Any]) -> Any:
    """The model that `load` gives; under ZeRO-3 it is sharded while its weights are read."""
    from transformers.integrations import HfDeepSpeedConfig

    # While this object lives, from_pretrained shards a ZeRO-3 model as it loads and keeps the
    # rotary frequencies in fp32 (deepspeed.zero.Init would round them to bf16).
    alive = HfDeepSpeedConfig(settings)
    model = load()
    del alive
    return model
