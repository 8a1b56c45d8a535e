"""A model server for one checkpoint on KServe: created or shared, waited for, released.

Stages that sample the same checkpoint at the same time share its service. Owner references to the stages' pods
record which stages use it. (Annotations would work too, but KServe copies them to the server's pods and thereby
restarts them.) The last stage deletes the service. If a stage was killed, the run's clean-up deletes the service by
its label unless a stage of another run uses it (`end`), and so does Kubernetes once the stages' pods are deleted. A
process outside the cluster does not share: its service has a name of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

from mmst.core.errors import ClusterError, ModelError, PlatformError, SamplerError, UserError
from mmst.inference.providers.kserve_objects import CONTAINER
from mmst.kubernetes import pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import INFERENCE_SERVICE, KFP_RUN, MANAGED, POD, RUN, Object
from mmst.kubernetes.scheduling import Turn

SERVED_BY = "serving.kserve.io/inferenceservice"
"""The label by which KServe marks the pods of a service."""
LAST_LINES = 20
TRIES = 3
"""Number of starts of a server that ends with an exit code of `PASSING`; any other code would come again."""
PASSING = {1, PlatformError.exit_code}
REFUSED = {1, UserError.exit_code}
"""Exit codes that mean that the checkpoint is the problem: ours 2, vLLM 1."""
PROTOCOL = "/openai/v1"


@contextlib.contextmanager
def hosted(cluster: Cluster, service: Object, *, start_timeout: float, holder: Object | None) -> Iterator[str]:
    """The address of a service's OpenAI protocol, for as long as it is needed.

    `holder` is this process's pod (`own_pod`). `SamplerError` if the service is not ready after `start_timeout`
    seconds, or if its pods show that it never will be.
    """
    if holder is None:
        service = {**service, "metadata": {**service["metadata"], "name": f"mmst-{secrets.token_hex(6)}"}}
    name = service["metadata"]["name"]
    try:
        join(cluster, service, holder, start_timeout)
        yield ready(cluster, name, start_timeout)
    finally:
        with contextlib.suppress(ClusterError):  # the samples are there; the run's clean-up deletes it
            leave(cluster, name, holder)


def own_pod(cluster: Cluster) -> Object | None:
    """The owner reference of the pod of this process; None outside the cluster's namespace."""
    name = os.environ.get("HOSTNAME", "")
    found = cluster.get(POD, name) if name and "KUBERNETES_SERVICE_HOST" in os.environ else None
    return None if found is None else reference(found)


def reference(pod: Object) -> Object:
    """A pod as an owner."""
    return {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}


def join(cluster: Cluster, service: Object, holder: Object | None, seconds: float = 60.0) -> None:
    """Create the service, or share the one of this name; one that is being deleted is created again.

    `SamplerError` if that one is not gone within this many seconds.
    """
    meta, deadline = service["metadata"], time.monotonic() + seconds
    if holder is not None:
        service = {**service, "metadata": {**meta, "ownerReferences": [holder]}}
    while True:
        found, made = cluster.create(INFERENCE_SERVICE, service)
        if made or holder is None:
            return
        owners = _owners(found)
        if "deletionTimestamp" in found["metadata"]:
            if time.monotonic() > deadline:
                raise SamplerError(f"InferenceService {meta['name']} is not deleted", remedy="check its finalizers")
            time.sleep(1.0)
        elif holder["uid"] in {o["uid"] for o in owners} or _own(cluster, found, [*owners, holder]):
            return


def leave(cluster: Cluster, name: str, holder: Object | None) -> None:
    """Release a service; the last user deletes it."""
    while (found := cluster.get(INFERENCE_SERVICE, name)) is not None:
        others = [] if holder is None else [o for o in _owners(found) if o["uid"] != holder["uid"]]
        if others and len(others) == len(_owners(found)):
            return
        if _own(cluster, found, others) if others else cluster.delete_at(INFERENCE_SERVICE, found):
            return


def end(cluster: Cluster, run: str, execution: str = "") -> None:
    """Delete what an execution of a run left, but not a service that a stage of another one uses."""
    own = own_pod(cluster) or {}
    for name in [s["metadata"]["name"] for s in cluster.list(INFERENCE_SERVICE, {**MANAGED, RUN: run})]:
        while (found := cluster.get(INFERENCE_SERVICE, name)) is not None:
            others = (o for o in _owners(found) if o["uid"] != own.get("uid"))
            if any(_of_another(cluster, o, run, execution) for o in others) or cluster.delete_at(
                INFERENCE_SERVICE, found
            ):
                break


def ready(cluster: Cluster, name: str, seconds: float, marks: Mapping[str, str] | None = None) -> str:
    """Wait until a service is ready and answers; returns its address.

    With `marks`, wait until every pod has these annotations. Raises `SamplerError` if it takes too long, or
    what `look_at_pods` raises.
    """
    turn, silent = Turn([cluster]), ""
    for services, _ in cluster.follow(INFERENCE_SERVICE, fields=f"metadata.name={name}"):
        service = services.get(name)
        if service is None:
            raise SamplerError(
                f"InferenceService {name} was deleted while this stage waited for it", remedy="run it again"
            )
        if is_ready(service) and (not marks or serves_only(cluster, name, marks)):
            url = address(service)
            if answers(f"{url}/models", min(30.0, max(1.0, turn.since + seconds - time.monotonic()))):
                return url
            silent = url
        look_at_pods(cluster, name, seconds, turn)
        if time.monotonic() > turn.since + seconds:
            what, remedy = f"is not ready after {seconds:g} s: {_why_not(service)}", "raise cluster.start_timeout"
            if silent:
                what = f"is ready, but {silent} does not answer from here"
                remedy = "run this in the cluster, because the names of Services are not known outside"
            raise SamplerError(
                f"InferenceService {name} {what}",
                remedy=f"see `kubectl describe inferenceservice {name}`, or {remedy}{_log_of(cluster, name)}",
            )
    raise AssertionError("following has no end")


def is_ready(service: Object) -> bool:
    """Whether KServe says so; after a change this may still refer to the previous state.

    Its `observedGeneration` was seen to stay behind for good, so it proves nothing; use `serves_only`.
    """
    conditions = service.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def serves_only(cluster: Cluster, name: str, marks: Mapping[str, str]) -> bool:
    """Whether all pods of a service have these annotations, which its own became, and are ready.

    Terminating pods count too: until they are gone, a proxy may still send them requests.
    """
    there = list(cluster.list(POD, {SERVED_BY: name}))
    staying = [p for p in there if "deletionTimestamp" not in p["metadata"]]
    marked = all(marks.items() <= p["metadata"].get("annotations", {}).items() for p in there)
    return bool(staying) and marked and all(map(_takes_requests, staying))


def address(service: Object) -> str:
    """The address of its OpenAI protocol within the cluster."""
    status = service["status"]
    url = (status.get("address") or {}).get("url") or status.get("url")
    if not url:
        raise SamplerError(f"InferenceService {service['metadata']['name']} is ready but has no address")
    return str(url).rstrip("/") + PROTOCOL


def answers(url: str, seconds: float) -> bool:
    """Whether the address answers in time: a service can be ready before the proxy that leads to it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5.0).close()
            return True
        except urllib.error.HTTPError as e:
            if e.code < 500:
                return True
        except OSError:
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)


def look_at_pods(cluster: Cluster, name: str, start_timeout: float, turn: Turn) -> None:
    """Raise if a pod of a service cannot start and will not recover by itself.

    `ModelError` if its server refused the checkpoint, `SamplerError` for everything else.
    """
    for pod in cluster.list(POD, {SERVED_BY: name}):
        found = pods.trouble(pod, start_timeout)
        if found is None or not turn.over(pod, found) or found.name == "evicted":
            continue
        ended, tries = _last_end(pod)
        if "deletionTimestamp" in pod["metadata"] or (ended in PASSING and tries < TRIES):
            continue
        what = f"the model server {name} cannot start: {found}" + _log_of(cluster, name)
        raise ModelError(what) if found.name == "crash" and ended in REFUSED else SamplerError(what)


def _last_end(pod: Object) -> tuple[int, int]:
    """The last exit code of a pod's server, and how often it was restarted."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        last = container.get("lastState", {}).get("terminated")
        if last:
            return int(last["exitCode"]), int(container.get("restartCount", 0))
    return 0, 0


def _takes_requests(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def _of_another(cluster: Cluster, owner: Object, run: str, execution: str) -> bool:
    """Whether an owner is a pod that still runs, and not for this execution of this run."""
    pod = cluster.get(POD, owner["name"])
    if pod is None or pod["metadata"]["uid"] != owner["uid"] or pods.finished(pod):
        return False
    labels = pod["metadata"].get("labels", {})
    return (labels.get(RUN), labels.get(KFP_RUN, "")) != (run, execution)


def _own(cluster: Cluster, service: Object, owners: list[Object]) -> bool:
    return cluster.swap(INFERENCE_SERVICE, service, {"metadata": {"ownerReferences": owners}})


def _owners(service: Object) -> list[Object]:
    return list(service["metadata"].get("ownerReferences", ()))


def _why_not(service: Mapping[str, object]) -> str:
    conditions = service.get("status", {}).get("conditions", ())  # type: ignore[attr-defined]
    said = [f"{c['type']}: {c.get('message') or c.get('reason', '')}" for c in conditions if c["status"] != "True"]
    return "; ".join(said)[:300] or "KServe has not looked at it (is its controller running?)"


def _log_of(cluster: Cluster, name: str) -> str:
    """The last lines of its pods' logs, including those from before a restart."""
    for pod in cluster.list(POD, {SERVED_BY: name}):
        try:
            for previous in (True, False):
                log = cluster.log(pod["metadata"]["name"], CONTAINER, tail=LAST_LINES, previous=previous)
                if log:
                    lines = "\n    ".join(log.decode("utf-8", "replace").rstrip().splitlines())
                    return f"\nThe last lines of {pod['metadata']['name']}:\n    {lines}"
        except ClusterError:
            continue
    return ""
