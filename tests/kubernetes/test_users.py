"""Executions that share an object: the last one deletes it, and none takes it from another."""

from __future__ import annotations

from typing import Any

import pytest

from mmst import wiring
from mmst.core.config import parse
from mmst.kubernetes import kinds, users
from mmst.kubernetes.kinds import EXECUTION, MANAGED, PYTORCH_JOB, RUN, Object
from tests.support.objects import Objects

ONE, TWIN = "11111111-1111", "22222222-2222"


def job(name: str = "train-1") -> Object:
    return {"metadata": {"name": name, "labels": {**MANAGED, RUN: "demo-1"}}, "spec": {}}


def share(cluster: Any, *executions: str) -> None:
    """A training job that the first of these made, and the others found."""
    for execution in executions:
        found, made = cluster.create(PYTORCH_JOB, users.used_by(job(), execution))
        assert made or users.join(cluster, PYTORCH_JOB, found, execution)


@pytest.mark.parametrize("order", [(ONE, TWIN), (TWIN, ONE)])
def test_the_last_user_deletes_what_both_used(order: tuple[str, str]) -> None:
    cluster: Any = Objects()
    share(cluster, ONE, TWIN)
    users.leave(cluster, PYTORCH_JOB, "train-1", order[0])
    assert cluster.names() == {"train-1"}
    users.leave(cluster, PYTORCH_JOB, "train-1", order[1])
    assert cluster.names() == set()


def test_who_never_used_it_does_not_delete_it() -> None:
    cluster: Any = Objects()
    share(cluster, TWIN)
    for stranger in (ONE, ""):
        users.leave(cluster, PYTORCH_JOB, "train-1", stranger)
    assert cluster.names() == {"train-1"}


def test_what_is_being_deleted_or_changed_meanwhile_is_not_joined() -> None:
    cluster: Any = Objects()
    share(cluster, ONE)
    read = cluster.get(PYTORCH_JOB, "train-1")
    share(cluster, TWIN)
    assert not users.join(cluster, PYTORCH_JOB, read, "33333333-3333")
    going = cluster.get(PYTORCH_JOB, "train-1")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not users.join(cluster, PYTORCH_JOB, going, ONE)


def test_who_joins_while_another_leaves_keeps_the_object() -> None:
    cluster: Any = Objects()
    share(cluster, ONE)
    deleting = cluster.delete_at

    def late(kind: Any, read: Object) -> bool:
        cluster.delete_at = deleting
        share(cluster, TWIN)
        return bool(deleting(kind, read))

    cluster.delete_at = late
    users.leave(cluster, PYTORCH_JOB, "train-1", ONE)
    assert cluster.names() == {"train-1"}


def test_the_end_of_one_execution_leaves_its_twin_what_that_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster: Any = Objects()
    monkeypatch.setattr(wiring, "cluster", lambda namespace: cluster)
    monkeypatch.setenv(EXECUTION, ONE)
    share(cluster, ONE, TWIN)
    for kind, name, execution in (
        (kinds.JOB, "check-twin", TWIN),
        (kinds.CONFIG_MAP, "check-twin", TWIN),
        (kinds.JOB, "check-mine", ONE),
        (kinds.CONFIG_MAP, "check-mine", ONE),
        (kinds.TRAIN_JOB, "train-of-nobody", ""),
    ):
        cluster.create(kind, users.used_by(job(name), execution))
    wiring.connect(parse({})).cleanup("demo-1")
    assert cluster.names() == {"train-1", "check-twin"}
    monkeypatch.setenv(EXECUTION, TWIN)
    wiring.connect(parse({})).cleanup("demo-1")
    assert cluster.names() == set()
