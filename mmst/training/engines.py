"""The two engines of the fine-tuning worker: plain torch, and DeepSpeed ZeRO.

Both train the same model with the same optimiser and have the same methods; those that take part
in a collective say so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
import transformers

from mmst.core.config import TrainConfig
from mmst.core.errors import TrainingError
from mmst.core.ports import TrainSpec
from mmst.training.data import TokenizedExample
from mmst.training.loss import CompletionLoss

PATIENCE = timedelta(hours=6)
"""For how long ranks wait for each other: the first one alone exports the model, which takes long for a large one."""


class Plain:
    """One process, plain torch; bf16 as autocast over fp32 weights."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
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

    def wait(self) -> None:
        """Until every rank is here."""

    def total(self, value: float) -> float:
        """The sum over ranks."""
        return value

    def close(self) -> None:
        """Leave in an orderly way."""


class Zero:
    """Several processes, or one that is to shard or offload: DeepSpeed ZeRO."""

    def __init__(self, spec: TrainSpec, s: TrainConfig) -> None:
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
        dtype = torch.bfloat16 if s.precision == "bfloat16" else torch.float32
        settings: dict[str, Any] = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_clipping": s.clip,
            "bf16": {"enabled": dtype is torch.bfloat16},
            "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": s.zero or 2, "overlap_comm": False},
            "steps_per_print": 1 << 30,
        }
        # While this object lives, from_pretrained shards a ZeRO-3 model as it loads and keeps the
        # rotary frequencies in fp32 (deepspeed.zero.Init would round them to bf16).
        sharding = HfDeepSpeedConfig(settings)
        model = trainable(spec, s, dtype)
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

    def trained(self) -> dict[str, torch.Tensor]:
        """The trained weights by name, whole and in fp32, on the first rank; called by every rank."""
        from deepspeed.utils import safe_get_full_fp32_param

        keep = torch.distributed.get_rank() == 0
        found = {}
        for name, p in self.parameters.items():
            whole = safe_get_full_fp32_param(p)
            if keep:
                found[name] = whole.detach().cpu()
        return found

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


Engine = Plain | Zero


def load_model(folder: str | Path, dtype: torch.dtype, trust: bool) -> Any:
    """A causal language model; `dtype` explicitly, since its config may name the one it is stored in."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=trust
    )


def trainable(spec: TrainSpec, s: TrainConfig, dtype: torch.dtype = torch.float32) -> Any:
    """The model to be trained, with LoRA adapters when asked for."""
    torch.manual_seed(spec.seed)
    model = load_model(spec.model, dtype, spec.trust_remote_code)
    if s.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if not s.lora_rank:
        return model
    from peft import LoraConfig, get_peft_model

    targets = list(s.lora_targets) or "all-linear"
    return get_peft_model(
        model,
        LoraConfig(r=s.lora_rank, lora_alpha=s.lora_alpha, target_modules=targets, task_type="CAUSAL_LM"),
    )


def causal(model: Any) -> Any:
    """The language model itself, without the wrapper that has its adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def fill(model: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Put trained weights into a model of the same make."""
    result = model.load_state_dict(weights, strict=False)
    if result.unexpected_keys:
        raise TrainingError(f"weights that the model has no place for: {', '.join(result.unexpected_keys[:5])}")


def adamw(model: Any, s: TrainConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only, not norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    # ZeRO-3 leaves flat remainders; the shape stands in ds_shape.
    matrices = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) > 1]
    others = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) <= 1]
    groups = [{"params": matrices, "weight_decay": s.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=s.lr, betas=(0.9, 0.95))
