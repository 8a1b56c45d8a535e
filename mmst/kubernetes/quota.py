"""The most that a run asks of each namespace at one time, compared with its quota. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mmst.core import teachers
from mmst.core.config import Config
from mmst.core.quantities import quantity

STAGE_CPU, STAGE_MEMORY = "2", "4Gi"
"""The resources of a stage's pod (`pipelines.placement`)."""

MOST_TASKS = 100
"""Argo ends a run whose object is above 1 MiB: 45 KB and 10 KB per task were seen (docs/kubeflow.md)."""


def demand(config: Config) -> dict[str, dict[str, float]]:
    """For each namespace, the maximum of CPUs, bytes of memory, GPUs and pods at one time.

    Stages of a round follow one another, but labels are measured beside them, and controls train beside it: a stage
    and a training job an arm. A round has one model server per checkpoint in use: its own and one per arm. Before that,
    its teachers write beside the model: a stage each, and a server each that has one here.
    """
    c, arms = config.cluster, 1 + len(config.loop.controls)
    writing = [teachers.seen_by(config, w) if w else config for w in teachers.writers(config, 1)]
    here: dict[str, float] = {}
    _add(here, max(arms + bool(config.problems.unlabelled), len(writing)), STAGE_CPU, STAGE_MEMORY)
    if config.train.launcher != "local":
        _add(here, arms * c.trainer_nodes, c.trainer_cpu, c.trainer_memory, c.gpu_resource, c.trainer_gpus)
    own, served = config.sampling.backend == "kserve", sum(w.sampling.backend == "kserve" for w in writing)
    if served:
        _add(here, max(arms * own, served), c.server_cpu, c.server_memory, c.gpu_resource, c.server_gpus)
    plans = {c.namespace: here}
    if config.check.sandbox == "gvisor_job":
        _add(
            plans.setdefault(c.sandbox_namespace, {}),
            max(arms, len(writing)) * c.checkers,
            c.checker_cpu,
            c.checker_memory,
        )
    return plans


def tasks(config: Config) -> int:
    """The maximum number of tasks of a run on Kubeflow Pipelines: `pipelines.graph` with its rounds unrolled."""
    labels = 2 if config.problems.unlabelled else 0
    return 7 + sum(
        9
        + labels
        + 5 * len(config.loop.controls)
        + sum(_written(config, writer) for writer in teachers.writers(config, number))
        for number in range(1, config.loop.rounds + 1)
    )


def _written(config: Config, writer: str) -> int:
    """Tasks in which one writer solves the problems of a round; a teacher is first put into the store."""
    seen = teachers.seen_by(config, writer) if writer else config
    return (4 if teachers.translates(seen) else 2) + bool(writer)


def exceeded(wanted: Mapping[str, float], hard: Mapping[str, str]) -> list[str]:
    """The parts of a plan that a quota does not allow: "limits.cpu: 8 wanted, 4 allowed"."""
    said = []
    for name, most in hard.items():
        resource = name.removeprefix("limits.").removeprefix("requests.").removeprefix("count/")
        if resource in wanted and wanted[resource] > quantity(most):
            said.append(f"{name}: {_shown(resource, wanted[resource])} wanted, {most} allowed")
    return said


def _add(to: dict[str, float], pods: int, cpu: str, memory: str, gpu: str = "", gpus: int = 0) -> None:
    more = {"pods": 1.0, "cpu": quantity(cpu), "memory": quantity(memory)} | ({gpu: float(gpus)} if gpus else {})
    for name, n in more.items():
        to[name] = to.get(name, 0.0) + pods * n


def _shown(resource: str, n: float) -> str:
    return f"{n / 1024**3:g}Gi" if resource == "memory" else f"{n:g}"
