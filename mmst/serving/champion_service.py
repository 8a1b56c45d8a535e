"""The champion's two InferenceServices: the stable one for clients, and the challenger beside it.

A service that is not needed is stopped, not deleted, so the rollout needs no permission to delete. Both services
belong to the release and are removed when it is uninstalled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from mmst.core.config import ClusterConfig
from mmst.core.errors import SamplerError
from mmst.core.ports import Sampler, Store
from mmst.core.stored import load
from mmst.inference.providers.kserve import SERVED_BY, ready
from mmst.inference.providers.kserve_objects import CHECKPOINT, inference_service
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, INFERENCE_SERVICE, POD, Object
from mmst.serving.rollout import STABLE, Version

STOPPED = "serving.kserve.io/stop"
"""The annotation that makes KServe remove a service's pods."""
OWNER = "mmst-settings"
Connect = Callable[[str, str, str], AbstractContextManager[Sampler]]
"""How a server is asked: by its address, the model's name on it, and the checkpoint that it must serve."""


class ChampionServices:
    """Fulfils `rollout.Services`. Both services know the model by the same name, `champion`."""

    def __init__(self, cluster: Cluster, config: ClusterConfig, store: Store, dtype: str, connect: Connect) -> None:
        self.cluster, self.config, self.store, self.dtype, self.connect = cluster, config, store, dtype, connect
        self.where = f"{cluster.namespace}/{STABLE}"

    def checkpoint(self, name: str) -> str:
        """See `rollout.Services.checkpoint`."""
        found = self.cluster.get(INFERENCE_SERVICE, name)
        annotations = {} if found is None else found["metadata"].get("annotations", {})
        return "" if annotations.get(STOPPED) == "true" else str(annotations.get(CHECKPOINT, ""))

    def put(self, name: str, version: Version) -> None:
        """See `rollout.Services.put`."""
        wanted = inference_service(
            name,
            load(self.store, version.ref),
            store=self.store.uri,
            model=STABLE,
            dtype=self.dtype,
            cluster=self.config,
        )
        owner = self.cluster.get(CONFIG_MAP, OWNER)
        if owner is not None:
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": OWNER, "uid": owner["metadata"]["uid"]}
            wanted["metadata"]["ownerReferences"] = [reference]
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
        url = ready(self.cluster, name, self.config.start_timeout, checkpoint=version.checkpoint)
        return self.connect(url, STABLE, version.checkpoint)


def changed(found: Object, wanted: Object) -> Object:
    """The merge patch that sets a service's labels and predictor, removes the rest, and starts it."""
    before = found["spec"].get("predictor", {})
    after = wanted["spec"]["predictor"]
    gone = {key: None for key in before if key not in after}
    meta = {key: value for key, value in wanted["metadata"].items() if key != "name"}
    meta["annotations"] = {**meta["annotations"], STOPPED: None}
    return {"metadata": meta, "spec": {"predictor": {**gone, **after}}}
