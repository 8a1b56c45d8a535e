"""The graph as Kubeflow Pipelines will get it: properties of the compiled IR."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmst.config import parse
from mmst.pipelines.graph import compile_to


@pytest.fixture(scope="module")
def ir(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("ir") / "pipeline.yaml"
    compile_to(path, parse({"loop": {"rounds": 2, "controls": ["seed-only", "no-translation"]}}))
    document = next(iter(yaml.safe_load_all(path.read_text())))
    assert isinstance(document, dict)
    return document


def tasks(ir: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    dags = [ir["root"], *(c for c in ir["components"].values() if "dag" in c)]
    for dag in dags:
        yield from dag["dag"]["tasks"].items()


def test_no_task_that_runs_code_uses_the_cache_of_kfp(ir: dict[str, Any]) -> None:
    executors = {name for name, c in ir["components"].items() if "executorLabel" in c}
    cached = [
        n for n, t in tasks(ir) if t["componentRef"]["name"] in executors and t["cachingOptions"].get("enableCache")
    ]
    assert executors
    assert cached == []


def test_every_condition_compares_a_plain_string(ir: dict[str, Any]) -> None:
    conditions = [t["triggerPolicy"]["condition"] for _, t in tasks(ir) if "condition" in t.get("triggerPolicy", {})]
    assert len(conditions) >= 3
    for condition in conditions:
        assert condition.split("'")[1].endswith("-Output"), "kfp.local cannot read a condition on a named output"
        assert condition.count("'train'") + condition.count("'stop'") == 1


def test_the_report_is_made_whether_the_run_succeeds_or_fails(ir: dict[str, Any]) -> None:
    report = ir["root"]["dag"]["tasks"]["report"]
    assert report["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_no_task_is_handed_a_checkpoint_or_data_as_an_artifact(ir: dict[str, Any]) -> None:
    taken = [c["inputDefinitions"] for c in ir["components"].values() if "artifacts" in c.get("inputDefinitions", {})]
    assert taken == []


def test_every_control_is_trained_and_measured_in_each_round(ir: dict[str, Any]) -> None:
    arms = [
        t["inputs"]["parameters"]["arm"]["runtimeValue"]["constant"]
        for name, t in tasks(ir)
        if t["componentRef"]["name"].startswith("comp-learn")
    ]
    assert sorted(arms) == sorted(["seed-only", "no-translation"] * 2)


def test_components_install_nothing_and_stay_small(ir: dict[str, Any]) -> None:
    for executor in ir["deploymentSpec"]["executors"].values():
        command = " ".join(executor["container"]["command"])
        assert "pip install" not in command
    sizes = {p.name: len(p.read_text().splitlines()) for p in (Path(__file__).parents[2] / "components").glob("*.py")}
    assert max(sizes.values()) <= 40, sizes
