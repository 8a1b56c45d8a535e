"""Which version should serve, from the record in the store, and which does, from tags in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmst.core.config import Config, parse
from mmst.core.errors import RegistryError, UserError
from mmst.core.ports import Champion, Store
from mmst.registry.mlflow import ALIAS, MlflowRegistry
from mmst.registry.mlflow_calls import unless
from mmst.serving.rollout import Version
from mmst.stages import champion as champions


class ServingVersions:
    """Fulfils `rollout.Versions` for one registered model.

    The champion is the one on record in `store`. MLflow's alias mirrors the record and is corrected if it differs.
    If there is no record or no store, the alias is followed. `tell` is called once with which of the two is
    followed.
    """

    def __init__(
        self,
        registry: MlflowRegistry,
        name: str,
        store: Store | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.registry, self.name, self.store, self.tell = registry, name, store, tell
        self._said = ""
        self._recipes: dict[str, Config] = {}

    def champion(self) -> Version | None:
        """See `rollout.Versions.champion`; also None if there is no such model yet."""
        standing = champions.standing(self.store, self.name) if self.store is not None else None
        if self.store is None or standing is None:
            self._say(
                f"no promotion of '{self.name}' on record in the store: the registry's alias '{ALIAS}' is followed"
            )
            return self._by_alias()
        self._say(f"the champion of '{self.name}' on record in {self.store.uri} is followed")
        found = self._registered(standing)
        alias = self._by_alias()
        if alias is None or alias.version != found.version:
            there = f"version {alias.version}" if alias else "no version"
            self.tell(
                f"the alias '{ALIAS}' pointed at {there}, on record is version {standing.version}: it is set right"
            )
            champions.follow(self.store, self.registry, self.name)
        return found

    def recipe(self, version: Version) -> Config:
        """What is registered of a version's recipe: how the model is asked (`Provenance.answering`)."""
        if version.version not in self._recipes:
            try:
                found = parse(self.registry.answering(self.name, version.version))
            except UserError as e:
                raise RegistryError(
                    f"version {version.version} of '{self.name}' is asked as this version of MMST cannot read ({e})",
                    remedy="let the release have the images of the MMST that promoted it (images.tag)",
                ) from e
            self._recipes[version.version] = found
        return self._recipes[version.version]

    def tagged(self, name: str, value: str) -> Sequence[Version]:
        """See `rollout.Versions.tagged`."""
        where = f"name = '{self.name}' and tags.`{name}` = '{value}'"
        return self.registry.call(lambda client: [_version(v) for v in client.search_model_versions(where)])

    def tag(self, version: str, tags: Mapping[str, str | None]) -> None:
        """See `rollout.Versions.tag`."""

        def set_tags(client: Any) -> None:
            there = client.get_model_version(self.name, version).tags
            for key, value in tags.items():
                if value is not None:
                    client.set_model_version_tag(self.name, version, key, value)
                elif key in there:
                    with unless("RESOURCE_DOES_NOT_EXIST"):
                        client.delete_model_version_tag(self.name, version, key)

        self.registry.call(set_tags)

    def _by_alias(self) -> Version | None:
        def pointed(client: Any) -> Version | None:
            from mlflow.exceptions import MlflowException

            try:
                found = _version(client.get_model_version_by_alias(self.name, ALIAS))
            except MlflowException as e:
                # A model without this alias is an invalid parameter, one that does not exist is not found.
                if e.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            if not found.checkpoint:
                raise RegistryError(
                    f"the alias '{ALIAS}' of '{self.name}' points at version {found.version}, not registered by MMST",
                    remedy="point it at a version with the tag mmst.checkpoint",
                )
            return found

        return self.registry.call(pointed)

    def _registered(self, standing: Champion) -> Version:
        """The version on record; `RegistryError` if this registry has another checkpoint under its number."""
        hint = f"version {standing.version} of '{self.name}' is the champion on record, but is not registered here"
        found = self.registry.call(lambda client: _version(client.get_model_version(self.name, standing.version)), hint)
        if found.checkpoint != standing.checkpoint:
            raise RegistryError(
                f"version {found.version} of '{self.name}' is {found.checkpoint or 'of no checkpoint'}, on record "
                f"it is {standing.checkpoint}",
                remedy="name the tracking server at which the champion was registered",
            )
        return found

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self.tell(line)


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
