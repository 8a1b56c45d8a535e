"""The model that is trained: loaded, with adapters where asked for, and put together again at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from mmst.core.config import TrainConfig
from mmst.core.errors import TrainingError
from mmst.core.ports import TrainSpec
from mmst.training.export import copy_others, stored_dtype


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


def export_whole(spec: TrainSpec, s: TrainConfig, weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """The folder of a model whose files' tensors are not its weights one by one: put together in memory."""
    model = trainable(spec, s)
    fill(model, weights)
    if s.lora_rank:
        model = model.merge_and_unload()
    model.to(stored_dtype(Path(spec.model))).save_pretrained(folder)
    copy_others(Path(spec.model), folder)


def loaded_logits(
    spec: TrainSpec, folder: Path, ids: torch.Tensor, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.dtype]:
    """Logits of the model in a folder, computed in `dtype`, and the dtype that it is stored in."""
    model = load_model(folder, dtype, spec.trust_remote_code).eval()
    device = with_room(ids.device, model)
    with torch.no_grad():
        found = model.to(device)(input_ids=ids.to(device), use_cache=False).logits
    return found.to(ids.device), stored_dtype(folder)


def with_room(device: torch.device, model: torch.nn.Module) -> torch.device:
    """The device, or the CPU where a whole model does not fit beside what the device holds of the sharded one."""
    if device.type != "cuda":
        return device
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    wanted = sum(p.numel() * p.element_size() for p in model.parameters())
    return device if free > 1.25 * wanted else torch.device("cpu")


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
