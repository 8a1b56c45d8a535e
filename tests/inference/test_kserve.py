"""InferenceServices as objects, and what is read from them; tests/cluster has the real controller."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mmst.core.config import ClusterConfig
from mmst.core.errors import ConfigError, ModelError, SamplerError
from mmst.core.manifest import Manifest
from mmst.inference.providers import kserve
from mmst.inference.providers.kserve_objects import CHECKPOINT, inference_service, model_name, sampling_service
from mmst.kubernetes.kinds import INFERENCE_SERVICE, KFP_RUN, RUN
from mmst.kubernetes.scheduling import Turn
from mmst.serving.champion_service import changed

CLUSTER = ClusterConfig(
    env=("AWS_ENDPOINT_URL=http://s3:9000",),
    secrets=("mmst-s3",),
    stage_secrets=("mmst-mlflow",),
    tolerations=("gpu:NoSchedule",),
)
BLOOM = dataclasses.replace(CLUSTER, server_runtime="vllm", server_gpus=8, server_memory="400Gi", shm_gib=16.0)


def checkpoint(key: str = "3fa9", location: str = "") -> Manifest:
    return Manifest(stage="train", key=key, inputs={}, files=(), location=location)


def service(cluster: ClusterConfig = CLUSTER, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"store": "s3://b/runs", "dtype": "float32", "run": "demo-1"} | changes
    return sampling_service(given.pop("checkpoint", checkpoint()), cluster=cluster, **given)


def test_equal_services_have_one_name_and_any_difference_another() -> None:
    one = service()["metadata"]["name"]
    assert one == service(run="another")["metadata"]["name"]
    others = {
        service(checkpoint=checkpoint("4fa9"))["metadata"]["name"],
        service(dtype="bfloat16")["metadata"]["name"],
        service(store="s3://b/other")["metadata"]["name"],
        service(dataclasses.replace(CLUSTER, server_image="mmst/server:2"))["metadata"]["name"],
    }
    assert len(others | {one}) == 5
    assert len(one) == 17


def test_our_server_gets_the_checkpoint_by_reference_and_secrets_by_name() -> None:
    made = service()
    (container,) = made["spec"]["predictor"]["containers"]
    assert {"--store=s3://b/runs", "--checkpoint=stages/train/3fa9", "--dtype=float32"} <= set(container["args"])
    assert container["envFrom"] == [{"secretRef": {"name": "mmst-s3"}}]
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://s3:9000"} in container["env"]
    assert made["metadata"]["annotations"][CHECKPOINT] == checkpoint().digest
    assert made["metadata"]["labels"]["mmst.dev/run"] == "demo-1"


def test_a_release_may_set_what_we_would() -> None:
    cluster = dataclasses.replace(CLUSTER, env=("OMP_NUM_THREADS=3",))
    (container,) = service(cluster)["spec"]["predictor"]["containers"]
    assert container["env"] == [{"name": "OMP_NUM_THREADS", "value": "3"}]


def test_a_server_that_is_replaced_takes_requests_until_the_other_is_ready() -> None:
    predictor = service()["spec"]["predictor"]
    assert predictor["deploymentStrategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    leaving = predictor["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < leaving < predictor["terminationGracePeriodSeconds"] - 30


def test_bloom_is_served_by_vllm_on_eight_gpus_from_the_bucket() -> None:
    predictor = service(BLOOM)["spec"]["predictor"]
    model = predictor["model"]
    assert model["storageUri"] == "s3://b/runs/stages/train/3fa9"
    assert "--tensor-parallel-size=8" in model["args"]
    assert f"--model_name={model_name(checkpoint())}" in model["args"]
    assert model["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert "envFrom" not in model  # KServe's initializer has fetched the files
    assert predictor["volumes"] == [{"name": "devshm", "emptyDir": {"medium": "Memory", "sizeLimit": "16384Mi"}}]
    assert "containers" not in predictor


def test_a_base_model_on_the_shared_volume_is_read_there() -> None:
    there = checkpoint(location="/mnt/mmst/models/bloom")
    assert service(BLOOM, checkpoint=there)["spec"]["predictor"]["model"]["storageUri"] == (
        "pvc://mmst-scratch/models/bloom"
    )
    predictor = service(checkpoint=there)["spec"]["predictor"]
    assert {"name": "scratch", "mountPath": "/mnt/mmst", "readOnly": True} in predictor["containers"][0]["volumeMounts"]


@pytest.mark.parametrize(
    ("store", "location"), [("/home/me/runs", ""), ("s3://b/runs", "/models/bloom"), ("/mnt/mmst-2/runs", "")]
)
def test_files_that_no_pod_can_read_are_a_clear_error(store: str, location: str) -> None:
    with pytest.raises(ConfigError, match=r"where a server pod can read it, got '/.*Remedy: out: s3://"):
        service(store=store, checkpoint=checkpoint(location=location))


def test_a_change_removes_what_the_other_runtime_had() -> None:
    def champion(cluster: ClusterConfig) -> dict[str, Any]:
        return inference_service("c", checkpoint(), store="s3://b/r", model="c", dtype="float32", cluster=cluster)

    change = changed(champion(CLUSTER), champion(BLOOM))
    assert change["spec"]["predictor"]["containers"] is None
    assert change["spec"]["predictor"]["model"]["modelFormat"] == {"name": "huggingface"}


def test_a_service_serves_a_checkpoint_only_when_no_pod_of_another_is_left() -> None:
    def pod(digest: str, ready: str, going: bool) -> dict[str, Any]:
        meta = {"annotations": {CHECKPOINT: digest}, **({"deletionTimestamp": "now"} if going else {})}
        return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

    def found(*pods: tuple[str, str, bool]) -> bool:
        class Cluster:
            def list(self, kind: Any, labels: Any) -> list[Any]:
                return [
                    {
                        "metadata": {
                            "annotations": {CHECKPOINT: digest},
                            **({"deletionTimestamp": "now"} if going else {}),
                        },
                        "status": {"conditions": [{"type": "Ready", "status": ready}]},
                    }
                    for digest, ready, going in pods
                ]

        return kserve.serves_only(Cluster(), "s", {CHECKPOINT: "new"})  # type: ignore[arg-type]

    assert found(("new", "True", False))
    assert not found()
    assert not found(("new", "False", False))
    assert not found(("new", "True", False), ("old", "True", False))
    assert not found(("new", "True", False), ("old", "True", True))  # a proxy may still send it requests


class Pods:
    """A cluster with one pod of a service."""

    def __init__(self, state: dict[str, Any], log: bytes = b"", **metadata: Any) -> None:
        container = {"name": "kserve-container", "image": "mmst/server:1", "restartCount": 1, **state}
        meta = {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z", **metadata}
        self.pod = {"metadata": meta, "status": {"phase": "Running", "containerStatuses": [container]}}
        self.log_text = log

    def list(self, kind: Any, labels: Any) -> list[Any]:
        return [self.pod]

    def log(self, *args: Any, **kwargs: Any) -> bytes:
        return self.log_text


class Ready(Pods):
    """A cluster with a service that KServe calls ready, under a name that nobody here knows."""

    def follow(self, *args: Any, **kwargs: Any) -> Any:
        status = {"conditions": [{"type": "Ready", "status": "True"}], "url": "http://s.nowhere.invalid"}
        while True:
            yield {"s": {"metadata": {"name": "s"}, "status": status}}, ""


def crashed(code: int, restarts: int = 1) -> dict[str, Any]:
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, "reason": "Error"}},
        "restartCount": restarts,
    }


def test_a_server_that_refuses_its_checkpoint_is_the_models_trouble_in_its_own_words() -> None:
    with pytest.raises(ModelError, match="no tokenizer"):
        kserve.look_at_pods(Pods(crashed(2), b"mmst: model folder has no tokenizer\n"), "s", 60.0, Turn([]))  # type: ignore[arg-type]


def test_a_ready_server_that_cannot_be_reached_from_here_is_told_from_one_that_is_not_ready() -> None:
    with pytest.raises(SamplerError, match=r"is ready, but http://s\.nowhere\.invalid.* does not answer from here"):
        kserve.ready(Ready({"state": {"running": {}}}), "s", 0.1)  # type: ignore[arg-type]


def test_a_store_that_fails_is_tried_again_and_then_the_platforms_trouble() -> None:
    kserve.look_at_pods(Pods(crashed(4)), "s", 60.0, Turn([]))  # type: ignore[arg-type]
    with pytest.raises(SamplerError, match="crash"):
        kserve.look_at_pods(Pods(crashed(4, restarts=3)), "s", 60.0, Turn([]))  # type: ignore[arg-type]


def test_a_pod_on_its_way_out_is_nobodys_trouble() -> None:
    kserve.look_at_pods(Pods(crashed(2), deletionTimestamp="now"), "s", 60.0, Turn([]))  # type: ignore[arg-type]


class Held:
    """A cluster with a service of the run `mine`, and the pods that own it: (name, run, phase)."""

    def __init__(self, *pods: tuple[str, str, str]) -> None:
        self.pods: dict[str, Any] = {
            name: {"metadata": {"name": name, "uid": f"u-{name}", "labels": {RUN: run}}, "status": {"phase": phase}}
            for name, run, phase in pods
        }
        owners = [kserve.reference(pod) for pod in self.pods.values()]
        self.service: dict[str, Any] | None = {"metadata": {"name": "s", "ownerReferences": owners}}

    def list(self, kind: Any, labels: Any) -> list[Any]:
        return [self.service] if self.service and labels[RUN] == "mine" else []

    def get(self, kind: Any, name: str) -> Any:
        return self.service if kind is INFERENCE_SERVICE else self.pods.get(name)

    def delete_at(self, kind: Any, read: Any) -> bool:
        self.service = None
        return True


def left(*pods: tuple[str, str, str], gone: tuple[str, ...] = ()) -> bool:
    """Whether the service is there after the clean-up of the run `mine`, some of its owners being gone."""
    cluster = Held(*pods)
    for name in gone:
        del cluster.pods[name]
    kserve.end(cluster, "mine")  # type: ignore[arg-type]
    return cluster.service is not None


def test_the_end_of_a_run_takes_no_server_from_a_stage_of_another() -> None:
    assert left(("a", "mine", "Running"), ("b", "other", "Running"))
    assert left(("b", "other", "Pending"))


def test_the_end_of_an_execution_takes_no_server_from_its_twin() -> None:
    cluster = Held(("a", "mine", "Running"), ("b", "mine", "Running"))
    for name in ("a", "b"):
        cluster.pods[name]["metadata"]["labels"][KFP_RUN] = name
    kserve.end(cluster, "mine", "a")  # type: ignore[arg-type]
    assert cluster.service is not None
    del cluster.pods["b"]
    kserve.end(cluster, "mine", "a")  # type: ignore[arg-type]
    assert cluster.service is None


def test_the_end_of_a_run_deletes_what_its_killed_stages_and_those_of_others_left() -> None:
    assert not left()
    assert not left(("a", "mine", "Running"))
    assert not left(("b", "other", "Failed"))
    assert not left(("b", "other", "Running"), gone=("b",))
