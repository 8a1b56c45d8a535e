"""Whose turn it is, from pods as the API server lists them."""

from __future__ import annotations

from typing import Any

import pytest

from mmst.kubernetes import pods
from mmst.kubernetes.kinds import COMPONENT, RUN
from mmst.kubernetes.scheduling import Turn, held

NO_ROOM = pods.Trouble("unschedulable", "0/1 nodes", "add nodes", patience=900.0)


def pod(name: str, phase: str, owner: str, component: str = "train", run: str = "r") -> dict[str, Any]:
    labels = {COMPONENT: component, **({RUN: run} if run else {})}
    meta = {"name": name, "labels": labels, "ownerReferences": [{"uid": owner}]}
    return {"metadata": meta | {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": phase}}


class Namespace:
    """A namespace as far as a Turn looks at it."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.found = found

    def list(self, *_: object) -> list[dict[str, Any]]:
        return self.found


MINE = pod("mine-0", "Pending", "mine")


@pytest.mark.parametrize(
    ("others", "at_work"),
    [
        ([], False),
        ([pod("a", "Running", "other")], True),
        ([pod("a", "Running", "other", "serve")], True),
        ([pod("a", "Succeeded", "other")], False),
        ([pod("mine-1", "Running", "mine")], False),  # its own first pod is no reason to wait
        ([pod("a", "Running", "other"), pod("b", "Pending", "other")], False),  # both would wait for ever
        ([pod("a", "Running", "other", "stage")], False),  # it waits for this one
        ([pod("a", "Running", "other", "serve", run="")], False),  # the champion's server never ends
    ],
)
def test_who_holds_room(others: list[dict[str, Any]], at_work: bool) -> None:
    assert held([MINE, *others], MINE) == at_work


def test_patience_begins_anew_when_others_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("mmst.kubernetes.scheduling.time.monotonic", lambda: now[0])
    there = Namespace([MINE, pod("a", "Running", "other")])
    turn = Turn([there])  # type: ignore[list-item]
    now[0] = 10_000.0
    assert not turn.over(MINE, NO_ROOM)
    there.found = [MINE]
    now[0] = 10_800.0
    assert not turn.over(MINE, NO_ROOM)
    now[0] = 10_901.0
    assert turn.over(MINE, NO_ROOM)


def test_for_an_image_that_is_missing_nobody_waits_for_others() -> None:
    there = Namespace([MINE, pod("a", "Running", "other")])
    assert Turn([there]).over(MINE, pods.Trouble("image", "none", "push it", patience=60.0))  # type: ignore[list-item]
