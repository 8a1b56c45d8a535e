"""The LoRA adapter by itself, in the format of PEFT.

    adapter_config.json         PEFT's own settings of it; no path of this machine
    adapter_model.safetensors   its matrices, in fp32, as they were trained

`PeftModel.from_pretrained(base, folder)` is then the trained model, and servers take the folder as they take PEFT's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

NAME = "default"
"""PEFT's for an adapter that nobody names; it does not stand in the file."""


def export_adapter(model: Any, weight: Callable[[str], torch.Tensor], folder: Path, rank: int = 0) -> None:
    """Write the adapter of a model into a new folder; called by every rank, and written by the first.

    `weight` gives a trained weight of the model, whole; all ranks ask for the same ones in the same order.
    """
    tensors = {}
    for name in [name for name, p in model.named_parameters() if p.requires_grad]:
        whole = weight(name)
        if rank == 0:
            tensors[name.replace(f".{NAME}.", ".")] = whole.to("cpu", copy=True).contiguous()
    if rank:
        return
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = model.peft_config[NAME].to_dict() | {"base_model_name_or_path": None, "inference_mode": True}
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in settings.items()}
    text = json.dumps(plain, indent=2, sort_keys=True)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
