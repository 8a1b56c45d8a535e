"""The model that is trained: loaded, with adapters where asked for, and put together again at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from mmst.core.config import TrainConfig
from mmst.core.errors import TrainingError, UserError
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


def check_adapters(folder: Path, s: TrainConfig, *, trust: bool) -> None:
    """`UserError` when an adapter is asked for where the model has nothing to adapt; no weight is loaded for it."""
    if not s.lora_targets:
        return
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trust)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=trust)
    layers = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    found = {name: layer for name, layer in model.named_modules() if isinstance(layer, layers)}
    kinds = sorted({name.rpartition(".")[2] for name in found})
    for target in s.lora_targets:
        meant = [layer for name, layer in found.items() if name == target or name.endswith(f".{target}")]
        if not meant:
            remedy = f"linear layers of this model: {', '.join(kinds)}"
            raise UserError("train.lora_targets names no linear layer of the model", value=target, remedy=remedy)
        if config.tie_word_embeddings and model.get_output_embeddings() in meant:
            raise UserError(
                "train.lora_targets names the output layer, whose weights are also the embedding's in this model: an "
                "adapter of it cannot be merged",
                value=target,
                remedy=f"of {', '.join(k for k in kinds if k != target)}",
            )


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
