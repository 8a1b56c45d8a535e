"""Which executions of a run use an object: a label each, so that the last one deletes it.

Two executions of one recipe share training jobs and check Jobs, because these are named by their content. What one of
them deletes at its end must not be what the other waits for. An execution that never came to its end (its Workflow was
deleted) keeps its label; such an object stays until its own time to live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmst.kubernetes.kinds import Kind, Object

if TYPE_CHECKING:
    from mmst.kubernetes.client import Cluster

USER = "users.mmst.dev/"


def used_by(body: Object, execution: str) -> Object:
    """An object to be created, with this user; an empty id is none."""
    if not execution:
        return body
    meta = body["metadata"]
    return {**body, "metadata": {**meta, "labels": {**meta.get("labels", {}), USER + execution: ""}}}


def join(cluster: Cluster, kind: Kind, found: Object, execution: str) -> bool:
    """Use an object that was found; False if it has changed since, or is being deleted."""
    if "deletionTimestamp" in found["metadata"]:
        return False
    mine = USER + execution
    if not execution or mine in found["metadata"].get("labels", {}):
        return True
    return cluster.swap(kind, found, {"metadata": {"labels": {mine: ""}}})


def leave(cluster: Cluster, kind: Kind, name: str, execution: str) -> None:
    """Use an object no longer; it is deleted unless another execution uses it."""
    mine = USER + execution
    while (found := cluster.get(kind, name)) is not None:
        users = {label for label in found["metadata"].get("labels", {}) if label.startswith(USER)}
        if not users - {mine}:
            if cluster.delete_at(kind, found):
                return
        elif mine not in users or cluster.swap(kind, found, {"metadata": {"labels": {mine: None}}}):
            return
