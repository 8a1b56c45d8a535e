"""The Job that checks programs, and the ConfigMap that holds the programs. Pure.

API: https://kubernetes.io/docs/concepts/workloads/controllers/job/ (Indexed, backoffLimitPerIndex,
podFailurePolicy). Everything in a check pod is hostile but its entry point: it has no network
(the namespace denies all), no token, no credentials, no writable file system.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence

from mmst.core.config import ClusterConfig
from mmst.kubernetes import pod_parts
from mmst.kubernetes.kinds import COMPONENT, MANAGED, RUN, Object
from mmst.kubernetes.pods import OOM_EXIT_CODES
from mmst.sandbox.guest.cleanup import TMP_MIB
from mmst.sandbox.guest.shard import SLOWEST
from mmst.sandbox.work import Work

PACKED_MOST = 900 << 10
"""Bytes of packed programs in one ConfigMap, which holds 1 MiB."""
GRACE = 300
"""Seconds that a pod has beyond the time limits of its programs: for start, forks, a slow node."""
RETRIES = 2
KEPT = 3600
"""Seconds that a finished Job is kept, so that a restarted launcher can adopt it."""


def packed(works: Iterable[Work]) -> bytes:
    """A shard as the pod reads it: compressed lines of JSON."""
    return zlib.compress(b"\n".join(work.frame() for work in works), 6)


def name_of(shards: Sequence[bytes], cluster: ClusterConfig, salt: str) -> str:
    """`check-<hash>` of the programs and of everything that could change how they end."""
    h = hashlib.sha256(
        json.dumps([cluster.checker_image, cluster.checker_memory, cluster.runtime_class, salt]).encode()
    )
    for shard in shards:
        h.update(hashlib.sha256(shard).digest())
    return f"check-{h.hexdigest()[:16]}"


def labels(run: str) -> dict[str, str]:
    """The labels of a run's check Jobs."""
    return {**MANAGED, COMPONENT: "check", **({RUN: run} if run else {})}


def config_map(name: str, shards: Sequence[bytes], run: str) -> Object:
    """The programs of a Job, one key per index."""
    data = {str(index): base64.b64encode(shard).decode() for index, shard in enumerate(shards)}
    return {"metadata": {"name": name, "labels": labels(run)}, "binaryData": data, "immutable": True}


def owned_by(job: Object) -> Object:
    """The patch that makes Kubernetes delete an object together with the Job."""
    meta = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


def check_job(name: str, shards: Sequence[Sequence[Work]], cluster: ClusterConfig, run: str) -> Object:
    """An Indexed Job, one index per shard.

    The container is root without any right but to change user, within gVisor: its fork server
    gives every program a user of its own. An index whose pod was killed for memory is not tried
    again here, since it would be again: the launcher runs its suspect alone.
    """
    seconds = max(sum((1 + SLOWEST) * work.limits.timeout + 1.0 for work in shard) for shard in shards) + GRACE
    resources = {"cpu": cluster.checker_cpu, "memory": cluster.checker_memory, "ephemeral-storage": "64Mi"}
    container = {
        "name": "check",
        "image": cluster.checker_image,
        "imagePullPolicy": cluster.pull_policy,
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,
            "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID", "KILL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "in", "mountPath": "/in", "readOnly": True},
            {"name": "nothing", "mountPath": "/dev/shm", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod = {
        **pod_parts.sandboxed(cluster),
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(seconds),
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [
            {"name": "in", "configMap": {"name": name, "defaultMode": 0o400}},
            {"name": "nothing", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": f"{TMP_MIB}Mi"}},
        ],
    }
    queue = {"kueue.x-k8s.io/queue-name": cluster.queue} if cluster.queue else {}
    return {
        "metadata": {"name": name, "labels": {**labels(run), **queue}},
        "spec": {
            "completionMode": "Indexed",
            "completions": len(shards),
            "parallelism": min(len(shards), cluster.checkers),
            "backoffLimitPerIndex": RETRIES,
            "maxFailedIndexes": len(shards),
            "ttlSecondsAfterFinished": KEPT,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailIndex",
                        "onExitCodes": {"containerName": "check", "operator": "In", "values": list(OOM_EXIT_CODES)},
                    },
                ]
            },
            "template": {"metadata": {"labels": labels(run)}, "spec": pod},
            **({"suspend": True} if cluster.queue else {}),
        },
    }
