"""InferenceServices for checkpoints: our own server for small models, KServe's vLLM runtime for large ones. Pure.

API: https://kserve.github.io/website/ (`serving.kserve.io/v1beta1`, Standard deployment mode).
KServe copies labels and annotations to the pods and restarts them on a change, so none of ours ever changes.
"""

from __future__ import annotations

from mmst.core.config import ClusterConfig
from mmst.core.errors import ConfigError
from mmst.core.manifest import Manifest
from mmst.core.records import digest
from mmst.kubernetes import pod_parts
from mmst.kubernetes.kinds import COMPONENT, MANAGED, RUN, Object

CHECKPOINT = "mmst.dev/checkpoint"
"""The annotation with the digest of the checkpoint that a service serves."""
MODE = {
    "serving.kserve.io/deploymentMode": "Standard",
    "serving.kserve.io/autoscalerClass": "none",
    "serving.kserve.io/enable-prometheus-scraping": "true",
}
PORT = 8080
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}
"""Not KServe's own annotation for this: outside Knative it names a port on which nothing listens."""
CONTAINER = "kserve-container"
PROBED = 5
"""Seconds between two checks of a server that is starting."""
LEAVING = 5
"""Seconds in which a stopping server still accepts requests: until no proxy sends it any."""
DRAIN = 30
"""Seconds that requests in progress have after that (`mmst.inference.server.app.DRAIN`)."""


def inference_service(
    name: str, checkpoint: Manifest, *, store: str, model: str, dtype: str, cluster: ClusterConfig, run: str = ""
) -> Object:
    """A service called `name` that serves a checkpoint of a store as `model`.

    `ConfigError` if a pod cannot reach the checkpoint, because it is neither in a bucket nor on the shared volume.
    """
    labels = {**MANAGED, COMPONENT: "serve", **({RUN: run} if run else {})}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {**MODE, **SCRAPED, CHECKPOINT: checkpoint.digest}},
        "spec": {"predictor": predictor(checkpoint, store=store, model=model, dtype=dtype, cluster=cluster)},
    }


def sampling_service(checkpoint: Manifest, *, store: str, dtype: str, cluster: ClusterConfig, run: str) -> Object:
    """The service that samples a checkpoint. Its name is a hash of its whole definition: equal services are one.

    It is short, because KServe builds a host name of at most 63 letters from name and namespace.
    """
    model = model_name(checkpoint)
    made_of = predictor(checkpoint, store=store, model=model, dtype=dtype, cluster=cluster)
    name = f"mmst-{digest([checkpoint.digest, made_of])[7:19]}"
    return inference_service(name, checkpoint, store=store, model=model, dtype=dtype, cluster=cluster, run=run)


def model_name(checkpoint: Manifest) -> str:
    """The model name of a checkpoint in requests: `mmst-<12 digits of its digest>`."""
    return f"mmst-{checkpoint.digest[7:19]}"


def predictor(checkpoint: Manifest, *, store: str, model: str, dtype: str, cluster: ClusterConfig) -> Object:
    """The `predictor` of a service's spec."""
    files = checkpoint.location or f"{store.rstrip('/')}/{checkpoint.ref}"
    shared = _on_volume(files, cluster)
    body: Object = {
        "minReplicas": 1,
        "maxReplicas": 1,
        "timeout": 3600,
        "serviceAccountName": "mmst-server",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": LEAVING + DRAIN + 10,
        # A server that is replaced goes only when the other one is ready.
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        **pod_parts.placement(cluster),
    }
    if cluster.server_runtime == "vllm":
        body["model"] = _vllm(files, shared=shared, model=model, dtype=dtype, cluster=cluster)
        # KServe's runtime mounts a volume of this name as /dev/shm; tensor parallelism needs more than its default.
        body["volumes"] = [pod_parts.shared_memory(cluster)[0] | {"name": "devshm"}]
        return body
    body["containers"] = [_ours(checkpoint, store=store, shared=shared, model=model, dtype=dtype, cluster=cluster)]
    body["volumes"] = [{"name": "tmp", "emptyDir": {}}, *([pod_parts.shared_volume(cluster)[0]] if shared else ())]
    return body


def _ours(checkpoint: Manifest, *, store: str, shared: bool, model: str, dtype: str, cluster: ClusterConfig) -> Object:
    def probe(path: str, seconds: int, failures: int) -> Object:
        return {"httpGet": {"path": path, "port": PORT}, "periodSeconds": seconds, "failureThreshold": failures}

    given = pod_parts.variables(cluster)
    own = {} if cluster.server_gpus else {"OMP_NUM_THREADS": str(pod_parts.threads(cluster.server_cpu, 1))}
    set_already = {item["name"] for item in given}  # a name twice is refused
    return {
        "name": CONTAINER,
        "image": cluster.server_image,
        "imagePullPolicy": cluster.pull_policy,
        "args": [
            f"--store={store}",
            f"--checkpoint={checkpoint.ref}",
            "--cache=/tmp/checkpoint",
            f"--name={model}",
            f"--dtype={dtype}",
        ],
        "env": [{"name": k, "value": v} for k, v in own.items() if k not in set_already] + given,
        "envFrom": pod_parts.credentials(cluster),
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(cluster),
        "securityContext": {**pod_parts.confined(), "readOnlyRootFilesystem": True},
        "readinessProbe": probe("/v2/health/ready", 2, 3),
        "startupProbe": probe("/v2/health/ready", PROBED, int(cluster.start_timeout / PROBED) + 1),
        "livenessProbe": probe("/v2/health/live", 20, 6),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            *([pod_parts.shared_volume(cluster)[1] | {"readOnly": True}] if shared else ()),
        ],
    }


def _vllm(files: str, *, shared: bool, model: str, dtype: str, cluster: ClusterConfig) -> Object:
    uri = files
    if shared:
        uri = f"pvc://{cluster.volume}/{files.removeprefix(cluster.mount.rstrip('/') + '/')}"
    return {
        "modelFormat": {"name": "huggingface"},
        "storageUri": uri,
        "args": [
            f"--model_name={model}",
            "--backend=vllm",
            f"--dtype={dtype}",
            f"--tensor-parallel-size={max(1, cluster.server_gpus)}",
        ],
        "env": pod_parts.variables(cluster),  # KServe's initializer fetches the files, with its account's Secrets
        "resources": _resources(cluster),
    }


def _on_volume(files: str, cluster: ClusterConfig) -> bool:
    """Whether files are on the volume that pods share, not in a bucket."""
    if files.startswith("s3://"):
        return False
    if cluster.volume and files.startswith(cluster.mount.rstrip("/") + "/"):
        return True
    raise ConfigError(
        "sampling.backend=kserve needs the checkpoint where a server pod can read it",
        value=files,
        remedy=f"out: s3://bucket/prefix, or a folder below {cluster.mount} (cluster.mount)",
    )


def _resources(cluster: ClusterConfig) -> Object:
    return pod_parts.resources(cluster, cluster.server_cpu, cluster.server_memory, cluster.server_gpus)
