"""Hardware descriptions for `mmst plan`: by name (those in this folder) or by path, as YAML.

Each shipped figure has its source beside it; assumptions are marked.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmst.core.errors import ConfigError, DataError
from mmst.core.records import from_data
from mmst.core.yaml import Shipped

SHIPPED = Shipped("hardware description", Path(__file__).parent)
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measured speed of a machine with a model of `parameters` (those that every token is multiplied by)."""

    parameters: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    train_tokens_per_s: float
    start_s: float
    """Seconds that a sampling or training stage takes before its first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """Equal nodes with GPUs, or (`gpus` 0) machines that compute on their cores.

    Speeds come from `measured` if given, else from the GPU's peak rates and the shares of them that are reached.
    """

    name: str
    title: str
    nodes: int
    cores: int
    """Per node."""
    memory_gib: float
    """Per node, without GPUs."""
    gpus: int = 0
    """Per node."""
    gpu_memory_gib: float = 0.0
    gpu_tflops: float = 0.0
    """Peak of a GPU at 16 bit, dense, in 10^12 operations per second."""
    gpu_gb_per_s: float = 0.0
    """Peak memory bandwidth of a GPU, in 10^9 bytes per second."""
    train_share: float = 0.0
    """Share of `gpu_tflops` reached in training (model FLOP utilisation)."""
    prefill_share: float = 0.0
    """Share of `gpu_tflops` reached in reading prompts."""
    decode_share: float = 0.0
    """Share of `gpu_gb_per_s` reached in decoding."""
    usable_share: float = 0.9
    """Share of the memory that training or serving may fill; the rest is for contexts, buffers, fragments."""
    check_s: float = 0.0
    """Core-seconds per checked program, including its sandbox."""
    price_per_hour: float = 0.0
    """Per node; 0: not given."""
    currency: str = "USD"
    measured: Measured | None = None

    @property
    def devices(self) -> int:
        """The devices of a node that each hold one rank: its GPUs, or the node itself."""
        return self.gpus or 1

    @property
    def device(self) -> str:
        """The word for one of them."""
        return "GPU" if self.gpus else "machine"

    @property
    def device_bytes(self) -> float:
        """Memory of one of them."""
        return (self.gpu_memory_gib if self.gpus else self.memory_gib) * GIB

    @property
    def usable_bytes(self) -> float:
        """The part of it that may be filled."""
        return self.usable_share * self.device_bytes

    @property
    def node_bytes(self) -> float:
        """Memory of a node, GPUs not counted."""
        return self.memory_gib * GIB


def load(name_or_file: str) -> Hardware:
    """The description with that name or file; `ConfigError` says what is wrong with it."""
    data = SHIPPED.read(name_or_file)
    try:
        found = from_data(Hardware, {"title": data["name"]} | data, name_or_file)
    except DataError as e:
        raise ConfigError(e.what, value=e.value, remedy=f"see the shipped ones: {', '.join(SHIPPED.names())}") from None
    _check(found, name_or_file)
    return found


def _check(hardware: Hardware, where: str) -> None:
    def refuse(key: str, value: Any, remedy: str) -> None:
        raise ConfigError(f"{where}: {key} cannot be used", value=value, remedy=remedy)

    for part in (hardware, hardware.measured) if hardware.measured else (hardware,):
        for f in dataclasses.fields(part):
            value = getattr(part, f.name)
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                refuse(f.name, value, "give a number of at least 0")
            if f.name.endswith("_share") and value > 1:
                refuse(f.name, value, "a share is at most 1")
    for key in ("nodes", "cores", "memory_gib"):
        if not getattr(hardware, key):
            refuse(key, getattr(hardware, key), "give more than 0")
    if hardware.gpus and not hardware.gpu_memory_gib:
        refuse("gpu_memory_gib", hardware.gpu_memory_gib, "say how much memory a GPU has")
    speeds = (
        dataclasses.astuple(hardware.measured)[:4]
        if hardware.measured
        else (
            hardware.gpu_tflops,
            hardware.gpu_gb_per_s,
            hardware.train_share,
            hardware.prefill_share,
            hardware.decode_share,
        )
    )
    if not all(speeds):
        refuse("speed", 0, "give `measured`, or gpu_tflops, gpu_gb_per_s and the three shares")
