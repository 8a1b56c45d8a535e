"""Fixtures of the tests that need a node."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from mmst.backends.kube import JOB, POD, Cluster, Kind

NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
SERVICE = Kind("v1", "Service", "services")


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
        deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        cluster.create(POLICY, {"metadata": {"name": "deny-all"}, "spec": deny})
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


__all__ = ["JOB"]
