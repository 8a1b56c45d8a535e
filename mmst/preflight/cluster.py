"""Check that a cluster has what a recipe needs: `mmst preflight --cluster NAMESPACE`.

The parts and their order are `PARTS`; each really tries things and yields findings. If a part cannot check
something (a server does not answer, a permission is missing), that is itself a finding that is not ok.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

from mmst import wiring
from mmst.core.config import Config
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import ConfigError, MmstError
from mmst.preflight import machine

PARTS = ("api", "permissions", "gvisor", "walls", "storage", "mlflow", "kserve", "quota", "images", "kfp")


def check_parts(only: Sequence[str], endpoint: str = "") -> None:
    """`ConfigError` for a part that does not exist, or cannot be checked so."""
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise ConfigError("--only names an unknown part", value=unknown[0], remedy=f"parts: {', '.join(PARTS)}")
    if "kfp" in only and not endpoint:
        raise ConfigError("--only kfp needs an address", remedy="--endpoint URL or KFP_ENDPOINT")


def examine(config: Config, only: Sequence[str] = (), endpoint: str = "") -> Iterator[Diagnostic]:
    """The findings of all or some parts, one by one; Kubeflow is checked if an `endpoint` is named."""
    check_parts(only, endpoint)
    ours: dict[str, Callable[[], Iterable[Diagnostic]]] = {
        "storage": lambda: storage(config.out),
        "mlflow": lambda: mlflow(config),
        "kfp": lambda: kubeflow(endpoint) if endpoint else (),
    }
    for name in PARTS:
        if not only or name in only:
            yield from _looked(name, ours.get(name) or partial(wiring.preflight, name, config))


def storage(out: str) -> Iterator[Diagnostic]:
    """The store is a bucket or a shared volume with conditional writes. Checked from here, not from a pod."""
    if not out.startswith("s3://"):
        found = f"{out}: a folder on the shared volume; only pods can look at it"
        yield Diagnostic(what="store", ok=True, found=found, why="everything that a run produces is stored there")
        return
    yield machine.store(out)


def mlflow(config: Config) -> Iterator[Diagnostic]:
    """The MLflow server answers: directly or, if its address is inside the cluster, through the API server."""
    named = [e.partition("=")[2] for e in config.cluster.env if e.startswith("MLFLOW_TRACKING_URI=")]
    uri = config.promote.tracking_uri or next(iter(named), "") or os.environ.get("MLFLOW_TRACKING_URI", "")
    why, remedy = "experiments and the model registry", "helm: mlflow.enabled, or promote.tracking_uri of a server"
    if not uri.startswith("http"):
        yield Diagnostic(what="MLflow", ok=False, found=uri or "none is named", why=why, remedy=remedy)
        return
    direct = machine.answering("MLflow", f"{uri.rstrip('/')}/health", why, remedy)
    inside = _inside(uri, config.cluster.namespace)
    if direct.ok or inside is None:
        yield direct
        return
    service, namespace, port = inside
    wiring.cluster(namespace).through(service, port, "health")
    yield Diagnostic(what="MLflow", ok=True, found=f"{uri} answers (through the API server)", why=why)


def kubeflow(endpoint: str) -> Iterator[Diagnostic]:
    """Kubeflow Pipelines answers."""
    yield machine.answering(
        "Kubeflow Pipelines", f"{endpoint.rstrip('/')}/apis/v2beta1/healthz", "`mmst submit` and `mmst trigger` use it",
        "correct --endpoint or KFP_ENDPOINT (docs/kubeflow.md says how to reach it)",
    )  # fmt: skip


def _inside(uri: str, namespace: str) -> tuple[str, str, int] | None:
    """Service, namespace and port of an address inside the cluster: `mlflow`, `mlflow.mmst`, `mlflow.mmst.svc…`."""
    parts = urlsplit(uri)
    service, *rest = (parts.hostname or "").split(".")
    if not service or (len(rest) > 1 and rest[1] != "svc"):
        return None
    return service, rest[0] if rest else namespace, parts.port or 80


def _looked(name: str, look: Callable[[], Iterable[Diagnostic]]) -> Iterator[Diagnostic]:
    try:
        yield from look()
    except MmstError as e:
        why, remedy = getattr(e, "why", ""), getattr(e, "remedy", "")
        found = getattr(e, "what", str(e)) + (f" ({why})" if why else "")
        yield Diagnostic(what=name, ok=False, found=found, why="it could not be checked", remedy=remedy)
