"""Fixtures of the tests that need a node."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CLAIM, POD, RUNTIME_CLASS, Kind
from tests.cluster.node.installation import installed_chart
from tests.cluster.node.sandboxes import GVISOR

NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")


@contextlib.contextmanager
def namespace(prefix: str, labels: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A namespace of one's own."""
    cluster = Cluster.connect(f"{prefix}-{secrets.token_hex(3)}")
    cluster.create(NAMESPACE, {"metadata": {"name": cluster.namespace, "labels": labels or {}}})
    try:
        yield cluster
    finally:
        cluster.delete(NAMESPACE, cluster.namespace)


@pytest.fixture(scope="session")
def sandbox_namespace() -> Iterator[Cluster]:
    with namespace("mmst-checks", {"pod-security.kubernetes.io/enforce": "baseline"}) as cluster:
        cluster.create(RUNTIME_CLASS, {"metadata": {"name": GVISOR}, "handler": "runsc"})
        deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        cluster.create(POLICY, {"metadata": {"name": "deny-all"}, "spec": deny})
        yield cluster
        cluster.delete(RUNTIME_CLASS, GVISOR)


@pytest.fixture(scope="session")
def run_namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """A namespace for training and servers, and the folder on this machine that is its shared volume."""
    folder = tmp_path_factory.mktemp("scratch")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o777)  # the pods' user is another
    with namespace("mmst-run", {"pod-security.kubernetes.io/enforce": "baseline"}) as cluster:
        for name in ("mmst-trainer", "mmst-server"):
            cluster.create(ACCOUNT, {"metadata": {"name": name}})
        size = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        claim = {"name": "mmst-scratch", "namespace": cluster.namespace}
        disk = {"capacity": {"storage": "10Gi"}, "hostPath": {"path": str(folder)}, "claimRef": claim, **size}
        cluster.create(VOLUME, {"metadata": {"name": cluster.namespace}, "spec": disk})
        asked = {"resources": {"requests": {"storage": "10Gi"}}, "volumeName": cluster.namespace, **size}
        cluster.create(CLAIM, {"metadata": {"name": "mmst-scratch"}, "spec": asked})
        yield cluster, folder
        cluster.delete(VOLUME, cluster.namespace)


@pytest.fixture(scope="session")
def strict_namespace() -> Iterator[Cluster]:
    """A namespace in which the training-operator's init container is forbidden."""
    with namespace("mmst-strict", {"pod-security.kubernetes.io/enforce": "restricted"}) as cluster:
        cluster.create(ACCOUNT, {"metadata": {"name": "mmst-trainer"}})
        yield cluster


@pytest.fixture(scope="session")
def open_namespace() -> Iterator[Cluster]:
    with namespace("mmst-open") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def web(open_namespace: Cluster) -> tuple[str, int]:
    """A web server in a pod: its address."""
    container = {"name": "web", "image": "mmst/checker:0.1.0", "imagePullPolicy": "IfNotPresent"}
    container["command"] = ["/usr/bin/python3", "-m", "http.server", "8080"]  # type: ignore[assignment]
    open_namespace.create(POD, {"metadata": {"name": "web"}, "spec": {"containers": [container]}})
    for state, _ in open_namespace.follow(POD, fields="metadata.name=web"):
        status = state.get("web", {}).get("status", {})
        if any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())):
            return status["podIP"], 8080
    raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def release(installed: None, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The chart in namespace mmst, with S3 and MLflow servers on the node; the environment that reaches them."""
    with installed_chart(repo_root / "helm/mmst", tmp_path_factory.mktemp("release")) as environment:
        yield environment
