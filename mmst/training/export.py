"""From trained weights to a folder like the base model's: the same files, tensors and dtypes, LoRA merged.

The base's weight files are written anew one by one, each by one rank, so nobody holds more than the file that
it writes and the tensor that is gathered for it. All else (configuration, tokenizer, chat template) is the
base's as it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmst.core.manifest import BESIDE
from mmst.core.weights import LOADED, VOCABULARIES

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def export(
    model: Any, weight: Callable[[str], torch.Tensor], base: Path, folder: Path, rank: int = 0, ranks: int = 1
) -> None:
    """Write this rank's part of the folder; called by every rank, of a model that the base's files cover.

    `weight` gives a trained weight of the model, whole and in fp32; all ranks ask for the same ones in the same order.
    """
    files = _weights(base)
    if rank == 0:
        copy_others(base, folder)
    sources = Sources(model)
    for number, file in enumerate(files):
        if file == INDEX:
            if rank == 0:
                shutil.copyfile(base / file, folder / file)
            continue
        mine, tensors = number % ranks == rank, {}
        with safe_open(base / file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118  it is no mapping
                gathered = [weight(source) for source in sources.of(name)]
                if mine:
                    before = weights.get_tensor(name)
                    # A copy: safetensors refuses two names for one memory, as tied weights are.
                    new = sources.new(name, before, gathered).to("cpu", before.dtype, copy=True)
                    tensors[name] = new.contiguous()
            if mine:
                save_file(tensors, folder / file, metadata=weights.metadata())


def copy_others(base: Path, folder: Path) -> None:
    """Copy what a model is loaded with beside its weights."""
    for path in sorted(base.iterdir()):
        loaded = path.is_file() and (path.suffix in LOADED or path.name in VOCABULARIES)
        if loaded and path.suffix != ".safetensors" and path.name not in {INDEX, *BESIDE}:
            shutil.copyfile(path, folder / path.name)


def covers(base: Path, model: Any) -> bool:
    """Whether all that is trained of a model can go into the base's files: transformers may load these renamed."""
    names = set[str]()
    for file in _weights(base):
        if file != INDEX:
            with safe_open(base / file, "pt") as weights:
                names.update(weights.keys())
    return Sources(model).covered_by(names)


def stored_dtype(folder: Path) -> torch.dtype:
    """The coarsest dtype of a folder's weights; buffers of other types, as masks, do not count."""
    found = set[torch.dtype | None]()
    for file in _weights(folder):
        if file != INDEX:
            with safe_open(folder / file, "pt") as weights:
                found |= {_DTYPES.get(weights.get_slice(name).get_dtype()) for name in weights.keys()}  # noqa: SIM118
    return max(filter(None, found), key=lambda dtype: torch.finfo(dtype).eps, default=torch.float32)


_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def causal(model: Any) -> Any:
    """The language model itself, without the wrapper that has its adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _weights(base: Path) -> list[str]:
    """The names of the weight files, and of their index."""
    if (base / INDEX).exists():
        index: Mapping[str, Any] = json.loads((base / INDEX).read_text(encoding="utf-8"))
        return [*sorted(set(index["weight_map"].values())), INDEX]
    return [WEIGHTS] if (base / WEIGHTS).exists() else []


class Sources:
    """Where a tensor of the base's files comes from now."""

    def __init__(self, model: Any) -> None:
        self._adapted = hasattr(model, "get_base_model")
        self._prefix = f"{causal(model).base_model_prefix}."
        first: dict[int, str] = {}
        named = [(n, p) for n, p in model.named_parameters(remove_duplicate=False) if p.requires_grad]
        # Tied weights are trained under one name.
        self._trained = {name: first.setdefault(id(p), name) for name, p in named}
        self._adapters = {name: m for name, m in model.named_modules() if hasattr(m, "lora_A")} if self._adapted else {}

    def covered_by(self, names: Iterable[str]) -> bool:
        """Whether tensors of these names take up everything that is trained."""
        used = {source for name in names for source in self.of(name)}
        return used == set(self._trained.values())

    def new(self, name: str, before: torch.Tensor, found: Sequence[torch.Tensor]) -> torch.Tensor:
        """The tensor as it is now, of what was found of its sources (`of`): in fp32, or as before where it has none."""
        if (adapter := self._adapter(name)) is None:
            return found[0] if found else before
        module, (a, b) = self._adapters[adapter], found
        change: torch.Tensor = (b @ a) * module.scaling["default"]
        return before.float() + (change.T if module.fan_in_fan_out else change).cpu()

    def of(self, name: str) -> list[str]:
        """The trained weights that a tensor is made of."""
        module = self._adapter(name)
        if module is not None:
            return [f"{module}.lora_{x}.default.weight" for x in "AB"]
        return [self._trained[known] for known in self._names(name) if known in self._trained][:1]

    def _adapter(self, name: str) -> str | None:
        modules = (f"base_model.model.{known.removesuffix('.weight')}" for known in self._names(name))
        return next((m for m in modules if m in self._adapters and name.endswith(".weight")), None)

    def _names(self, name: str) -> tuple[str, ...]:
        return name, self._prefix + name, name.removeprefix(self._prefix)
