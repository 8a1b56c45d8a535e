"""What serves, as tags of model versions in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmst.backends.mlflow_registry import ALIAS, MlflowRegistry
from mmst.rollout import Version


class ServingVersions:
    """Fulfils `rollout.Versions` for one registered model."""

    def __init__(self, registry: MlflowRegistry, name: str) -> None:
        self.registry, self.name = registry, name

    def champion(self) -> Version | None:
        """See `rollout.Versions.champion`; None also when there is no such model yet."""
        from mlflow.exceptions import MlflowException

        with self.registry.client() as client:
            try:
                return _version(client.get_model_version_by_alias(self.name, ALIAS))
            except MlflowException as e:
                # A model without this alias is an invalid parameter, one that does not exist is not found.
                if e.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def tagged(self, name: str, value: str) -> Sequence[Version]:
        """See `rollout.Versions.tagged`."""
        where = f"name = '{self.name}' and tags.`{name}` = '{value}'"
        with self.registry.client() as client:
            return [_version(v) for v in client.search_model_versions(where)]

    def tag(self, version: str, tags: Mapping[str, str | None]) -> None:
        """See `rollout.Versions.tag`."""
        with self.registry.client() as client:
            there = client.get_model_version(self.name, version).tags
            for key, value in tags.items():
                if value is not None:
                    client.set_model_version_tag(self.name, version, key, value)
                elif key in there:
                    client.delete_model_version_tag(self.name, version, key)


def _version(found: Any) -> Version:
    tags = {str(k): str(v) for k, v in found.tags.items()}
    return Version(
        version=str(found.version),
        checkpoint=tags.get("mmst.checkpoint", ""),
        ref=tags.get("mmst.ref", ""),
        run=tags.get("mmst.run", ""),
        evaluation=tags.get("mmst.evaluation", ""),
        tags=tags,
    )
