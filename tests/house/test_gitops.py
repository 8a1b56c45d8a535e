"""The loop of examples/gitops closes: what its retraining registers is what its release serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmst import recipes
from mmst.core import config

ROOT = Path(__file__).resolve().parents[2]


def values(controller: str, application: str) -> Any:
    """What an application gives to the chart."""
    [spec] = [
        o["spec"]
        for o in yaml.safe_load_all((ROOT / f"examples/gitops/{controller}/{application}.yaml").read_text("utf-8"))
    ]
    return spec["values"] if controller == "flux" else spec["source"]["helm"]["valuesObject"]


@pytest.mark.parametrize("controller", ["argocd", "flux"])
def test_the_release_follows_the_model_that_the_recipe_registers(controller: str) -> None:
    registers = config.parse(values(controller, "retrain")["retrain"]["inline"]).promote.name
    assert values(controller, "release")["rollout"]["model"] == registers


@pytest.mark.parametrize("controller", ["argocd", "flux"])
def test_both_have_one_store_and_one_registry(controller: str) -> None:
    retrain, release = values(controller, "retrain"), values(controller, "release")
    assert {k: retrain[k] for k in ("store", "mlflow", "kfp")} == {k: release[k] for k in ("store", "mlflow", "kfp")}


def test_flux_tries_again_what_failed() -> None:
    for path in (ROOT / "examples/gitops/flux").glob("*.yaml"):
        for o in yaml.safe_load_all(path.read_text("utf-8")):
            if o["kind"] == "HelmRelease":
                assert all(o["spec"][step]["remediation"]["retries"] > 0 for step in ("install", "upgrade")), path.name


def test_no_controller_removes_a_namespace_with_its_data() -> None:
    made = list(yaml.safe_load_all((ROOT / "manifests/base/namespaces.yaml").read_text("utf-8")))
    assert {o["metadata"]["name"] for o in made} == {"mmst", "mmst-sandbox"}
    for o in made:
        annotations = o["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_the_chart_knows_the_keys_of_recipes_and_the_shipped_ones() -> None:
    schema = json.loads((ROOT / "helm/mmst/values.schema.json").read_text("utf-8"))
    retrain = schema["properties"]["retrain"]["properties"]
    known: dict[str, set[str]] = {"extends": set()}
    for path, *_ in config.options():
        section, _, key = path.partition(".")
        known.setdefault(section, set()).update({key} - {""})
    named = {"arms", "teachers"}  # their keys are names
    written = retrain["inline"]["properties"]
    sections = {name: set() if keys is True else set(keys["properties"]) for name, keys in written.items()}
    assert sections == {name: set() if name in named else keys for name, keys in known.items()}
    assert set(retrain["recipe"]["enum"]) == {"", *recipes.SHIPPED.names()}


def test_the_values_of_the_docs_follow_the_recipe_that_they_submit() -> None:
    shown = yaml.safe_load((ROOT / "docs/examples/values.yaml").read_text("utf-8"))
    demo = config.parse(yaml.safe_load((ROOT / "mmst/recipes/demo.yaml").read_text("utf-8")))
    assert shown["rollout"]["model"] == demo.promote.name
