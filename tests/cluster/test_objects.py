"""What the providers make at run time: created on the server, from the settings of every chart scenario."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmst.core.config import ClusterConfig, parse
from mmst.core.manifest import Manifest
from mmst.core.ports import Limits, Program
from mmst.inference.providers import kserve_objects
from mmst.kubernetes.kinds import CONFIG_MAP, INFERENCE_SERVICE, JOB, Kind, Object
from mmst.sandbox.providers import kubernetes_job_objects as job_objects
from mmst.sandbox.work import Work
from mmst.training.providers import kubernetes_job_objects as train_objects
from tests.cluster.cluster import SCENARIOS, Cluster, render
from tests.cluster.conftest import MakeNamespace
from tests.cluster.test_chart import settings

pytestmark = pytest.mark.cluster

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
BASELINE = {"pod-security.kubernetes.io/enforce": "baseline"}
RELEASES = [path for path in SCENARIOS if not path.name.startswith("retrain-only")]
TRAINING = [path for path in RELEASES if not path.name.startswith("local-values")]
"""`local` trains in the stage's own pod."""
CHECKPOINT = Manifest(stage="train", key="842f4a72c0de", inputs={}, files=())
WORKS = [[Work(Program(id="p1", source="print(1)", stdin=""), Limits(timeout=1.0))]]


def whole(kind: Kind, body: Object) -> Object:
    return {"apiVersion": kind.api, "kind": kind.kind, **body}


def cluster_of(path: Path) -> tuple[ClusterConfig, int]:
    """The settings that a scenario's release lays over a recipe, and how many processes train."""
    config = parse(settings(render(path)))
    return config.cluster, config.train.ranks


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_check_jobs_are_accepted(path: Path, cluster: Cluster, make_namespace: MakeNamespace) -> None:
    config, _ = cluster_of(path)
    sandbox = make_namespace("sandbox", BASELINE)
    packed = [job_objects.packed(works) for works in WORKS]
    name = job_objects.name_of(packed, config, "")
    cluster.create(whole(CONFIG_MAP, job_objects.config_map(name, packed, "run")), namespace=sandbox)
    job = whole(JOB, job_objects.check_job(name, WORKS, config, "run"))
    made = cluster.create(job, namespace=sandbox)
    owner = job_objects.owned_by(made)
    assert owner["metadata"]["ownerReferences"][0]["uid"]


@pytest.mark.parametrize("form", train_objects.KINDS)
@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_training_jobs_are_accepted(path: Path, form: str, cluster: Cluster, make_namespace: MakeNamespace) -> None:
    config, ranks = cluster_of(path)
    kind = train_objects.KINDS[form]
    job = whole(kind, train_objects.job(form, "train-1", "/mnt/mmst/spec.json", config, ranks, "run"))
    cluster.needs([job])
    made = cluster.create(job, namespace=make_namespace("release"))
    assert made["metadata"]["labels"]["app.kubernetes.io/component"] == "train"


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_model_servers_are_accepted(path: Path, cluster: Cluster, make_namespace: MakeNamespace) -> None:
    config, _ = cluster_of(path)
    service = kserve_objects.sampling_service(
        CHECKPOINT, store="s3://mmst/runs", dtype="float32", cluster=config, run="run"
    )
    service = whole(INFERENCE_SERVICE, service)
    cluster.needs([service])
    made = cluster.create(service, namespace=make_namespace("release"))
    assert made["metadata"]["labels"]["app.kubernetes.io/component"] == "serve"


def test_the_pod_of_a_training_job_conforms_to_pod_security_restricted(
    cluster: Cluster, make_namespace: MakeNamespace
) -> None:
    namespace = make_namespace("restricted", RESTRICTED)
    cluster.kubectl("create", "serviceaccount", "mmst-trainer", "--namespace", namespace)
    for path in TRAINING:
        config, ranks = cluster_of(path)
        spec = train_objects.pytorch_job("train-1", "/mnt/mmst/spec.json", config, ranks, "run")["spec"]
        template = spec["pytorchReplicaSpecs"]["Master"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "train"}}
        cluster.create(pod, "--dry-run=server", namespace=namespace)
