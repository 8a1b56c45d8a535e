"""What a cluster gets once: created on the server, and what it refuses from then on."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mmst.core.config import ClusterConfig
from mmst.core.ports import Limits, Program
from mmst.sandbox.providers import kubernetes_job_objects
from mmst.sandbox.work import Work
from tests.cluster.cluster import OVERLAYS, SCENARIOS, Cluster, Object, overlay, render

pytestmark = pytest.mark.cluster

WORK = Work(Program(id="p1", source="print(1)"), Limits(timeout=1.0))


def check_pod() -> Object:
    """A pod as a check Job makes it."""
    spec = kubernetes_job_objects.check_job("check", [[WORK]], ClusterConfig(), "run")["spec"]["template"]["spec"]
    meta = {"name": "check", "namespace": "mmst-sandbox"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def changed(pod: Object, **spec: Any) -> Object:
    """The pod with other keys in its spec: `container` in its container, `volumes` in place of those of their names."""
    pod = copy.deepcopy(pod)
    pod["spec"]["containers"][0].update(spec.pop("container", {}))
    new = {volume["name"]: volume for volume in spec.pop("volumes", ())}
    pod["spec"].update(spec, volumes=[new.get(volume["name"], volume) for volume in pod["spec"]["volumes"]])
    return pod


def identity(o: Object, namespace: str) -> tuple[str, str, str, str]:
    group = o["apiVersion"].rpartition("/")[0]
    return group, o["kind"], o["metadata"].get("namespace", namespace), o["metadata"]["name"]


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_every_overlay_is_accepted_by_the_server(path: Path, cluster: Cluster, installed: None) -> None:
    wanted = overlay(path)
    cluster.needs(wanted)
    cluster.create_all(wanted, namespace="default")
    assert all(cluster.there(o) for o in wanted)
    base = {identity(o, "") for o in overlay(path.parent / "kind")}
    cluster.delete(o for o in wanted if identity(o, "") not in base)


def test_no_object_is_both_in_the_chart_and_in_the_manifests() -> None:
    once_a_cluster = {identity(o, "") for path in OVERLAYS for o in overlay(path)}
    once_a_release = {identity(o, "mmst") for path in SCENARIOS for o in render(path)}
    assert len(once_a_cluster) > 8
    assert len(once_a_release) > 30
    assert not once_a_cluster & once_a_release


def test_a_check_pod_is_let_into_the_sandbox_namespace(cluster: Cluster, installed: None) -> None:
    assert cluster.create(check_pod(), "--dry-run=server")["spec"]["overhead"]["memory"] == "64Mi"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"runtimeClassName": None}, "run under gVisor"),
        ({"automountServiceAccountToken": True}, "hold no token"),
        ({"automountServiceAccountToken": None}, "hold no token"),
        ({"volumes": [{"name": "in", "secret": {"secretName": "s"}}]}, "mount no Secret"),
        ({"volumes": [{"name": "in", "projected": {"sources": [{"secret": {"name": "s"}}]}}]}, "mount no Secret"),
        (
            {"volumes": [{"name": "in", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
            "mount no Secret",
        ),
        ({"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, "no Secret as environment"),
        (
            {"container": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}},
            "no Secret as environment",
        ),
        (
            {"initContainers": [{"name": "i", "image": "i", "envFrom": [{"secretRef": {"name": "s"}}]}]},
            "no Secret as environment",
        ),
        ({"volumes": [{"name": "in", "hostPath": {"path": "/"}}]}, "violates PodSecurity"),
        ({"hostNetwork": True}, "violates PodSecurity"),
        ({"container": {"securityContext": {"privileged": True}}}, "violates PodSecurity"),
        ({"container": {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}}, "violates PodSecurity"),
    ],
)
def test_any_other_pod_is_refused_there(change: Object, why: str, cluster: Cluster, installed: None) -> None:
    assert why in cluster.create(changed(check_pod(), **change), "--dry-run=server", check=False)


def test_the_same_pod_without_gvisor_is_let_in_elsewhere(cluster: Cluster, installed: None) -> None:
    pod = changed(check_pod(), runtimeClassName=None)
    pod["metadata"]["namespace"] = "mmst"
    cluster.create(pod, "--dry-run=server")


def test_an_unknown_field_is_refused(cluster: Cluster, installed: None) -> None:
    refusal = cluster.create(changed(check_pod(), runtimeClas="gvisor"), "--dry-run=server", check=False)
    assert 'unknown field "spec.runtimeClas"' in refusal


def test_the_dashboard_shows_metrics_that_the_server_has(repo_root: Path) -> None:
    text = (repo_root / "manifests/components/grafana/mmst.json").read_text(encoding="utf-8")
    panels = json.loads(text)["panels"]
    shown = {re.sub(r"_(total|bucket)$", "", name) for name in re.findall(r"mmst_[a-z_]+(?=\{)", text)}
    server = "".join(path.read_text(encoding="utf-8") for path in (repo_root / "mmst/inference/server").glob("*.py"))
    served = set(re.findall(r'"(mmst_[a-z_]+)"', server))
    assert shown == served
    assert len({panel["id"] for panel in panels}) == len(panels) > 5
