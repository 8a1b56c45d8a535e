"""Waiting for room: pods that find no room wait as long as other pods of ours hold some.

The arms of a round train and are measured in parallel if there is room, else one after another; waiting is not a
problem, however long it takes. Without a queue (Kueue), Pending pods wait.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from mmst.kubernetes import pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import COMPONENT, MANAGED, POD, RUN, Object

WORKERS = ("train", "serve", "check")


class Turn:
    """One wait for pods to start, in the namespaces where others may occupy the room."""

    def __init__(self, namespaces: Sequence[Cluster]) -> None:
        self.namespaces, self.since = namespaces, time.monotonic()

    def over(self, pod: Object, trouble: pods.Trouble) -> bool:
        """Whether the pod has had this problem for longer than it should be waited for."""
        if trouble.name != "unschedulable":
            return pods.age(pod) > trouble.patience
        if any(held(namespace.list(POD, MANAGED), pod) for namespace in self.namespaces):
            self.since = time.monotonic()
        return min(pods.age(pod), time.monotonic() - self.since) > trouble.patience


def held(found: Iterable[Object], waiting: Object) -> bool:
    """Whether a job or server of another run than that of `waiting` is working.

    With all its pods: two jobs that each hold a part of what they need would wait for ever.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for pod in found:
        labels = pod["metadata"].get("labels", {})
        if labels.get(COMPONENT) in WORKERS and RUN in labels:
            groups[_owner(pod)].append(pods.phase(pod))
    groups.pop(_owner(waiting), None)
    return any("Running" in phases and "Pending" not in phases for phases in groups.values())


def _owner(pod: Object) -> str:
    owners = [o["uid"] for o in pod["metadata"].get("ownerReferences", ())]
    return str(owners[0] if owners else pod["metadata"]["name"])
