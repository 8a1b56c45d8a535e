"""What does not fit in a plan, and which changes of recipe or hardware would fix it. Pure.

A remedy is named only if the same arithmetic shows that it fits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mmst.core.config import Config
from mmst.core.teachers import named
from mmst.planning.architecture import Architecture
from mmst.planning.figures import counted, shown
from mmst.planning.hardware import Hardware
from mmst.planning.memory import (
    MOST_RANKS,
    SIZES,
    export_bytes,
    in_process,
    least_parallel,
    rows_at_once,
    training_bytes,
    usable,
)
from mmst.training.budget import tokens_at_once

LORA_RANK = 16
STEP = 64
"""Step in tokens between the batch sizes that are tried."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A problem, and changes each of which would fix it."""

    what: str
    remedies: tuple[str, ...]


def misfits(a: Architecture, config: Config, hardware: Hardware, row: int, example: int, parallel: int) -> list[Misfit]:
    """Every reason why a recipe cannot run on this hardware; empty if it fits.

    `row` is the longest prompt with its completion in tokens, `example` the longest training example.
    """
    return [
        *_context(a, row),
        *_ranks(config, hardware),
        *_training(a, config, hardware, example),
        *_export(a, config, hardware),
        *_serving(a, config, hardware, row, parallel),
    ]


def teacher_misfits(
    name: str, a: Architecture, config: Config, hardware: Hardware, row: int, parallel: int
) -> list[Misfit]:
    """As `misfits`, of a teacher, who is sampled alone; `config` as it sees it."""
    found = (*_context(a, row), *_serving(a, config, hardware, row, parallel))
    key = f"teachers.{name}"
    return [Misfit(f"{key}: {m.what}", tuple(named(remedy, key) for remedy in m.remedies)) for m in found]


def _context(a: Architecture, row: int) -> Iterator[Misfit]:
    if row > a.context:
        what = f"the longest prompt and completion have {row} tokens, but the model's context holds {a.context}"
        yield Misfit(what, ("fewer shots (prompt.shots)", "a smaller sampling.max_tokens"))


def _ranks(config: Config, hardware: Hardware) -> Iterator[Misfit]:
    t, c = config.train, config.cluster
    if not hardware.gpus:
        return
    if t.launcher == "local":
        if t.ranks > hardware.gpus:
            what = f"train.launcher=local starts train.ranks={t.ranks} on one node, which has only {hardware.gpus} GPUs"
            yield Misfit(what, (f"train.ranks={hardware.gpus}", "train.launcher=pytorchjob, for several nodes"))
        return
    there = hardware.nodes * hardware.gpus
    if t.ranks > there:
        nodes = -(-t.ranks // hardware.gpus)
        yield Misfit(
            f"train.ranks={t.ranks} needs as many GPUs, and there are {there}",
            (f"train.ranks={there}", f"{nodes} nodes of {hardware.gpus} GPUs"),
        )
    if c.trainer_gpus > hardware.gpus:
        what = f"cluster.trainer_gpus={c.trainer_gpus} in a pod, but a node has {hardware.gpus}"
        yield Misfit(what, (f"cluster.trainer_gpus={hardware.gpus}",))


def _training(a: Architecture, config: Config, hardware: Hardware, row: int) -> Iterator[Misfit]:
    wanted = training_bytes(a, config.train, hardware, row)
    if wanted > hardware.usable_bytes:
        yield Misfit(
            f"training needs {shown(wanted, 'B')} per {hardware.device}, and there are {usable(hardware)}",
            tuple(training_remedies(a, config, hardware, row))
            or (f"{hardware.device}s with {shown(wanted / hardware.usable_share, 'B')}",),
        )


def training_remedies(a: Architecture, config: Config, hardware: Hardware, row: int) -> list[str]:
    """The changes with which training fits: of those with the fewest keys, one for each set of keys."""
    t = config.train
    choices: dict[str, list[int]] = {"micro_tokens": _smaller(tokens_at_once(t), row)}
    if not t.gradient_checkpointing:
        choices["gradient_checkpointing"] = [True]
    if not t.lora_rank:
        choices["lora_rank"] = [LORA_RANK]
    if hardware.gpus:
        first = (t.ranks // hardware.gpus + 1) * hardware.gpus
        choices |= {"ranks": list(range(first, MOST_RANKS + 1, hardware.gpus))}
        choices |= {"zero": [3]} if t.zero_stage != 3 else {}
    for n in range(1, len(choices) + 1):
        sets = ({key: choices[key] for key in keys} for keys in itertools.combinations(choices, n))
        if found := [said for some in sets if (said := _first(a, config, hardware, row, some))]:
            return found
    return []


def _first(a: Architecture, config: Config, hardware: Hardware, row: int, choices: dict[str, list[int]]) -> str:
    """The first combination of values that fits, as settings; "" if none does."""
    for values in itertools.product(*choices.values()):
        changes = dict(zip(choices, values, strict=True))
        changed = replace(config.train, **changes)  # type: ignore[arg-type]
        if training_bytes(a, changed, hardware, row) <= hardware.usable_bytes:
            said = " with ".join(f"train.{key}={str(value).lower()}" for key, value in changes.items())
            nodes = -(-changed.ranks // hardware.devices)
            return said + (f" ({counted(nodes, 'node')})" if "ranks" in changes else "")
    return ""


def _smaller(tokens: int, row: int) -> list[int]:
    """Smaller parts that still hold the longest row, the largest first."""
    return list(range((tokens - 1) // STEP * STEP, max(row, STEP) - 1, -STEP))


def _export(a: Architecture, config: Config, hardware: Hardware) -> Iterator[Misfit]:
    wanted = export_bytes(a, config, hardware)
    if hardware.gpus and wanted > hardware.node_bytes:
        what = (
            f"the export holds {shown(wanted, 'B')} in a node's own memory, and there are "
            f"{shown(hardware.node_bytes, 'B')}"
        )
        yield Misfit(what, (f"nodes with {shown(wanted, 'B')}",))


def _serving(a: Architecture, config: Config, hardware: Hardware, row: int, parallel: int) -> Iterator[Misfit]:
    if parallel > hardware.devices:
        what = f"cluster.server_gpus={parallel} for one server, but a node has {hardware.devices}"
        yield Misfit(what, (f"cluster.server_gpus={hardware.devices}",))
    elif a.heads % parallel:
        divisors = [n for n in range(1, hardware.devices + 1) if a.heads % n == 0]
        what = f"cluster.server_gpus={parallel} does not divide the model's {a.heads} attention heads"
        yield Misfit(what, (f"cluster.server_gpus={divisors[-1]}",))
    elif not rows_at_once(a, config, hardware, row, parallel):
        remedies = []
        least = least_parallel(a, config, hardware, row)
        if least and not in_process(config):
            remedies.append(f"cluster.server_gpus={least} (tensor parallelism)")
        if config.model.dtype == "float32":
            halved = replace(config, model=replace(config.model, dtype="bfloat16"))
            if rows_at_once(a, halved, hardware, row, parallel):
                remedies.append("model.dtype=bfloat16")
        if least and in_process(config):
            remedies.append("a model server (sampling.backend=kserve) with tensor parallelism")
        if not remedies:
            remedies.append(f"{hardware.device}s with more memory, or more of them in a node")
        yield Misfit(
            f"the model does not fit into {usable(hardware)} of {parallel} {hardware.device}s with one completion",
            tuple(remedies),
        )
    wanted = SIZES[config.model.dtype] * a.parameters
    if config.sampling.backend == "openai" and not config.writer and wanted > hardware.usable_bytes:
        what = f"trained checkpoints are sampled in process and need {shown(wanted, 'B')}, there are {usable(hardware)}"
        yield Misfit(what, ("sampling.backend=kserve, which serves every checkpoint",))
