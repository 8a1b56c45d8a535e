"""The official client against a stand-in at the wire: get-or-create, names, errors with remedies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mmst.core.config import Config, parse
from mmst.core.errors import ClusterError
from mmst.pipelines.kubeflow import Kubeflow
from tests.support.kfp_server import KfpServer, kfp_server


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as held:
        yield held


@pytest.fixture(scope="module")
def config() -> Config:
    return parse({"name": "My.Recipe", "title": "Mine", "cluster": {"pipeline_image": "registry/pipeline:7"}})


def test_the_same_recipe_is_one_version_whoever_publishes_it_and_another_recipe_another(
    server: KfpServer, config: Config
) -> None:
    first, second = Kubeflow(server.url, config).publish(), Kubeflow(server.url, config).publish()
    other = Kubeflow(server.url, parse({"name": "My.Recipe", "sampling": {"k": 9}})).publish()
    assert first == second
    assert (other[0] == first[0], other[1] == first[1]) == (True, False)
    assert [p["display_name"] for p in server.pipelines] == ["mmst-my-recipe"]
    assert len(server.uploads) == 2
    spec, platform = yaml.safe_load_all(server.uploads[0])
    assert spec["pipelineInfo"]["name"] == "mmst-my-recipe"
    assert "kubernetes" in platform["platforms"]


def test_one_that_another_is_faster_than_gets_the_same_version(
    server: KfpServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload: Any = Kubeflow._upload
    winner: list[tuple[str, str]] = []

    def beaten(self: Kubeflow, *arguments: object) -> str:
        monkeypatch.setattr(Kubeflow, "_upload", upload)
        winner.append(Kubeflow(server.url, config).publish())
        return str(upload(self, *arguments))  # refused: the name is taken by now

    monkeypatch.setattr(Kubeflow, "_upload", beaten)
    assert Kubeflow(server.url, config).publish() == winner[0]
    assert len(server.versions) == 1


def test_a_run_has_the_name_the_version_and_the_service_account_that_it_should(
    server: KfpServer, config: Config
) -> None:
    kubeflow = Kubeflow(server.url, config)
    pipeline, version = kubeflow.publish()
    id = kubeflow.create("mine-1")
    (made,) = server.runs
    assert made["display_name"] == "mine-1"
    assert made["service_account"] == "mmst-stage"
    assert made["pipeline_version_reference"] == {"pipeline_id": pipeline, "pipeline_version_id": version}
    assert [(r.id, r.live, r.version) for r in kubeflow.named("mine-1")] == [(id, True, version)]
    assert kubeflow.named("mine") == []
    assert kubeflow.link(id) == f"{server.url}/#/runs/details/{id}"


def test_all_pages_of_runs_are_read_and_the_oldest_is_first(server: KfpServer, config: Config) -> None:
    kubeflow = Kubeflow(server.url, config)
    ids = [kubeflow.create("mine-1") for _ in range(5)]
    assert [r.id for r in kubeflow.named("mine-1")] == ids


def test_a_run_that_is_ended_is_no_longer_live(server: KfpServer, config: Config) -> None:
    kubeflow = Kubeflow(server.url, config)
    id = kubeflow.create("mine-1")
    kubeflow.terminate(id)
    kubeflow.terminate(id)  # another was faster
    assert [r.live for r in kubeflow.named("mine-1")] == [False]


def test_tasks_come_in_the_order_in_which_they_began(server: KfpServer, config: Config) -> None:
    kubeflow = Kubeflow(server.url, config)
    id = kubeflow.create("mine-1")
    zero = "1970-01-01T00:00:00Z"
    server.run(id)["state"] = "FAILED"
    server.run(id)["run_details"] = {
        "task_details": [
            {"display_name": "later"},
            {"display_name": "check", "state": "FAILED", "start_time": "2026-11-21T10:01:00Z", "end_time": zero,
             "error": {"code": 2, "message": "it broke"}},
            {"display_name": "sample", "state": "SUCCEEDED", "start_time": "2026-11-21T10:00:00Z",
             "end_time": "2026-11-21T10:00:30Z"},
        ]
    }  # fmt: skip
    run, tasks = kubeflow.look(id)
    assert (run.state, run.live) == ("FAILED", False)
    assert [(t.name, t.state, t.error) for t in tasks] == [
        ("sample", "SUCCEEDED", ""),
        ("check", "FAILED", "it broke"),
        ("later", "PENDING", ""),
    ]
    assert (tasks[0].ended - tasks[0].started, tasks[1].ended) == (30.0, 0.0)


def test_what_argo_adds_to_the_tasks_is_left_out_and_a_task_that_will_not_come_is_said_to_be_omitted(
    server: KfpServer, config: Config
) -> None:
    """All nodes of the workflow are in the server's list, as its `toModelTasks` makes it."""
    kubeflow = Kubeflow(server.url, config)
    id = kubeflow.create("mine-1")
    tasks = {"sample": "FAILED", "sample-2": "SUCCEEDED", "run": "FAILED"}
    inner = ["mmst-my-recipe-x7k2p", "root", "root-driver", "sample(0)", "sample-driver(0)", "executor", "executor(0)"]
    inner += ["run.onExit", "mmst-my-recipe-x7k2p(0)"]
    details = [{"display_name": n, "state": s} for n, s in tasks.items()]
    details += [{"display_name": n, "state": "SUCCEEDED"} for n in inner]
    details += [{"display_name": "check", "start_time": "2026-11-21T10:00:00Z", "end_time": "2026-11-21T10:00:00Z"}]
    server.run(id)["run_details"] = {"task_details": details}
    assert {t.name: t.state for t in kubeflow.look(id)[1]} == tasks | {"check": "OMITTED"}


def test_where_argos_own_record_can_be_read_it_is_believed_since_kubeflows_stands_still_when_it_is_large(
    server: KfpServer, config: Config
) -> None:
    kubeflow = Kubeflow(server.url, config)
    id = kubeflow.create("mine-1")
    server.run(id)["run_details"] = {"task_details": [{"display_name": "sample", "state": "RUNNING"}]}
    nodes: list[dict[str, object]] = [
        {"displayName": "check", "phase": "Error", "startedAt": "2026-11-21T10:01:00Z", "finishedAt": None,
         "message": "it broke"},
        {"displayName": "sample(0)", "phase": "Succeeded", "startedAt": "2026-11-21T10:00:00Z"},
        {"displayName": "sample", "phase": "Succeeded", "startedAt": "2026-11-21T10:00:00Z",
         "finishedAt": "2026-11-21T10:00:30Z"},
    ]  # fmt: skip
    _, tasks = kubeflow.look(id, nodes)
    assert [(t.name, t.state, t.ended and t.ended - t.started, t.error) for t in tasks] == [
        ("sample", "SUCCEEDED", 30.0, ""),
        ("check", "ERROR", 0.0, "it broke"),
    ]
    assert [t.state for t in kubeflow.look(id, [])[1]] == ["RUNNING"]


def test_the_namespace_is_named_only_to_a_kubeflow_of_many_users(config: Config) -> None:
    with kfp_server(multi_user=True) as server:
        Kubeflow(server.url, config).create("mine-1")
        assert server.experiments[0]["namespace"] == config.cluster.namespace
    with kfp_server() as server:
        Kubeflow(server.url, config).create("mine-1")
        assert "namespace" not in server.experiments[0]


def test_a_server_that_is_not_there_is_named_with_the_remedy(config: Config) -> None:
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9.*KFP_ENDPOINT"):
        Kubeflow("http://127.0.0.1:9", config)


def test_the_server_s_own_words_reach_the_user(server: KfpServer, config: Config) -> None:
    kubeflow = Kubeflow(server.url, config)
    with pytest.raises(ClusterError, match=r"run nonsense not found \(HTTP 404\)"):
        kubeflow.look("nonsense")
    server.plan.append(("GET .*/runs$", "503"))
    with pytest.raises(ClusterError, match="try again later"):
        kubeflow.named("mine-1")


def test_a_lost_answer_to_a_creation_is_an_error_and_never_a_second_run(server: KfpServer, config: Config) -> None:
    kubeflow = Kubeflow(server.url, config)
    kubeflow.publish()
    server.plan.append(("POST .*/runs$", "lose"))
    with pytest.raises(ClusterError):
        kubeflow.create("mine-1")
    assert len(server.runs) == 1
