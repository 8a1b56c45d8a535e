"""Objects of check and training jobs: small enough, named by what they are made of, read in one way."""

from __future__ import annotations

import base64
import random
import zlib
from dataclasses import replace
from typing import Any

import pytest

from mmst.core.config import ClusterConfig
from mmst.core.errors import SandboxError
from mmst.core.ports import Limits, Program
from mmst.kubernetes import pod_parts
from mmst.sandbox.providers.kubernetes_job import SHARD, SHARDS, GvisorJobs
from mmst.sandbox.providers.kubernetes_job_objects import PACKED_MOST, check_job, config_map, name_of, packed
from mmst.sandbox.work import Waiting, Work
from mmst.training.providers.kubernetes_job_objects import job, status
from mmst.training.providers.kubernetes_job_objects import name_of as training_name

SETTINGS, LIMITS = ClusterConfig(checkers=4), Limits()


def works(n: int, filler: str = "") -> list[Work]:
    return [Work(Program(id=str(i), source=f"import os\n# {filler}{i}"), LIMITS) for i in range(n)]


def shards(programs: list[Work]) -> list[list[Work]]:
    waiting = Waiting([], LIMITS)
    for work in programs:
        waiting.again(work, blamed=False)
    box = GvisorJobs(None, SETTINGS)  # type: ignore[arg-type]
    return box._next(waiting)


def test_a_shard_is_read_as_it_was_packed() -> None:
    some = works(3)
    assert zlib.decompress(packed(some)).splitlines() == [w.frame() for w in some]


def test_no_config_map_is_larger_than_kubernetes_takes() -> None:
    """Programs that cannot be compressed, as a hostile model might write them."""
    r = random.Random(1)
    noise = [base64.b85encode(r.randbytes(60_000)).decode() for _ in range(60)]
    hostile = [Work(Program(id=str(i), source=text), LIMITS) for i, text in enumerate(noise)]
    found = shards(hostile)
    data = config_map("x", [packed(s) for s in found], "run")["binaryData"]
    assert 0 < sum(len(base64.b64decode(v)) for v in data.values()) <= PACKED_MOST < 1 << 20
    assert [w.id for s in found for w in s] == [w.id for w in hostile][: sum(map(len, found))]


def test_a_program_that_no_config_map_holds_is_named() -> None:
    text = base64.b85encode(random.Random(1).randbytes(1 << 20)).decode()
    with pytest.raises(SandboxError, match=r"program 'big' is too large for a check Job \(\d+ KiB packed"):
        shards([Work(Program(id="big", source=text), LIMITS)])


@pytest.mark.parametrize(("n", "indexes"), [(1, 1), (3, 3), (4, 4), (100, 4), (4000, 8), (20_000, SHARDS)])
def test_a_job_has_enough_indexes_and_none_is_large(n: int, indexes: int) -> None:
    found = shards(works(n))
    assert len(found) == indexes
    assert max(map(len, found)) <= SHARD


def test_suspects_have_an_index_of_their_own() -> None:
    some = [*works(10), Work(Program(id="bad", source="import os"), LIMITS, tries=1)]
    assert [[w.id for w in s] for s in shards(some) if any(w.tries for w in s)] == [["bad"]]


def test_a_check_job_is_named_by_its_programs_and_what_runs_them() -> None:
    data = [packed(works(2))]
    name = name_of(data, SETTINGS, "0")
    assert name == name_of([packed(works(2))], SETTINGS, "0")
    others = [
        name_of([packed(works(3))], SETTINGS, "0"),
        name_of(data, SETTINGS, "1"),
        name_of(data, replace(SETTINGS, checker_image="other:1"), "0"),
    ]
    assert len({name, *others}) == 4
    assert name == name_of(data, replace(SETTINGS, checkers=9), "0")


def test_a_check_pod_has_no_way_out() -> None:
    body = check_job("x", [works(1)], SETTINGS, "run")
    pod = body["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["automountServiceAccountToken"] is False
    assert "env" not in container
    assert "envFrom" not in container
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID", "KILL"]}
    assert [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")] == ["/tmp"]


@pytest.mark.parametrize("form", ["pytorchjob", "trainjob"])
def test_a_job_waits_for_a_queue_only_where_one_is_configured(form: str) -> None:
    def made(settings: ClusterConfig) -> dict[str, Any]:
        return job(form, "x", "/mnt/mmst/spec.json", settings, 1, "run")

    assert "suspend" not in str(made(SETTINGS))
    queued = made(replace(SETTINGS, queue="gpu"))
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert "'suspend': True" in str(queued)


def test_ranks_are_divided_among_the_nodes_in_both_forms() -> None:
    settings = replace(SETTINGS, trainer_nodes=4)
    v1 = job("pytorchjob", "x", "s", settings, 32, "run")["spec"]
    v2 = job("trainjob", "x", "s", settings, 32, "run")["spec"]["trainer"]
    assert (v1["nprocPerNode"], v1["pytorchReplicaSpecs"]["Worker"]["replicas"]) == ("8", 3)
    assert (v2["numProcPerNode"], v2["numNodes"]) == (8, 4)


@pytest.mark.parametrize(
    ("conditions", "means"),
    [
        ([], "waiting"),
        (["Created"], "waiting"),
        (["Created", "Running"], "running"),
        (["Created", "Running", "Restarting"], "running"),
        (["Created", "Suspended"], "suspended"),
        (["Created", "Succeeded"], "succeeded"),
        (["Complete"], "succeeded"),
        (["Running", "Failed"], "failed"),
    ],
)
def test_one_reading_of_both_forms_status(conditions: list[str], means: str) -> None:
    found = {"status": {"conditions": [{"type": c, "status": "True"} for c in conditions]}}
    assert status(found)[0] == means
    over = {"status": {"conditions": [{"type": c, "status": "False"} for c in conditions]}}
    assert status(over)[0] == "waiting"


def test_a_training_job_is_named_by_what_is_trained() -> None:
    names = {training_name(b"a", SETTINGS, 1), training_name(b"b", SETTINGS, 1), training_name(b"a", SETTINGS, 2)}
    assert len(names) == 3


def test_training_pods_hold_no_token_and_no_secret() -> None:
    settings = replace(SETTINGS, secrets=("mmst-s3",), stage_secrets=("mmst-hub",), env=("AWS_REGION=x",))
    pod = job("pytorchjob", "x", "s", settings, 1, "run")["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert "mmst-s3" not in str(pod)
    assert "mmst-hub" not in str(pod)
    assert {"name": "AWS_REGION", "value": "x"} in pod["containers"][0]["env"]


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("gpu=yes:NoSchedule", {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}),
        ("gpu:NoExecute", {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}),
        ("gpu=yes", {"key": "gpu", "operator": "Equal", "value": "yes"}),
    ],
)
def test_tolerations_are_written_as_taints_are(item: str, found: dict[str, str]) -> None:
    assert pod_parts.toleration(item) == found
