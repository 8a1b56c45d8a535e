"""The champion's two InferenceServices: the stable one for clients, and the challenger beside it.

A service that is not needed is stopped, not deleted, so the rollout needs no permission to delete. Nothing owns them:
what clients use goes on when the release is upgraded, reinstalled or uninstalled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from mmst.core.config import ClusterConfig, Config
from mmst.core.errors import SamplerError
from mmst.core.manifest import Manifest
from mmst.core.ports import Sampler, Store
from mmst.core.records import digest
from mmst.core.stored import load
from mmst.inference.providers.kserve import SERVED_BY, ready
from mmst.inference.providers.kserve_objects import CHECKPOINT, inference_service
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import INFERENCE_SERVICE, POD, Object
from mmst.serving.rollout import STABLE, Version

STOPPED = "serving.kserve.io/stop"
"""The annotation that makes KServe remove a service's pods."""
DEFINITION = "mmst.dev/definition"
"""The annotation with the digest of all that a service was told to be. KServe copies it to the pods."""
Connect = Callable[[str, str, Version], AbstractContextManager[Sampler]]
"""How a server is asked: by its address, the model's name on it, and the version that it must serve."""


class ChampionServices:
    """Fulfils `rollout.Services`. Both services know the model by the same name, `champion`.

    `recipe` gives what is registered of a version's recipe, `config` is how the release serves.
    """

    def __init__(
        self,
        cluster: Cluster,
        config: ClusterConfig,
        store: Store,
        recipe: Callable[[Version], Config],
        connect: Connect,
    ) -> None:
        self.cluster, self.config, self.store, self.recipe, self.connect = cluster, config, store, recipe, connect
        self._checkpoints: dict[str, Manifest] = {}
        self.where = f"{cluster.namespace}/{STABLE}"

    def checkpoint(self, name: str) -> str:
        """See `rollout.Services.checkpoint`."""
        found = self.cluster.get(INFERENCE_SERVICE, name)
        annotations = {} if found is None else found["metadata"].get("annotations", {})
        return "" if annotations.get(STOPPED) == "true" else str(annotations.get(CHECKPOINT, ""))

    def definition(self, name: str) -> str:
        """See `rollout.Services.definition`."""
        found = self.cluster.get(INFERENCE_SERVICE, name)
        return "" if found is None else str(found["metadata"].get("annotations", {}).get(DEFINITION, ""))

    def wanted(self, version: Version) -> str:
        """See `rollout.Services.wanted`."""
        return str(self._service(STABLE, version)["metadata"]["annotations"][DEFINITION])

    def _service(self, name: str, version: Version) -> Object:
        if version.ref not in self._checkpoints:
            self._checkpoints[version.ref] = load(self.store, version.ref)
        dtype = self.recipe(version).model.dtype
        made = inference_service(
            name,
            self._checkpoints[version.ref],
            store=self.store.uri,
            model=STABLE,
            dtype="float32" if dtype == "int8" else dtype,  # no model server takes int8
            cluster=self.config,
        )
        told = {**made, "metadata": {**made["metadata"], "name": ""}}  # the same for both services
        made["metadata"]["annotations"][DEFINITION] = digest(told)[7:23]
        return made

    def put(self, name: str, version: Version) -> None:
        """See `rollout.Services.put`."""
        wanted = self._service(name, version)
        while True:
            found, made = self.cluster.create(INFERENCE_SERVICE, wanted)
            if made or self.cluster.swap(INFERENCE_SERVICE, found, changed(found, wanted)):
                return

    def remove(self, name: str) -> None:
        """See `rollout.Services.remove`; returns when its pods are terminating."""
        if self.cluster.get(INFERENCE_SERVICE, name) is None:
            return
        self.cluster.patch(INFERENCE_SERVICE, name, {"metadata": {"annotations": {STOPPED: "true"}}})
        deadline = time.monotonic() + self.config.start_timeout
        while any("deletionTimestamp" not in p["metadata"] for p in self.cluster.list(POD, {SERVED_BY: name})):
            if time.monotonic() > deadline:
                what = f"InferenceService {name} does not stop"
                raise SamplerError(what, remedy="see the log of KServe's controller")
            time.sleep(0.5)

    def sampler(self, name: str, version: Version) -> AbstractContextManager[Sampler]:
        """See `rollout.Services.sampler`."""
        marks = {CHECKPOINT: version.checkpoint, DEFINITION: self.definition(name)}
        marks = {key: value for key, value in marks.items() if value}  # an earlier MMST left no definition
        url = ready(self.cluster, name, self.config.start_timeout, marks)
        return self.connect(url, STABLE, version)


def changed(found: Object, wanted: Object) -> Object:
    """The merge patch that sets a service's labels and predictor, removes the rest and its owners, and starts it."""
    before = found["spec"].get("predictor", {})
    after = wanted["spec"]["predictor"]
    gone = {key: None for key in before if key not in after}
    meta = {key: value for key, value in wanted["metadata"].items() if key != "name"}
    meta["annotations"] = {**meta["annotations"], STOPPED: None}
    meta["ownerReferences"] = None  # an earlier MMST made the release its owner
    return {"metadata": meta, "spec": {"predictor": {**gone, **after}}}
