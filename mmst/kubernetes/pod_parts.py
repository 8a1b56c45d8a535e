"""The parts that pods of several kinds have in common. Pure."""

from __future__ import annotations

from typing import Any

from mmst.core.config import ClusterConfig
from mmst.kubernetes.kinds import Object

SCRATCH = "MMST_SCRATCH"


def variables(settings: ClusterConfig) -> list[Object]:
    """`env` of a container: the release's variables."""
    pairs = [item.split("=", 1) for item in settings.env]
    return [{"name": name, "value": value} for name, value in pairs]


def credentials(settings: ClusterConfig) -> list[Object]:
    """`envFrom` of a container that reads the store itself: the Secrets for that, and no others."""
    return [{"secretRef": {"name": name}} for name in settings.secrets]


def resources(settings: ClusterConfig, cpu: str, memory: str, gpus: int) -> Object:
    """Limits and equal requests."""
    wanted: dict[str, str] = {"cpu": cpu, "memory": memory}
    if gpus:
        wanted[settings.gpu_resource] = str(gpus)
    return {"limits": wanted, "requests": wanted}


def confined() -> Object:
    """The securityContext of a container without privileges (Pod Security level `restricted`)."""
    return {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def sandboxed(settings: ClusterConfig) -> Object:
    """What every pod of the sandbox namespace says, else it is refused (manifests/base/sandbox-admission.yaml)."""
    return {
        "runtimeClassName": settings.runtime_class,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "dnsPolicy": "None",  # else /etc/resolv.conf would tell programs the namespace
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        **({"imagePullSecrets": [{"name": s} for s in settings.pull_secrets]} if settings.pull_secrets else {}),
    }


def shared_memory(settings: ClusterConfig) -> tuple[Object, Object]:
    """(volume, mount) of /dev/shm, through which processes of a pod talk; the default of 64 MiB is too small."""
    size = f"{int(settings.shm_gib * 1024)}Mi"
    return {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}, {
        "name": "shm",
        "mountPath": "/dev/shm",
    }


def shared_volume(settings: ClusterConfig) -> tuple[Object, Object]:
    """(volume, mount) of the claim that stages and training share."""
    claim = {"name": "scratch", "persistentVolumeClaim": {"claimName": settings.volume}}
    return claim, {"name": "scratch", "mountPath": settings.mount}


def placement(settings: ClusterConfig) -> Object:
    """`nodeSelector`, `tolerations` and `imagePullSecrets` of a pod, if they are set."""
    parts: dict[str, Any] = {
        "nodeSelector": dict(item.split("=", 1) for item in settings.node_selector),
        "tolerations": [toleration(item) for item in settings.tolerations],
        "imagePullSecrets": [{"name": name} for name in settings.pull_secrets],
    }
    return {name: part for name, part in parts.items() if part}


def toleration(item: str) -> Object:
    """`key=value:Effect` or `key:Effect`, as `kubectl taint` writes taints.

    >>> toleration("gpu:NoSchedule")
    {'key': 'gpu', 'operator': 'Exists', 'effect': 'NoSchedule'}
    """
    taint, _, effect = item.rpartition(":") if ":" in item else (item, "", "")
    key, equals, value = taint.partition("=")
    found = {"key": key, "operator": "Equal", "value": value} if equals else {"key": key, "operator": "Exists"}
    return {**found, "effect": effect} if effect else found


def threads(cpu: str, processes: int) -> int:
    """Threads of each process in a container with this CPU limit ("2", "500m").

    >>> threads("4", 2), threads("500m", 1)
    (2, 1)
    """
    cores = float(cpu.removesuffix("m")) / 1000 if cpu.endswith("m") else float(cpu)
    return max(1, int(cores) // processes)
