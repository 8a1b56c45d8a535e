"""The objects of a run in the cluster now, and their problems. Read-only."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from mmst.core.errors import MmstError, PlatformError
from mmst.kubernetes import pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import (
    COMPONENT,
    ERROR,
    EVENT,
    INFERENCE_SERVICE,
    JOB,
    KFP_RUN,
    POD,
    PYTORCH_JOB,
    RUN,
    TRAIN_JOB,
    WORKFLOW,
    Kind,
    Object,
)
from mmst.kubernetes.scheduling import held

QUIET = 60.0
"""Seconds that a pod or model server may take to start before this counts as a problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object of a run. `trouble` is its problem and the remedy; it is `lasting` if waiting will not help.

    Example:
        {"kind": "Pod", "name": "check-3f-0-x7", "namespace": "mmst-sandbox", "component": "check",
         "state": "Pending", "trouble": "image: … Remedy: …", "lasting": true}
    """

    kind: str
    name: str
    namespace: str
    component: str
    state: str
    trouble: str = ""
    lasting: bool = False


def of_run(
    cluster: Cluster, sandbox_namespace: str, run: str, *, kfp_run: str = "", start_timeout: float = 900.0
) -> list[Seen]:
    """The jobs, services and unfinished or failed pods of a run, in the release's and the sandbox's namespace."""
    mine = {RUN: run}
    seen = [_training(cluster, kind, o) for kind in (PYTORCH_JOB, TRAIN_JOB) for o in _listed(cluster, kind, mine)]
    seen += [_service(cluster, o) for o in _listed(cluster, INFERENCE_SERVICE, mine)]
    sandbox = cluster.beside(sandbox_namespace)
    seen += [_job(sandbox, o) for o in sandbox.list(JOB, mine)]
    found = [(where, list(where.list(POD, mine))) for where in (cluster, sandbox)]
    workers = [pod for _, those in found for pod in those]
    found += [(cluster, list(cluster.list(POD, {KFP_RUN: kfp_run})))] if kfp_run else []
    for where, those in found:
        for pod in those:
            # Argo keeps the pods of an earlier attempt at this run for an hour.
            earlier = kfp_run and pod["metadata"].get("labels", {}).get(KFP_RUN, kfp_run) != kfp_run
            if pods.phase(pod) != "Succeeded" and not earlier:
                seen.append(_pod(where, pod, start_timeout, workers))
    return list({(s.kind, s.namespace, s.name): s for s in seen}.values())


def workflow_nodes(cluster: Cluster, kfp_run: str) -> list[Object]:
    """The nodes of a run's Argo Workflow, even if Argo has compressed them; [] if there is none."""
    for workflow in _listed(cluster, WORKFLOW, {KFP_RUN: kfp_run}):
        status = workflow.get("status", {})
        if packed := status.get("compressedNodes"):
            return list(json.loads(gzip.decompress(base64.b64decode(packed))).values())
        return list(status.get("nodes", {}).values())
    return []


def failures(cluster: Cluster, run: str, since: float = 0.0) -> list[MmstError]:
    """Why stages of a run failed (`runner.events`), the newest last; `since` in seconds since 1970."""
    first = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))
    events = cluster.list(EVENT, fields="reason=StageFailed")
    found = [(str(e.get("lastTimestamp") or ""), e) for e in events if str(e.get("message")).startswith(f"{run}: ")]
    return [_error(e) for moment, e in sorted(found, key=itemgetter(0)) if moment >= first]


def _error(event: Object) -> MmstError:
    try:
        return MmstError.from_data(json.loads(event["metadata"]["annotations"][ERROR]))
    except (KeyError, ValueError, TypeError):  # anybody may leave an Event
        return PlatformError(str(event["message"]))


def _listed(cluster: Cluster, kind: Kind, labels: Mapping[str, str]) -> Iterator[Object]:
    return cluster.list(kind, labels) if cluster.has(kind) else iter(())


def _component(o: Object) -> str:
    labels = o["metadata"].get("labels", {})
    return f"{labels.get(COMPONENT, '')} {labels.get('mmst.dev/stage', '')}".strip()


def _job(cluster: Cluster, o: Object) -> Seen:
    status, spec = o.get("status", {}), o["spec"]
    counts = f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} done, {status.get('active', 0)} at work"
    wrong = next((c for c in status.get("conditions", ()) if c["type"] == "Failed" and c["status"] == "True"), None)
    return Seen(
        kind="Job", name=o["metadata"]["name"], namespace=cluster.namespace, component=_component(o),
        state="suspended" if spec.get("suspend") else counts,
        trouble=f"{wrong.get('reason')}: {wrong.get('message')}" if wrong else "",
    )  # fmt: skip


def _training(cluster: Cluster, kind: Kind, o: Object) -> Seen:
    holding = [c for c in o.get("status", {}).get("conditions", ()) if c["status"] == "True"]
    last = holding[-1] if holding else {"type": "not taken up", "message": ""}
    bad = last["type"] == "Failed"
    return Seen(
        kind=kind.kind, name=o["metadata"]["name"], namespace=cluster.namespace, component=_component(o),
        state=str(last["type"]), trouble=str(last.get("message", "")) if bad else "",
    )  # fmt: skip


def _service(cluster: Cluster, o: Object) -> Seen:
    conditions = {c["type"]: c for c in o.get("status", {}).get("conditions", ())}
    ready = conditions.get("Ready", {})
    starting = "MinimumReplicasUnavailable" if pods.age(o) <= QUIET else ""
    wrong = [
        c for c in conditions.values() if c["status"] == "False" and c.get("reason") != starting and c.get("message")
    ]
    return Seen(
        kind="InferenceService", name=o["metadata"]["name"], namespace=cluster.namespace, component=_component(o),
        state="ready" if ready.get("status") == "True" else "not ready",
        trouble="; ".join(dict.fromkeys(str(c["message"])[:300] for c in wrong)),
    )  # fmt: skip


def _pod(cluster: Cluster, pod: Object, start_timeout: float, workers: Sequence[Object]) -> Seen:
    trouble = pods.trouble(pod, start_timeout)
    said, lasting = (str(trouble), pods.age(pod) > trouble.patience) if trouble else ("", False)
    if trouble and trouble.name == "unschedulable" and held(workers, pod):
        said, lasting = "waits until others of this run have ended: there is no room for both", False
    if not said and pods.phase(pod) == "Pending" and pods.age(pod) > QUIET:
        said, lasting = _warning(cluster, pod), pods.age(pod) > start_timeout
    return Seen(
        kind="Pod", name=pod["metadata"]["name"], namespace=cluster.namespace, component=_component(pod),
        state=pods.phase(pod), trouble=said, lasting=bool(said) and lasting,
    )  # fmt: skip


def _warning(cluster: Cluster, pod: Object) -> str:
    """The last warning about a pod, such as a missing volume or Secret, which its status does not mention."""
    fields = f"involvedObject.name={pod['metadata']['name']},type=Warning"
    found = sorted(cluster.list(EVENT, fields=fields), key=lambda e: str(e.get("lastTimestamp") or ""))
    return f"{found[-1].get('reason')}: {found[-1].get('message')}"[:400] if found else ""
