"""The loop of examples/gitops closes: what its retraining registers is what its release serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

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


def test_the_values_of_the_docs_follow_the_recipe_that_they_submit() -> None:
    shown = yaml.safe_load((ROOT / "docs/examples/values.yaml").read_text("utf-8"))
    demo = config.parse(yaml.safe_load((ROOT / "mmst/recipes/demo.yaml").read_text("utf-8")))
    assert shown["rollout"]["model"] == demo.promote.name
