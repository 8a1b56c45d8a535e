"""What the tests of model servers in a cluster share: an S3 server that pods reach, checkpoints, names that resolve."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst import __version__
from mmst.core.config import ClusterConfig
from mmst.core.hashes import file_entries
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.stage_folder import StageFolder
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import SERVICE, Kind
from tests.support.s3_server import CREDENTIALS, s3_server

NODE = Kind("v1", "Node", "nodes", namespaced=False)
ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SECRET = Kind("v1", "Secret", "secrets")


@contextlib.contextmanager
def s3_for_pods(cluster: Cluster) -> Iterator[str]:
    """The address of an S3 server on this machine, which is the node (or can be reached from its pods)."""
    (node,) = (n for n in cluster.list(NODE))
    host = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    with s3_server(host, "--threads") as url:
        yield url


def settings(cluster: Cluster, s3: str, **changes: Any) -> ClusterConfig:
    """How servers are to run in a test's namespace, which gets a Secret with the keys of the store."""
    there = {name: value for name, value in CREDENTIALS.items() if not value.startswith("/")}
    keys = {name: there.pop(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    cluster.create(SECRET, {"metadata": {"name": "s3"}, "stringData": keys})
    env = [f"{name}={value}" for name, value in there.items()]
    given: dict[str, Any] = {
        "namespace": cluster.namespace,
        "server_image": f"mmst/server:{__version__}",
        "pull_policy": "IfNotPresent",
        "secrets": ("s3",),
        "env": (*env, f"AWS_ENDPOINT_URL={s3}", "OMP_NUM_THREADS=1"),
        "volume": "",
        "server_cpu": "1",
        "server_memory": "1Gi",
        "start_timeout": 180.0,
    }
    return ClusterConfig(**given | changes)


def stored(store: Store, folder: Path, key: object) -> Manifest:
    """A folder as a complete checkpoint of a store."""
    stage = StageFolder.open(store, "train", version=1, config={"key": key}, inputs={})
    entries = file_entries(folder)
    for entry in entries:
        stage.put_file(entry.name, folder / entry.name)
    return stage.finish(files=entries)


def gone(cluster: Cluster, kind: Kind, name: str) -> None:
    """Wait until an object is no longer there: the next one may have its name."""
    for state, _ in cluster.follow(kind, fields=f"metadata.name={name}"):
        if name not in state:
            return


def resolve_services(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, outside the cluster, find `NAME.NAMESPACE.svc…` by the service's own address."""
    ask = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **kwargs: Any) -> Any:
        parts = str(host if isinstance(host, str) else (host or b"").decode()).split(".")
        if len(parts) > 2 and parts[2] == "svc":
            service = cluster.beside(parts[1]).get(SERVICE, parts[0])
            if service is None:
                raise socket.gaierror(socket.EAI_NONAME, f"no service {host}")
            host = service["spec"]["clusterIP"]
        return ask(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
