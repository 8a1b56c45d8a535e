"""`mmst submit`: one run under way, its progress, and what is wrong when nothing moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst import wiring
from mmst.cli import app
from mmst.cli import submit as submitting
from mmst.core import errors
from mmst.core.errors import SetupError, Stopped
from mmst.kubernetes.run_status import Seen
from mmst.retrain.trigger import Run, standing
from tests.support.kfp_server import KfpServer, kfp_server

RECIPE = """
name: mine
out: s3://bucket/runs
check: {sandbox: gvisor_job}
promote: {tracking_uri: "http://mlflow:5000"}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KfpServer]:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    monkeypatch.setattr(submitting, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(wiring, "in_cluster", lambda *a: [])
    monkeypatch.setattr(wiring, "failures", lambda *a: [])
    with kfp_server() as held:
        monkeypatch.setenv("KFP_ENDPOINT", held.url)
        yield held


Submit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def submit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Submit:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(RECIPE)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.main(["submit", "--recipe", str(recipe), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_run_is_submitted_once_and_its_page_is_printed(server: KfpServer, submit: Submit) -> None:
    code, out, err = submit()
    (run,) = server.runs
    assert (code, err) == (0, "")
    assert f"{server.url}/#/runs/details/{run['run_id']}" in out
    again = json.loads(submit("--json")[1])
    assert (again["run"], again["found"], again["name"]) == (run["run_id"], True, run["display_name"])
    assert len(server.runs) == 1


def test_what_failed_is_continued_by_another_run_and_what_succeeded_is_not(server: KfpServer, submit: Submit) -> None:
    submit()
    server.runs[0]["state"] = "FAILED"
    submit()
    assert len(server.runs) == 2
    server.runs[1]["state"] = "SUCCEEDED"
    submit()
    assert len(server.runs) == 2
    submit("--set", "cluster.pipeline_image=registry/pipeline:new")  # the same run by other code
    assert len(server.runs) == 3


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], None),
        ([("a", "FAILED", "v"), ("b", "CANCELED", "v")], None),
        ([("a", "SUCCEEDED", "old")], None),
        ([("a", "SUCCEEDED", "v"), ("b", "FAILED", "v")], "a"),
        ([("a", "SUCCEEDED", "v"), ("b", "RUNNING", "old")], "b"),
        ([("a", "RUNNING", "v"), ("b", "RUNNING", "v")], "b"),
    ],
)
def test_the_run_that_stands_is_one_under_way_else_the_last_that_succeeded_with_this_graph(
    runs: list[tuple[str, str, str]], found: str | None
) -> None:
    made = [Run(id=i, live=state == "RUNNING", state=state, version=version) for i, state, version in runs]
    stands = standing(made, "v")
    assert (stands.id if stands else None) == found


def run_ends(server: KfpServer, state: str, *tasks: dict[str, Any]) -> None:
    """Once somebody has looked at it."""

    def end() -> None:
        while not any(r.startswith("GET /apis/v2beta1/runs/run_id") for r in server.requests):
            threading.Event().wait(0.01)
        with server.lock:
            server.runs[0]["run_details"] = {"task_details": list(tasks)}
            server.runs[0]["state"] = state

    threading.Thread(target=end, daemon=True).start()


def test_waiting_shows_every_task_and_ends_with_the_run(server: KfpServer, submit: Submit) -> None:
    begun, ended = "2026-11-21T10:00:00Z", "2026-11-21T10:01:30Z"
    task = {"display_name": "sample", "state": "SUCCEEDED", "start_time": begun, "end_time": ended}
    run_ends(server, "SUCCEEDED", task)
    code, out, err = submit("--wait")
    assert (code, err) == (0, "")
    assert "sample                   succeeded  90 s" in out


def test_a_run_that_failed_ends_with_the_stage_s_own_error_and_its_exit_code(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = errors.LeakError("a problem of the test set", remedy="leave it out")
    monkeypatch.setattr(wiring, "failures", lambda *a: [errors.StoreError("x"), last])
    run_ends(server, "FAILED")
    code, _, err = submit("--wait")
    assert code == errors.LeakError.exit_code == 2
    assert "the run ended as FAILED" in err
    assert "a problem of the test set" in err


def test_a_run_that_failed_without_a_word_is_a_platform_s_failure(server: KfpServer, submit: Submit) -> None:
    run_ends(server, "FAILED")
    code, _, err = submit("--wait")
    assert code == 4
    assert "/#/runs/details/" in err


def seen(
    trouble: str, *, lasting: bool, kind: str = "Pod", component: str = "stage sample", state: str = "Pending"
) -> Seen:
    return Seen(
        kind=kind, name="p", namespace="mmst", component=component, state=state, trouble=trouble, lasting=lasting
    )


def test_a_stage_s_pod_that_cannot_start_ends_the_waiting_with_the_reason(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "in_cluster", lambda *a: [seen("image: no such image. Remedy: push it", lasting=True)])
    code, _, err = submit("--wait")
    assert code == 4
    assert "push it" in err
    assert server.live  # it waits; mend it and it goes on


@pytest.mark.parametrize(
    "harmless",
    [
        seen("unschedulable: no node yet", lasting=False),
        seen("image: gone", lasting=True, component="check"),  # its launcher deals with it
        seen("Failed: OOM", lasting=True, kind="Job", component="check"),
    ],
)
def test_trouble_that_may_pass_or_that_a_stage_deals_with_is_shown_once_and_waited_for(
    harmless: Seen, server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "in_cluster", lambda *a: [harmless])
    run_ends(server, "SUCCEEDED")
    code, out, _ = submit("--wait")
    assert code == 0
    assert out.count(harmless.trouble) == 1


def test_a_stage_s_pod_that_failed_is_shown_and_the_run_ends_with_the_stage_s_own_error(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pod is there before `finish` has come and the run has ended."""
    crashed = seen("crash: main ended with exit code 1. Remedy: see its log", lasting=True, state="Failed")
    monkeypatch.setattr(wiring, "in_cluster", lambda *a: [crashed])
    monkeypatch.setattr(wiring, "failures", lambda *a: [errors.LeakError("a test problem")])
    run_ends(server, "FAILED")
    code, out, err = submit("--wait")
    assert (code, out.count(crashed.trouble)) == (errors.LeakError.exit_code, 1)
    assert "a test problem" in err


def test_where_the_cluster_cannot_be_looked_at_kubeflow_alone_is_watched(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*a: object) -> list[Seen]:
        raise SetupError("no Kubernetes cluster is configured here")

    monkeypatch.setattr(wiring, "in_cluster", none)
    run_ends(server, "SUCCEEDED")
    assert submit("--wait")[0] == 0


def test_ctrl_c_leaves_the_run_going_and_says_how_to_come_back(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise Stopped("stopped by SIGINT")

    monkeypatch.setattr("mmst.cli.submit.time.sleep", interrupted)
    code, _, err = submit("--wait")
    assert code == 130
    assert "the run goes on" in err
    assert server.live


def test_without_an_address_the_remedy_names_one(
    server: KfpServer, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KFP_ENDPOINT")
    code, _, err = submit()
    assert code == 2
    assert "port-forward" in err


def test_a_recipe_that_pods_cannot_run_is_refused_before_kubeflow_is_asked(server: KfpServer, submit: Submit) -> None:
    code, _, err = submit("--set", "check.sandbox=gvisor")
    assert code == 2
    assert "gvisor_job" in err
    assert server.requests == []
