"""One training job in two forms, PyTorchJob (v1) and TrainJob (v2), and one reading of their status. Pure.

Both set PET_* variables, so one `torchrun -m mmst.training.worker` serves both; their pods share the
volume on which the specification, the examples and the checkpoints lie, and so need no Secret.
API: kubeflow.org/v1 PyTorchJob (training-operator 1.9), trainer.kubeflow.org/v1alpha1 TrainJob
(Trainer 2.2 and later: `runtimePatches`).
"""

from __future__ import annotations

import hashlib

from mmst.core.config import ClusterConfig
from mmst.kubernetes import pod_parts
from mmst.kubernetes.kinds import COMPONENT, MANAGED, PYTORCH_JOB, RUN, TRAIN_JOB, Kind, Object

KINDS: dict[str, Kind] = {"pytorchjob": PYTORCH_JOB, "trainjob": TRAIN_JOB}
POD_LABEL = {"pytorchjob": "training.kubeflow.org/job-name", "trainjob": "jobset.sigs.k8s.io/jobset-name"}
"""The label by which a job's pods are found."""
RESTARTS = 10
"""Number of pod failures after which the job has failed; each time, the worker resumes from its last checkpoint."""
KEPT = 86_400
"""Seconds that a finished job is kept, for its logs."""


def name_of(spec: bytes, settings: ClusterConfig, ranks: int) -> str:
    """`train-<hash>`: of what is trained, the number of processes, and the image."""
    made_of = b"\0".join((spec, settings.trainer_image.encode(), str((ranks, settings.trainer_nodes)).encode()))
    return f"train-{hashlib.sha256(made_of).hexdigest()[:16]}"


def labels(run: str, settings: ClusterConfig) -> dict[str, str]:
    """The labels of a run's training jobs."""
    queue = {"kueue.x-k8s.io/queue-name": settings.queue} if settings.queue else {}
    return {**MANAGED, COMPONENT: "train", **({RUN: run} if run else {}), **queue}


def job(form: str, name: str, spec: str, settings: ClusterConfig, ranks: int, run: str) -> Object:
    """The object of this form; `spec` is the path of the specification on the shared volume."""
    return (pytorch_job if form == "pytorchjob" else train_job)(name, spec, settings, ranks, run)


def command(spec: str) -> list[str]:
    """The container of every pod; its environment says how many processes there are and where the first pod is."""
    return ["python3", "-m", "torch.distributed.run", "-m", "mmst.training.worker", spec]


def pytorch_job(name: str, spec: str, settings: ClusterConfig, ranks: int, run: str) -> Object:
    """A PyTorchJob of `trainer_nodes` pods, `ranks` processes in all."""
    template = {"metadata": {"labels": labels(run, settings)}, "spec": _pod(spec, settings, ranks, "pytorch")}
    replica = {"restartPolicy": "OnFailure", "template": template}
    workers = settings.trainer_nodes - 1
    return {
        "metadata": {"name": name, "labels": labels(run, settings)},
        "spec": {
            "nprocPerNode": str(ranks // settings.trainer_nodes),
            "runPolicy": {
                "cleanPodPolicy": "None",
                "backoffLimit": RESTARTS,
                "ttlSecondsAfterFinished": KEPT,
                **({"suspend": True} if settings.queue else {}),
            },
            "pytorchReplicaSpecs": {
                "Master": {"replicas": 1, **replica},
                **({"Worker": {"replicas": workers, **replica}} if workers else {}),
            },
        },
    }


def train_job(name: str, spec: str, settings: ClusterConfig, ranks: int, run: str) -> Object:
    """The same as a TrainJob on the runtime `torch-distributed`.

    A patch of its pods takes few keys.
    """
    pod = _pod(spec, settings, ranks, "node")
    [container] = pod.pop("containers")
    known = ("serviceAccountName", "nodeSelector", "tolerations", "imagePullSecrets", "volumes")
    patch = {
        **{k: pod[k] for k in known if k in pod},
        "containers": [{k: container[k] for k in ("name", "env", "volumeMounts", "securityContext")}],
    }
    node = {"name": "node", "template": {"spec": {"template": {"spec": patch}}}}
    return {
        "metadata": {"name": name, "labels": labels(run, settings)},
        "spec": {
            "runtimeRef": {"name": "torch-distributed"},
            "trainer": {
                "image": settings.trainer_image,
                "command": command(spec),
                "numNodes": settings.trainer_nodes,
                "numProcPerNode": ranks // settings.trainer_nodes,
                "resourcesPerNode": container["resources"],
            },
            "runtimePatches": [
                {
                    "manager": "mmst.dev/launcher",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [node]}}},
                }
            ],
            **({"suspend": True} if settings.queue else {}),
        },
    }


def status(found: Object) -> tuple[str, str]:
    """(`waiting`, `running`, `suspended`, `succeeded` or `failed`; why), from either form's conditions.

    v1: Created, Running, Restarting, Suspended, Succeeded, Failed; v2: Suspended, Complete, Failed.
    """
    true = {c["type"]: c for c in found.get("status", {}).get("conditions") or () if c.get("status") == "True"}
    for condition, means in (
        ("Failed", "failed"), ("Succeeded", "succeeded"), ("Complete", "succeeded"),
        ("Suspended", "suspended"), ("Running", "running"), ("Restarting", "running"),
    ):  # fmt: skip
        if condition in true:
            return means, str(true[condition].get("message", ""))
    return "waiting", ""


def _pod(spec: str, settings: ClusterConfig, ranks: int, container: str) -> Object:
    shm, shm_mount = pod_parts.shared_memory(settings)
    scratch, scratch_mount = pod_parts.shared_volume(settings)
    each = ranks // settings.trainer_nodes
    own = {
        "HOME": "/tmp",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        **({} if settings.trainer_gpus else {"OMP_NUM_THREADS": str(pod_parts.threads(settings.trainer_cpu, each))}),
    }
    return {
        "serviceAccountName": "mmst-trainer",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [
            {
                "name": container,
                "image": settings.trainer_image,
                "imagePullPolicy": settings.pull_policy,
                "command": command(spec),
                "env": [{"name": k, "value": v} for k, v in own.items()] + pod_parts.variables(settings),
                "resources": pod_parts.resources(
                    settings, settings.trainer_cpu, settings.trainer_memory, settings.trainer_gpus
                ),
                "securityContext": pod_parts.confined(),
                "volumeMounts": [scratch_mount, shm_mount],
            }
        ],
        "volumes": [scratch, shm],
        **pod_parts.placement(settings),
    }
