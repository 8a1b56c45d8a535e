"""Problems of a pod, with a name and a remedy. Pure: reads pod objects."""

from __future__ import annotations

import time
from calendar import timegm
from dataclasses import dataclass

from mmst.core.errors import sentence
from mmst.kubernetes.kinds import Object

_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
OOM_EXIT_CODES = (128, 137)
"""Under gVisor, a pod over its memory limit ends with 128, as does a crash of gVisor itself; under runc with 137."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not run, or has failed.

    `name` is a word: image, configuration, unschedulable, evicted, out of memory, deadline, crash.
    `patience` is the number of seconds in which it may still recover.
    """

    name: str
    message: str
    remedy: str
    patience: float = 0.0

    @property
    def what(self) -> str:
        """Its name and the message from Kubernetes, without the remedy."""
        return f"{self.name}: {self.message}"

    def __str__(self) -> str:
        return sentence(self.what, remedy=self.remedy)


def finished(pod: Object) -> bool:
    """Whether all its containers have ended."""
    return phase(pod) in ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    """Pending, Running, Succeeded, Failed or Unknown."""
    return str(pod.get("status", {}).get("phase", "Pending"))


def age(pod: Object) -> float:
    """Seconds since it was created, by this machine's clock."""
    made = time.strptime(pod["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return time.time() - timegm(made)


def disrupted(pod: Object) -> bool:
    """Whether it ended because it lost its node, through no fault of its own."""
    status = pod.get("status", {})
    conditions = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
    return "DisruptionTarget" in conditions or status.get("reason") in ("Evicted", "Preempting", "NodeLost", "Shutdown")


def trouble(pod: Object, start_timeout: float = 900.0) -> Trouble | None:
    """The problem of a pod; None if there is none (yet)."""
    if phase(pod) == "Failed":
        return _ended(pod)
    return _not_starting(pod, start_timeout)


def _not_starting(pod: Object, start_timeout: float) -> Trouble | None:
    status = pod.get("status", {})
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), str(waiting.get("message", ""))[:300]
        what = f"{container['image']} ({reason}) {said}".strip()
        if reason in _IMAGE:
            remedy = "check that the image exists there and that cluster.pull_secrets may pull it"
            return Trouble("image", what, remedy, patience=0.0 if reason == "ErrImageNeverPull" else 60.0)
        if reason in _CONFIG:
            remedy = (
                "check that the Secrets, ConfigMaps and volumes that it names exist, and that its RuntimeClass works"
            )
            return Trouble("configuration", what, remedy, patience=60.0)
        if reason == "CrashLoopBackOff":
            last = (container.get("lastState", {}).get("terminated") or {}).get("reason", "")
            if last == "OOMKilled":
                return Trouble("out of memory", what, "give it more memory")
            return Trouble("crash", what, "see its log")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said = str(condition.get("message", condition.get("reason", "")))[:300]
            remedy = "add nodes, lower its requests, or correct node selector, tolerations and volumes"
            return Trouble("unschedulable", said, remedy, patience=start_timeout)
    return None


def _ended(pod: Object) -> Trouble:
    status = pod["status"]
    said = str(status.get("message", ""))[:300]
    if disrupted(pod):
        reason = status.get("reason", "disruption")
        return Trouble("evicted", f"{reason} {said}".strip(), "see the node; nothing is lost, it runs again")
    if status.get("reason") == "DeadlineExceeded":
        return Trouble("deadline", said, "see its log; the node may be too slow")
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        end = container.get("state", {}).get("terminated") or {}
        if end.get("reason") == "OOMKilled":
            return Trouble("out of memory", f"{container['name']} was killed (exit {end['exitCode']})", "give it more")
        if end.get("exitCode"):
            what = f"{container['name']} ended with exit code {end['exitCode']} {end.get('message', '')[:300]}".strip()
            return Trouble("crash", what, "see its log")
    return Trouble("crash", said or "it failed without a reason", "see `kubectl describe pod`")
