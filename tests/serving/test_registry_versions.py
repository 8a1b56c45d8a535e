"""What the rollout needs of a recipe comes with the registered version, whoever wrote the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmst import recipes
from mmst.core.config import Config, parse
from mmst.core.errors import RegistryError
from mmst.core.provenance import Provenance
from mmst.registry.mlflow import MlflowRegistry
from mmst.serving.registry_versions import ServingVersions

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = "sha256:" + "a" * 64


@pytest.fixture
def registry(tmp_path: Path) -> MlflowRegistry:
    return MlflowRegistry(f"sqlite:///{tmp_path}/mlflow.db")


def registered(registry: MlflowRegistry, folder: Path, answering: Any) -> None:
    """A version of the model `own`, and champion by its alias."""
    (folder / "weights").mkdir()
    (folder / "weights" / "model.safetensors").write_bytes(b"weights")
    version = registry.register(
        "own",
        folder / "weights",
        run="r",
        checkpoint=CHECKPOINT,
        ref="stages/train/1",
        about="",
        tags={},
        answering=answering,
    )
    registry.point("own", version)


def own_recipe(folder: Path) -> Config:
    """A recipe of somebody's own, as `retrain.inline` has it."""
    file = folder / "short.yaml"
    shipped = (ROOT / "mmst/methods/answer.yaml").read_text("utf-8")
    file.write_text(shipped.replace("name: answer", "name: short"), encoding="utf-8")
    data = {
        "name": "nightly",
        "methods": ["text", "short"],
        "method_files": [str(file)],
        "model": {"dtype": "bfloat16"},
        "prompt": {"style": "chat"},
        "promote": {"name": "own"},
    }
    return parse(recipes.whole(data))


def test_how_a_model_of_an_own_recipe_is_asked_is_read_from_its_version(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    config = own_recipe(tmp_path)
    registered(registry, tmp_path, Provenance.of(config).answering)
    versions = ServingVersions(registry, "own")
    champion = versions.champion()
    assert champion is not None
    found = versions.recipe(champion)
    assert (found.model.dtype, found.prompt.style, found.filed) == ("bfloat16", "chat", config.filed)


def test_a_version_that_does_not_say_how_it_is_asked_is_named_with_a_remedy(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    registered(registry, tmp_path, {})
    versions = ServingVersions(registry, "own")
    champion = versions.champion()
    assert champion is not None
    with pytest.raises(
        RegistryError, match=r"version 1 of 'own' does not say how it is asked.*Remedy: promote it again"
    ):
        versions.recipe(champion)


def test_a_version_whose_settings_this_mmst_does_not_know_is_no_fault_of_the_version(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    registered(registry, tmp_path, {"model": {"dtype": "float7"}})
    versions = ServingVersions(registry, "own")
    champion = versions.champion()
    assert champion is not None
    with pytest.raises(RegistryError, match=r"version 1 of 'own' is asked as .* cannot read .*float7"):
        versions.recipe(champion)


def test_an_alias_at_a_version_of_another_program_is_refused(registry: MlflowRegistry) -> None:
    def other(client: Any) -> None:
        client.create_registered_model("own")
        client.create_model_version("own", "s3://elsewhere/model")
        client.set_registered_model_alias("own", "champion", "1")

    registry.call(other)
    with pytest.raises(RegistryError, match=r"points at version 1, not registered by MMST.*Remedy"):
        ServingVersions(registry, "own").champion()
