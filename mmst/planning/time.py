"""How long the work of a plan takes on some hardware. Pure.

Measured speeds are scaled by the parameters that every token is multiplied by. On GPUs:

- reading a token, 2 operations a parameter; training on one, 6 (4 with LoRA: no gradients of
  frozen weights), and 2 more when activations are computed again.
  Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1; attention itself, small for short
  rows, is left out.
- decoding a step reads the weights and the cache once for all rows under way, from memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmst.core.config import Config
from mmst.planning.architecture import Architecture
from mmst.planning.figures import shown
from mmst.planning.hardware import Hardware
from mmst.planning.memory import CACHE_SIZES, SIZES


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second, and the formula of the figure."""

    rate: float
    formula: str


def prefill(a: Architecture, hardware: Hardware, parallel: int) -> Speed:
    """The speed of reading prompts."""
    if hardware.measured:
        return _scaled(a, hardware.measured.prefill_tokens_per_s, hardware.measured.parameters)
    flops = parallel * hardware.gpu_tflops * 1e12 * hardware.prefill_share
    formula = f"{parallel} GPUs x {hardware.gpu_tflops:g} TFLOP/s x {hardware.prefill_share:.0%}"
    return Speed(flops / (2 * a.matrix_parameters), f"{formula} / (2 x {a.matrix_parameters:,} parameters)")


def decode(a: Architecture, config: Config, hardware: Hardware, parallel: int, rows: int, length: float) -> Speed:
    """The speed of writing completions, `rows` at once with `length` tokens of prompt and completion."""
    if hardware.measured:
        return _scaled(a, hardware.measured.decode_tokens_per_s, hardware.measured.parameters)
    size = SIZES[config.model.dtype]
    read = size * a.parameters + rows * length * a.kv_bytes(CACHE_SIZES[config.model.dtype])
    by_memory = read / (parallel * hardware.gpu_gb_per_s * 1e9 * hardware.decode_share)
    by_compute = rows / prefill(a, hardware, parallel).rate
    if by_compute > by_memory:
        return Speed(rows / by_compute, "as fast as reading: bound by compute")
    formula = (
        f"{rows} rows x {parallel} GPUs x {hardware.gpu_gb_per_s:,.0f} GB/s x {hardware.decode_share:.0%} / "
        f"({shown(size * a.parameters, 'B')} of weights + {rows} x {length:.0f} tokens of cache)"
    )
    return Speed(rows / by_memory, formula)


def train(a: Architecture, config: Config, hardware: Hardware) -> Speed:
    """The speed of training on all its ranks."""
    if hardware.measured:
        return _scaled(a, hardware.measured.train_tokens_per_s, hardware.measured.parameters)
    each = (4 if config.train.lora_rank else 6) + (2 if config.train.gradient_checkpointing else 0)
    flops = config.train.ranks * hardware.gpu_tflops * 1e12 * hardware.train_share
    formula = f"{config.train.ranks} GPUs x {hardware.gpu_tflops:g} TFLOP/s x {hardware.train_share:.0%}"
    return Speed(flops / (each * a.matrix_parameters), f"{formula} / ({each} x {a.matrix_parameters:,} parameters)")


def _scaled(a: Architecture, rate: float, parameters: int) -> Speed:
    formula = f"measured {rate:,.0f} tokens/s"
    if a.matrix_parameters != parameters:
        formula += f" x {parameters:,} / {a.matrix_parameters:,} parameters"
    return Speed(rate * parameters / a.matrix_parameters, formula)
