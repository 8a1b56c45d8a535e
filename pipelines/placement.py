"""Where and with what a task's pod runs in a cluster, from the recipe's `cluster` section; `kfp.local` passes it over.

A stage is a small pod that asks others (model server, check Jobs, training job). Only where the
recipe has it sample or train in process does its own pod get what a server or trainer gets.
"""

from __future__ import annotations

from typing import Any

from kfp import kubernetes

from mmst.core.config import Config, run_id
from mmst.kubernetes.kinds import EXECUTION, KFP_RUN
from mmst.kubernetes.quota import STAGE_CPU, STAGE_MEMORY

CPU = ("500m", STAGE_CPU)
MEMORY = ("1Gi", STAGE_MEMORY)
"""Requested and at most, for a pod that only asks others: it holds a shard at a time."""

SECRETS = "/etc/mmst/secrets"


def place(task: Any, stage: str, config: Config) -> Any:
    """The task, with image, environment, volumes, labels, nodes and limits of its pod."""
    c = config.cluster
    task.set_container_image(c.pipeline_image)
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.set_image_pull_policy(task, c.pull_policy)
    if c.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(c.pull_secrets))
    for item in c.env:
        name, _, value = item.partition("=")
        task.set_env_variable(name, value)
    for field in ("name", "uid", "namespace"):
        kubernetes.use_field_path_as_env(task, f"POD_{field.upper()}", f"metadata.{field}")
    kubernetes.use_field_path_as_env(task, EXECUTION, f"metadata.labels['{KFP_RUN}']")
    secrets = (*c.secrets, *c.stage_secrets)
    if secrets:
        task.set_env_variable("MMST_SECRETS", SECRETS)  # kfp has no envFrom: `mmst.runner.run_stage` reads the files
    for secret in secrets:
        kubernetes.use_secret_as_volume(task, secret, mount_path=f"{SECRETS}/{secret}")
    if c.volume:
        kubernetes.mount_pvc(task, pvc_name=c.volume, mount_path=c.mount)
        task.set_env_variable("MMST_SCRATCH", c.mount)
    labels = {
        "app.kubernetes.io/managed-by": "mmst",
        "app.kubernetes.io/component": "stage",
        "mmst.dev/run": run_id(config),
        "mmst.dev/stage": stage,
    }
    for key, value in labels.items():
        kubernetes.add_pod_label(task, key, value)
    return _sized(task, stage, config)


def _sized(task: Any, stage: str, config: Config) -> Any:
    c = config.cluster
    if stage == "train" and config.train.launcher == "local":
        cpu, memory, gpus = (c.trainer_cpu,) * 2, (c.trainer_memory,) * 2, c.trainer_gpus
    elif stage in ("sample", "translate") and config.sampling.backend == "local":
        cpu, memory, gpus = (c.server_cpu,) * 2, (c.server_memory,) * 2, c.server_gpus
    else:
        cpu, memory, gpus = CPU, MEMORY, -1
    task.set_cpu_request(cpu[0]).set_cpu_limit(cpu[1])
    task.set_memory_request(memory[0]).set_memory_limit(memory[1])
    if gpus < 0:
        return task
    if gpus:
        task.set_accelerator_type(c.gpu_resource).set_accelerator_limit(gpus)
    if c.shm_gib:
        size = f"{round(c.shm_gib * 1024)}Mi"
        kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory", size_limit=size)
    for item in c.node_selector:
        key, _, value = item.partition("=")
        kubernetes.add_node_selector(task, key, value)
    for item in c.tolerations:
        taint, _, effect = item.rpartition(":")
        key, equals, value = taint.partition("=")
        operator = "Equal" if equals else "Exists"
        kubernetes.add_toleration(task, key=key, operator=operator, value=value or None, effect=effect)
    return task
