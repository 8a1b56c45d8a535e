"""What of a run is in a cluster, and what is wrong with it, told by objects of a real API server."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator

import pytest

from mmst.cli import app
from mmst.core.config import ClusterConfig
from mmst.core.errors import SandboxError, StoreError
from mmst.core.ports import Limits, Program
from mmst.kubernetes import run_status
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import (
    COMPONENT,
    INFERENCE_SERVICE,
    JOB,
    KFP_RUN,
    MANAGED,
    POD,
    PYTORCH_JOB,
    RUN,
    WORKFLOW,
    Kind,
    Object,
)
from mmst.runner.events import failed
from mmst.sandbox.providers.kubernetes_job_objects import check_job
from mmst.sandbox.work import Waiting, Work
from tests.cluster.release import release
from tests.support.runs import Made

pytestmark = pytest.mark.cluster


@pytest.fixture
def here() -> Iterator[Cluster]:
    with release() as cluster:
        yield cluster


def meta(name: str, run: str, component: str, **labels: str) -> Object:
    return {"name": name, "labels": {**MANAGED, RUN: run, COMPONENT: component, **labels}}


def pod(cluster: Cluster, name: str, run: str, status: Object, component: str = "stage", **labels: str) -> None:
    restricted = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": "no.such/image:1", "securityContext": restricted}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    spec["schedulerName"] = "nobody"  # else a node, where there is one, would say how it stands
    cluster.create(POD, {"metadata": meta(name, run, component, **labels), "spec": spec})
    set_status(cluster, POD, name, status)


def set_status(cluster: Cluster, kind: Kind, name: str, status: Object) -> None:
    path = f"{cluster.path(kind, name)}/status"
    cluster._api.json("PATCH", path, {"status": status}, content="application/merge-patch+json")


def work() -> Work:
    found = Waiting(iter([Program(id="a", source="import os")]), Limits()).next()
    assert found is not None
    return found


def test_objects_of_the_run_are_told_with_what_is_wrong_and_others_are_not(here: Cluster) -> None:
    sandbox = here.beside(f"{here.namespace}-sandbox")
    waiting = {"name": "main", "image": "no.such/image:1", "imageID": "", "ready": False, "restartCount": 0}
    waiting["state"] = {"waiting": {"reason": "ErrImageNeverPull", "message": "not here"}}
    pod(here, "a", "mine-1", {"phase": "Pending", "containerStatuses": [waiting]}, **{"mmst.dev/stage": "sample"})
    pod(here, "b", "mine-1", {"phase": "Running"})
    pod(here, "done", "mine-1", {"phase": "Succeeded"})
    pod(here, "other", "other-1", {"phase": "Running"})
    template = {"spec": {"containers": [{"name": "pytorch", "image": "i"}]}}
    replicas = {"Master": {"replicas": 1, "restartPolicy": "OnFailure", "template": template}}
    job: Object = {"metadata": meta("train-1", "mine-1", "train"), "spec": {"pytorchReplicaSpecs": replicas}}
    here.create(PYTORCH_JOB, job)
    set_status(here, PYTORCH_JOB, "train-1", {"conditions": [{"type": "Running", "status": "True"}]})
    model = {"modelFormat": {"name": "huggingface"}, "storageUri": "s3://b/m"}
    here.create(
        INFERENCE_SERVICE,
        {"metadata": meta("serve-1", "mine-1", "serve"), "spec": {"predictor": {"model": model}}},
    )
    set_status(
        here,
        INFERENCE_SERVICE,
        "serve-1",
        {"conditions": [{"type": "PredictorReady", "status": "False", "message": "no runtime supports it"}]},
    )
    sandbox.create(JOB, check_job("check-1", [[work()]], ClusterConfig(), "mine-1"))
    seen = {s.name: s for s in run_status.of_run(here, sandbox.namespace, "mine-1")}
    assert set(seen) == {"a", "b", "train-1", "serve-1", "check-1"}
    assert (seen["a"].component, seen["a"].lasting) == ("stage sample", True)
    assert "ErrImageNeverPull" in seen["a"].trouble
    assert "Remedy" in seen["a"].trouble
    assert (seen["b"].state, seen["b"].trouble) == ("Running", "")
    assert seen["train-1"].state == "Running"
    assert (seen["serve-1"].state, seen["serve-1"].trouble) == ("not ready", "no runtime supports it")
    assert seen["check-1"].state == "0 of 1 done, 0 at work"


def test_a_server_that_starts_is_no_trouble_until_it_takes_long(here: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"modelFormat": {"name": "huggingface"}, "storageUri": "s3://b/m"}
    body: Object = {"metadata": meta("serve-1", "mine-1", "serve"), "spec": {"predictor": {"model": model}}}
    here.create(INFERENCE_SERVICE, body)
    waiting = {
        "type": "PredictorReady",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "none yet",
    }
    set_status(here, INFERENCE_SERVICE, "serve-1", {"conditions": [waiting]})
    for quiet, said in ((60.0, ""), (-1.0, "none yet")):
        monkeypatch.setattr(run_status, "QUIET", quiet)
        (seen,) = run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1")
        assert (seen.state, seen.trouble) == ("not ready", said)


def test_a_pod_that_waits_for_others_of_its_run_is_no_lasting_trouble(here: Cluster) -> None:
    no_room = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    pod(here, "waiting", "mine-1", {"phase": "Pending", "conditions": [no_room]}, "train")

    def seen() -> run_status.Seen:
        found = run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1", start_timeout=-1.0)
        return next(s for s in found if s.name == "waiting")

    assert seen().lasting
    assert "0/1 nodes" in seen().trouble
    pod(here, "other", "mine-1", {"phase": "Running"}, "train")
    assert not seen().lasting
    assert "waits until others" in seen().trouble


def test_pods_that_kubeflow_made_for_the_run_are_seen_by_its_own_label(here: Cluster) -> None:
    pod(here, "driver", "", {"phase": "Pending"}, "", **{KFP_RUN: "kfp-7"})
    assert run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1") == []
    seen = run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1", kfp_run="kfp-7")
    assert [s.name for s in seen] == ["driver"]
    pod(here, "earlier", "mine-1", {"phase": "Failed"}, **{KFP_RUN: "kfp-6"})
    seen = run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1", kfp_run="kfp-7")
    assert [s.name for s in seen] == ["driver"]  # that of an earlier attempt explains nothing now


def test_the_nodes_of_a_workflow_are_read_also_where_argo_has_compressed_them(here: Cluster) -> None:
    nodes = {"a-1": {"displayName": "sample", "phase": "Running"}, "a-2": {"displayName": "check", "phase": "Pending"}}
    assert run_status.workflow_nodes(here, "kfp-7") == []
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    for run, status in (("kfp-7", {"nodes": nodes}), ("kfp-8", {"compressedNodes": packed})):
        body: Object = {"metadata": {"name": run, "labels": {KFP_RUN: run}}, "status": status}
        here.create(WORKFLOW, body | {"spec": {"suspend": True}})
        assert [n["displayName"] for n in run_status.workflow_nodes(here, run)] == ["sample", "check"]


def test_a_pod_that_says_nothing_for_long_is_explained_by_its_last_event(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_status, "QUIET", -1.0)
    pod(here, "stuck", "mine-1", {"phase": "Pending"})
    found = here.get(POD, "stuck")
    assert found is not None
    here.event(found, reason="FailedMount", message='secret "mmst-s3" not found', error=StoreError("not found"))
    (seen,) = run_status.of_run(here, f"{here.namespace}-sandbox", "mine-1")
    assert seen.trouble == 'FailedMount: secret "mmst-s3" not found'
    assert not seen.lasting


def test_what_a_failed_stage_said_is_found_and_what_an_earlier_run_said_is_not(
    here: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod(here, "a", "mine-1", {"phase": "Running"})
    found = here.get(POD, "a")
    assert found is not None
    for key, value in (("NAME", "a"), ("UID", found["metadata"]["uid"]), ("NAMESPACE", here.namespace)):
        monkeypatch.setenv(f"POD_{key}", value)
    error = SandboxError("no gVisor", remedy="apt-get install runsc")
    error.place = "check (round 1, mmst)"
    failed("mine-1", error)
    failed("mine-10", SandboxError("another run's"))
    [read] = run_status.failures(here, "mine-1")
    assert (type(read), str(read), read.remedy) == (SandboxError, str(error), error.remedy)
    assert run_status.failures(here, "mine-1", since=time.time() + 60) == []


def test_status_shows_the_store_and_the_cluster_side_by_side(
    here: Cluster, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made(tmp_path_factory.mktemp("store"))
    made.whole()
    pod(here, "a", made.run, {"phase": "Running"})
    arguments = ["status", "made", "--out", str(made.config.out), "--cluster", here.namespace]
    assert app.main([*arguments, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["store"]["run"] == made.run
    assert [o["name"] for o in data["cluster"]["objects"]] == ["a"]
    assert app.main(arguments) == 0
    assert "Pod a" in capsys.readouterr().out
