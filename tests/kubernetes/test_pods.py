"""What is wrong with a pod, from its status as kubelet and scheduler write it."""

from __future__ import annotations

from typing import Any

import pytest

from mmst.kubernetes import pods


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": status}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "check", "image": "mmst/checker:1", "state": state}


def waiting(reason: str) -> dict[str, Any]:
    return pod(phase="Pending", containerStatuses=[container(waiting={"reason": reason, "message": "why"})])


def ended(**terminated: Any) -> dict[str, Any]:
    return pod(phase="Failed", containerStatuses=[container(terminated=terminated)])


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (waiting("ImagePullBackOff"), "image"),
        (waiting("ErrImageNeverPull"), "image"),
        (waiting("CreateContainerConfigError"), "configuration"),
        (waiting("CrashLoopBackOff"), "crash"),
        (
            pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1"}]),
            "unschedulable",
        ),
        (ended(reason="OOMKilled", exitCode=128), "out of memory"),
        (ended(reason="OOMKilled", exitCode=137), "out of memory"),
        (ended(reason="Error", exitCode=1), "crash"),
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "evicted"),
        (pod(phase="Failed", conditions=[{"type": "DisruptionTarget", "status": "True"}]), "evicted"),
        (pod(phase="Failed", reason="DeadlineExceeded"), "deadline"),
        (pod(phase="Failed"), "crash"),
    ],
)
def test_trouble_has_a_name_and_a_remedy(found: dict[str, Any], name: str) -> None:
    trouble = pods.trouble(found)
    assert trouble is not None
    assert trouble.name == name
    assert trouble.remedy


@pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded"])
def test_a_pod_that_is_well_is_in_no_trouble(phase: str) -> None:
    assert pods.trouble(pod(phase=phase, containerStatuses=[container(running={})])) is None


def test_a_server_that_was_killed_for_memory_and_waits_to_start_again_is_out_of_memory() -> None:
    found = waiting("CrashLoopBackOff")
    found["status"]["containerStatuses"][0]["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    trouble = pods.trouble(found)
    assert trouble is not None
    assert trouble.name == "out of memory"


def test_only_what_a_node_did_is_a_disruption() -> None:
    assert pods.disrupted(pod(phase="Failed", reason="Evicted"))
    assert not pods.disrupted(ended(reason="OOMKilled", exitCode=137))


def test_the_age_is_counted_from_its_making() -> None:
    assert pods.age(pod()) > 0
