"""The InferenceServices that stages and rollout make, on the server, from the settings of every chart scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmst.core.manifest import Manifest
from mmst.inference.providers.kserve_objects import inference_service, sampling_service
from mmst.kubernetes.kinds import INFERENCE_SERVICE, Object
from tests.cluster.cluster import Cluster
from tests.cluster.conftest import MakeNamespace
from tests.cluster.test_objects import RELEASES, RESTRICTED, cluster_of, whole

pytestmark = pytest.mark.cluster

CHECKPOINT = Manifest(stage="train", key="3fa9", inputs={}, files=())
OF_SERVICE = {"minReplicas", "maxReplicas", "timeout", "deploymentStrategy", "model"}
"""What a predictor has beyond the fields of a pod."""


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_model_servers_are_accepted(path: Path, cluster: Cluster, make_namespace: MakeNamespace) -> None:
    config, _ = cluster_of(path)
    namespace = make_namespace("serve", RESTRICTED)
    how = {"store": "s3://bucket/runs", "dtype": "bfloat16", "cluster": config}
    services: list[Object] = [
        sampling_service(CHECKPOINT, run="run", **how),  # type: ignore[arg-type]
        inference_service("champion", CHECKPOINT, model="champion", **how),  # type: ignore[arg-type]
    ]
    cluster.needs([whole(INFERENCE_SERVICE, services[0])])
    for service in services:
        made = cluster.create(whole(INFERENCE_SERVICE, service), "--dry-run=server", namespace=namespace)
        predictor = made["spec"]["predictor"]
        assert predictor.keys() >= service["spec"]["predictor"].keys(), "the server knows every field"
        if "containers" in predictor:
            spec = {k: v for k, v in service["spec"]["predictor"].items() if k not in OF_SERVICE}
            spec["serviceAccountName"] = "default"
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}, "spec": spec}
            cluster.create(pod, "--dry-run=server", namespace=namespace)
