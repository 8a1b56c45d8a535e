"""A release as the chart leaves it, as far as commands see it: namespaces and the settings."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, Kind, Object

NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
ENFORCE = "pod-security.kubernetes.io/enforce"


@contextmanager
def release(**settings: Object) -> Iterator[Cluster]:
    """Two fresh namespaces, NAME and NAME-sandbox, and ConfigMap mmst-settings; deleted afterwards."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    name = f"mmst-{uuid.uuid4().hex[:8]}"
    cluster = Cluster.connect(name)
    names = (name, f"{name}-sandbox")
    data = {
        "out": "s3://bucket/runs",
        "check": {"sandbox": "gvisor_job"},
        "promote": {"tracking_uri": f"http://mlflow.{name}:5000"},
        "cluster": {"namespace": name, "sandbox_namespace": f"{name}-sandbox"},
    }
    for key, value in settings.items():
        data[key] = {**data.get(key, {}), **value}  # type: ignore[dict-item]
    try:
        for each in names:
            cluster.create(NAMESPACE, {"metadata": {"name": each, "labels": {ENFORCE: "restricted"}}})
            cluster.beside(each).create(ACCOUNT, {"metadata": {"name": "default"}})  # nobody else does without a node
        body = {"metadata": {"name": "mmst-settings"}, "data": {"settings.yaml": yaml.safe_dump(data)}}
        cluster.create(CONFIG_MAP, body)
        yield cluster
    finally:
        for each in names:
            cluster.delete(NAMESPACE, each)
