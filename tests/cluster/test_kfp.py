"""The whole pipeline on a real Kubeflow Pipelines, with the official client: states, decision, metrics, pages.

`KFP_ENDPOINT` names the server, `KUBECONFIG` its cluster and `MMST_NAMESPACE` the installed release
(docs/kubeflow.md); without these it is listed as not run. It takes as long as a small round there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from subprocess import PIPE

import pytest

from mmst.cli import app
from mmst.cli.options import configured
from mmst.cli.submit import workflow_nodes
from mmst.core.config import Config, run_id
from mmst.core.manifest import Manifest
from mmst.core.stored import load, pointers
from mmst.kubernetes.kinds import INFERENCE_SERVICE, JOB, PYTORCH_JOB, RUN
from mmst.pipelines.kubeflow import Kubeflow, Task
from mmst.retrain.trigger import standing
from mmst.wiring import cluster, open_store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(7200)]

NEEDED = ("KFP_ENDPOINT", "KUBECONFIG", "MMST_NAMESPACE")
RECIPE = """
name: kfp-test
title: A small round on Kubeflow Pipelines
problems:
  train: [{format: generated, seed: 5, count: 200, split: train, limit: 20}]
  test: [{format: generated, seed: 5, count: 200, split: test, limit: 10}]
  annotated: [{format: generated, seed: 6, count: 60, split: train}]
sampling: {k: 2}
train: {steps: 4, batch_tokens: 512}
loop: {rounds: 1, min_new: 1}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no Kubeflow Pipelines: {', '.join(missing)} not set")
    file = tmp_path_factory.mktemp("recipe") / "kfp-test.yaml"
    file.write_text(RECIPE)
    return str(file)


@pytest.fixture(scope="module")
def config(recipe: str) -> Config:
    return configured(recipe, [], cluster=os.environ["MMST_NAMESPACE"])


@pytest.fixture(scope="module")
def ended(recipe: str, config: Config) -> tuple[str, list[Task]]:
    """The run's id and tasks, once it has ended well."""
    arguments = ["submit", "--recipe", recipe, "--cluster", os.environ["MMST_NAMESPACE"], "--wait"]
    assert app.main(arguments) == 0
    kubeflow = Kubeflow(os.environ["KFP_ENDPOINT"], config)
    run = standing(kubeflow.named(run_id(config)), kubeflow.publish()[1])
    assert run is not None
    return run.id, kubeflow.look(run.id, workflow_nodes(config, run.id))[1]


@pytest.fixture(scope="module")
def made(config: Config, ended: object) -> dict[str, Manifest]:
    store = open_store(config.out)
    return {f"{p.round}.{p.arm}.{p.step}": load(store, ref) for p, ref, _ in pointers(store, run_id(config))}


def test_every_task_of_the_graph_that_ran_has_succeeded(ended: tuple[str, list[Task]]) -> None:
    states = {t.name: t.state for t in ended[1]}
    assert {"prepare", "base-model", "sample", "verify", "train", "promote", "finish"} <= set(states)
    assert not [name for name, state in states.items() if state not in ("SUCCEEDED", "SKIPPED")]


def test_the_run_ends_in_a_decision_and_the_counts_add_up(made: dict[str, Manifest], config: Config) -> None:
    decision = made["1.mmst.promote"].facts["decision"]
    assert decision["reason"]
    asked = made["0.base.prepare"].counts["train"] * len(config.methods) * config.sampling.k
    assert made["1.mmst.verify"].counts["asked"] == asked


def test_metrics_and_pages_lie_where_kubeflow_shows_them(
    ended: tuple[str, list[Task]], config: Config, made: object
) -> None:
    """Kubeflow keeps artifacts by run: `…/v2/artifacts/<pipeline>/<run>/<task>/<uuid>/<name>`."""
    root = os.environ.get("KFP_PIPELINE_ROOT", "")
    if not root:
        pytest.skip("KFP_PIPELINE_ROOT (s3://bucket/v2/artifacts of that Kubeflow) not set")
    names = [n for n in open_store(root).names("") if f"/{ended[0]}/" in f"/{n}"]
    pages = [n for n in names if n.endswith("/page")]
    assert pages
    page = open_store(root).read(pages[0])
    assert page is not None
    assert page.startswith(b"<!doctype html>")
    assert [n for n in names if n.endswith("/decision")]


def test_a_second_submission_finds_the_run(
    ended: tuple[str, list[Task]], recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["submit", "--recipe", recipe, "--cluster", os.environ["MMST_NAMESPACE"], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["found"], said["run"]) == (True, ended[0])


def test_nothing_of_the_run_is_left_in_the_cluster(ended: object, config: Config) -> None:
    here = cluster(config.cluster.namespace)
    labels = {RUN: run_id(config)}
    for kind in (PYTORCH_JOB, INFERENCE_SERVICE):
        assert not here.has(kind) or list(here.list(kind, labels)) == []
    assert list(here.beside(config.cluster.sandbox_namespace).list(JOB, labels)) == []


def test_eight_triggers_at_once_make_one_run(recipe: str, config: Config) -> None:
    change = ["--set", "sampling.seed=78"]
    command = [
        sys.executable,
        "-m",
        "mmst.cli.app",
        "trigger",
        "--recipe",
        recipe,
        "--cluster",
        config.cluster.namespace,
    ]
    racing = [subprocess.Popen([*command, *change, "--json"], stdout=PIPE, text=True) for _ in range(8)]
    said = [json.loads(trigger.communicate(timeout=300)[0]) for trigger in racing]
    kubeflow = Kubeflow(os.environ["KFP_ENDPOINT"], config)
    try:
        assert len({s["run"] for s in said}) == 1
        assert sum(s["made"] for s in said) == 1
    finally:
        for run in {s["run"] for s in said}:
            kubeflow.terminate(run)


def test_a_run_whose_image_is_missing_is_explained_and_not_waited_for_for_ever(
    recipe: str, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    image = "cluster.pipeline_image=no.such.registry.invalid/image:1"
    arguments = ["submit", "--recipe", recipe, "--cluster", os.environ["MMST_NAMESPACE"], "--set", image]
    assert app.main([*arguments, "--set", "sampling.seed=77", "--wait"]) == 4
    assert "no.such.registry.invalid" in capsys.readouterr().err
    other = dataclasses.replace(config, sampling=dataclasses.replace(config.sampling, seed=77))
    kubeflow = Kubeflow(os.environ["KFP_ENDPOINT"], other)
    for run in kubeflow.named(run_id(other)):
        kubeflow.terminate(run.id)
