"""What a cluster gets once: created on the server, and what it refuses from then on."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst.core.config import ClusterConfig, parse
from mmst.core.ports import Limits, Program
from mmst.core.quantities import quantity
from mmst.kubernetes import probes
from mmst.sandbox.providers import kubernetes_job_objects
from mmst.sandbox.work import Work
from tests.cluster.cluster import (
    CHART,
    OVERLAYS,
    SCENARIOS,
    Cluster,
    Object,
    eventually,
    hold,
    overlay,
    render,
    run,
    unique,
)
from tests.cluster.conftest import MakeNamespace

pytestmark = pytest.mark.cluster

WORK = Work(Program(id="p1", source="print(1)"), Limits(timeout=1.0))


def check_pod() -> Object:
    """A pod as a check Job makes it."""
    spec = kubernetes_job_objects.check_job("check", [[WORK]], ClusterConfig(), "run")["spec"]["template"]["spec"]
    meta = {"name": "check", "namespace": "mmst-sandbox"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def changed(pod: Object, **spec: Any) -> Object:
    """The pod with other keys in its spec.

    `container` is for its container, `containers` come beside it, `volumes` in place of those of their names.
    """
    pod = copy.deepcopy(pod)
    pod["metadata"]["annotations"] = spec.pop("annotations", {})
    pod["spec"]["containers"][0].update(spec.pop("container", {}))
    pod["spec"]["containers"] += spec.pop("containers", [])
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


def printed(page: Path) -> list[str]:
    """The commands that a page prints for an installation, but for those that need a node."""
    text = page.read_text(encoding="utf-8").partition("\n## Install\n")[2].partition("\n\nThe chart")[0]
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.startswith("    ")]
    return [line for line in lines if not line.startswith("helm test")]


def test_what_the_docs_print_installs_a_release(cluster: Cluster, installed: None, repo_root: Path) -> None:
    commands = printed(repo_root / "docs/cluster.md")
    assert [command.split()[:2] for command in commands] == [
        ["kubectl", "apply"], ["kubectl", "create"], ["helm", "install"],
    ]  # fmt: skip
    cluster.needs(render(repo_root / "docs/examples/values.yaml"))
    quota = next(o for o in overlay(repo_root / "manifests/overlays/kind") if o["kind"] == "ResourceQuota")
    hold(cluster, quota)
    most = claim("100Ti")
    assert eventually(lambda: "exceeded quota" in cluster.create(most, "--dry-run=server", check=False))
    try:
        for command in commands:
            run("bash", "-c", f"cd {repo_root} && {command}")
        assert cluster.there(claim("1Gi"))
    finally:
        cluster.kubectl("delete", "secret", "mmst-s3", "--namespace=mmst", "--ignore-not-found", check=False)
        run("helm", "uninstall", "mmst", "--namespace=mmst", check=False)


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_a_release_with_the_chart_s_own_volume_fits_into_the_quota(path: Path) -> None:
    [volume] = [o for o in render(CHART / "ci/default-values.yaml") if o["kind"] == "PersistentVolumeClaim"]
    [quota] = [o for o in overlay(path) if o["kind"] == "ResourceQuota"]
    wanted = volume["spec"]["resources"]["requests"]["storage"]
    assert quantity(wanted) <= quantity(quota["spec"]["hard"]["requests.storage"])


def claim(size: str) -> Object:
    """The claim of a release, of another size."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    meta = {"name": "mmst-scratch", "namespace": "mmst"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def test_a_check_pod_is_let_into_the_sandbox_namespace(cluster: Cluster, installed: None) -> None:
    assert cluster.create(check_pod(), "--dry-run=server")["spec"]["overhead"]["memory"] == "64Mi"


def test_a_check_pod_is_let_in_as_the_job_controller_and_kueue_leave_it(cluster: Cluster, installed: None) -> None:
    index = "batch.kubernetes.io/job-completion-index"
    by_label = {"fieldRef": {"fieldPath": f"metadata.labels['{index}']"}}
    pod = changed(
        check_pod(),
        container={"env": [{"name": "JOB_COMPLETION_INDEX", "valueFrom": by_label}]},
        hostname="check-0",
        nodeSelector={"mmst.dev/sandbox": "gvisor"},
        schedulingGates=[{"name": "kueue.x-k8s.io/topology"}],
        imagePullSecrets=[{"name": "registry"}],
    )
    ours = {index: "0", "batch.kubernetes.io/job-index-failure-count": "0", "kueue.x-k8s.io/workload": "check"}
    pod["metadata"].update(annotations=ours, labels={index: "0"}, finalizers=["batch.kubernetes.io/job-tracking"])
    cluster.create(pod, "--dry-run=server")


def test_the_probes_of_preflight_are_let_in(cluster: Cluster, installed: None) -> None:
    spec = probes.sandbox_probe(parse({"cluster": {"pull_secrets": ["registry"]}}), ["true"])
    meta = {"name": "probe", "namespace": "mmst-sandbox"}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "--dry-run=server")


def variable(**source: Object) -> Object:
    """A change of the pod: a variable that comes from somewhere."""
    return {"container": {"env": [{"name": "A", "valueFrom": source}]}}


def mounted(**source: Object) -> Object:
    """A change of the pod: its first volume is another one."""
    return {"volumes": [{"name": "in", **source}]}


def confined(**more: Any) -> Object:
    """A change of the pod: its container's securityContext says something else."""
    return {"container": {"securityContext": {**check_pod()["spec"]["containers"][0]["securityContext"], **more}}}


CONTAINER = {key: check_pod()["spec"]["containers"][0][key] for key in ("image", "securityContext")}
VOLUME, ENV, FIELD, PART = (
    "mount emptyDir and configMap alone",
    "written out",
    "remove spec.",
    "fields of a check pod's: ",
)
REFUSED: dict[str, tuple[Object, str]] = {
    "no runtime class": ({"runtimeClassName": None}, "run under gVisor"),
    "a token": ({"automountServiceAccountToken": True}, "hold no token"),
    "a token by default": ({"automountServiceAccountToken": None}, "hold no token"),
    "another account": ({"serviceAccountName": "mmst-stage"}, "no account of their own"),
    "a Secret": (mounted(secret={"secretName": "s"}), VOLUME),
    "a projected Secret": (mounted(projected={"sources": [{"secret": {"name": "s"}}]}), VOLUME),
    "a projected token": (mounted(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}), VOLUME),
    "a projected ConfigMap": (mounted(projected={"sources": [{"configMap": {"name": "c"}}]}), VOLUME),
    "a claim": (mounted(persistentVolumeClaim={"claimName": "c"}), VOLUME),
    "an ephemeral claim": (
        mounted(
            ephemeral={
                "volumeClaimTemplate": {
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                }
            }
        ),
        VOLUME,
    ),
    "an image as volume": (mounted(image={"reference": "other:1"}), VOLUME),
    "NFS": (mounted(nfs={"server": "10.0.0.1", "path": "/"}), VOLUME),
    "iSCSI": (mounted(iscsi={"targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:a", "lun": 0}), VOLUME),
    "an inline CSI volume": (mounted(csi={"driver": "secrets-store.csi.k8s.io"}), VOLUME),
    "Ceph": (mounted(cephfs={"monitors": ["10.0.0.1"]}), VOLUME),
    "a disk of Fibre Channel": (mounted(fc={"targetWWNs": ["500a0982991b8dc5"], "lun": 0}), VOLUME),
    "a flex volume": (mounted(flexVolume={"driver": "example.com/driver"}), VOLUME),
    "a repository of Git": (mounted(gitRepo={"repository": "https://example.com/a.git"}), VOLUME),
    "a disk of a cloud": (mounted(awsElasticBlockStore={"volumeID": "v"}), VOLUME),
    "the downward API": (
        mounted(downwardAPI={"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.namespace"}}]}),
        VOLUME,
    ),
    "a folder of the node": (mounted(hostPath={"path": "/"}), VOLUME),
    "a part of a volume": (
        {"container": {"volumeMounts": [{"name": "in", "mountPath": "/in", "subPath": "a"}]}},
        "subPath",
    ),
    "a Secret as variable": (variable(secretKeyRef={"name": "s", "key": "k"}), ENV),
    "a ConfigMap as variable": (variable(configMapKeyRef={"name": "c", "key": "k"}), ENV),
    "its node's address": (variable(fieldRef={"fieldPath": "status.hostIP"}), ENV),
    "its namespace": (variable(fieldRef={"fieldPath": "metadata.namespace"}), ENV),
    "all of a Secret": ({"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, PART + "remove envFrom"),
    "all of a ConfigMap": ({"container": {"envFrom": [{"configMapRef": {"name": "c"}}]}}, PART + "remove envFrom"),
    "a container before it": ({"initContainers": [{"name": "i", **CONTAINER}]}, FIELD + "initContainers"),
    "a container beside it with a Secret": (
        {"containers": [{"name": "b", **CONTAINER, "envFrom": [{"secretRef": {"name": "s"}}]}]},
        PART + "remove envFrom",
    ),
    "names of the node's": ({"dnsPolicy": "Default", "dnsConfig": None}, "look up no names"),
    "names of the cluster's": ({"dnsPolicy": "ClusterFirst", "dnsConfig": None}, "look up no names"),
    "a name server elsewhere": ({"dnsConfig": {"nameservers": ["8.8.8.8"]}}, "look up no names"),
    "names of its own": ({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["s3"]}]}, FIELD + "hostAliases"),
    "the node's network": ({"hostNetwork": True}, FIELD + "hostNetwork"),
    "the node's processes": ({"hostPID": True}, FIELD + "hostPID"),
    "the node's memory": ({"hostIPC": True}, FIELD + "hostIPC"),
    "a port of the node": ({"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, PART + "remove ports"),
    "one process namespace": ({"shareProcessNamespace": True}, FIELD + "shareProcessNamespace"),
    "a node by name": ({"nodeName": "node1"}, FIELD + "nodeName"),
    "a claimed device": (
        {"resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}]},
        FIELD + "resourceClaims",
    ),
    "a device": ({"container": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}}, "get no device"),
    "requests by the kubelet": (
        {"container": {"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}}},
        PART + "remove livenessProbe",
    ),
    "a hook by the kubelet": (
        {"container": {"lifecycle": {"postStart": {"httpGet": {"host": "10.0.0.1", "port": 80}}}}},
        PART + "remove lifecycle",
    ),
    "a terminal": ({"container": {"stdin": True, "tty": True}}, PART + "remove "),
    "privileges": (confined(privileged=True, allowPrivilegeEscalation=True), "securityContext in a sandbox"),
    "rights that grow": (confined(allowPrivilegeEscalation=True), "gain no right"),
    "a right to all": (confined(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "gain no right"),
    "the usual rights": (confined(capabilities={}), "gain no right"),
    "the node's own /proc": ({**confined(procMount="Unmasked"), "hostUsers": False}, "securityContext in a sandbox"),
    "all system calls": (confined(seccompProfile={"type": "Unconfined"}), "seccompProfile RuntimeDefault"),
    "a file's group": ({"securityContext": {"fsGroup": 1}}, "securityContext in a sandbox"),
    "a kernel setting": (
        {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "9"}]}},
        "securityContext",
    ),
    "a second network": ({"annotations": {"k8s.v1.cni.cncf.io/networks": "open"}}, "take no orders by annotation"),
    "another gVisor": ({"annotations": {"dev.gvisor.flag.network": "host"}}, "take no orders by annotation"),
}
"""What somebody might try: a change of a check pod, and words of the refusal."""


@pytest.fixture(scope="module")
def walled(cluster: Cluster, installed: None) -> Iterator[str]:
    """A sandbox namespace in which the admission policy stands alone: no Pod Security level refuses first."""
    made = cluster.make_namespace(unique("mmst-walled"), {"mmst.dev/sandbox": "true"})
    name = str(made["metadata"]["name"])
    cluster.kubectl("create", "serviceaccount", "mmst-stage", "--namespace", name)
    yield name
    cluster.delete([made])


@pytest.mark.parametrize("name", REFUSED)
def test_a_pod_that_is_more_than_a_check_pod_is_refused(name: str, cluster: Cluster, walled: str) -> None:
    change, why = REFUSED[name]
    pod = changed(check_pod(), **change)
    pod["metadata"]["namespace"] = walled
    refusal = cluster.create(pod, "--dry-run=server", check=False)
    assert "denied request" in refusal
    assert why in refusal


def test_the_largest_pod_is_still_judged(cluster: Cluster, walled: str) -> None:
    many = [{"name": f"A{n}", "value": "1"} for n in range(5000)]
    pod = changed(check_pod(), container={"env": many})
    pod["metadata"]["namespace"] = walled
    cluster.create(pod, "--dry-run=server")
    pod["spec"]["containers"][0]["env"][-1] = variable(secretKeyRef={"name": "s", "key": "k"})["container"]["env"][0]
    assert ENV in cluster.create(pod, "--dry-run=server", check=False)


@pytest.fixture
def running(cluster: Cluster, installed: None, make_namespace: MakeNamespace) -> str:
    """A sandbox namespace with a check pod; without a node it only waits."""
    namespace = make_namespace("running", {"mmst.dev/sandbox": "true"})
    cluster.create({**check_pod(), "metadata": {"name": "check", "namespace": namespace}})
    return namespace


ENTERED = "nobody enters a pod of a sandbox namespace"


def test_no_container_is_added_to_a_pod_that_runs(cluster: Cluster, running: str) -> None:
    debug = {"name": "debug", **CONTAINER, "envFrom": [{"secretRef": {"name": "s"}}]}
    change = ("--subresource=ephemeralcontainers", "--patch", json.dumps({"spec": {"ephemeralContainers": [debug]}}))
    patch = ("patch", "pod", "check", "--namespace", running, *change)
    assert ENTERED in cluster.kubectl(*patch, check=False).stderr
    cluster.kubectl("label", "namespace", running, "mmst.dev/sandbox-")  # the wall was the only reason
    assert eventually(lambda: cluster.kubectl(*patch, check=False).returncode == 0)


@pytest.mark.parametrize("way", ["exec?command=id&stdout=1", "attach?stdout=1", "portforward?ports=80", "proxy/"])
def test_nobody_enters_a_pod_that_runs(way: str, cluster: Cluster, running: str) -> None:
    path = f"/api/v1/namespaces/{running}/pods/check/{way}"
    assert ENTERED in cluster.kubectl("create", "--filename=-", "--raw", path, check=False).stderr


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
