"""The champion's two InferenceServices: the stable one that clients use, and the challenger beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from mmst.backends.kserve import ready
from mmst.backends.kserve_objects import CHECKPOINT, inference_service
from mmst.backends.kube import INFERENCE_SERVICE, Cluster, Object
from mmst.config import ClusterConfig
from mmst.errors import SamplerError
from mmst.ports import Sampler, Store
from mmst.rollout import STABLE, Version
from mmst.store import load

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
        return "" if found is None else str(found["metadata"].get("annotations", {}).get(CHECKPOINT, ""))

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
        while True:
            found, made = self.cluster.create(INFERENCE_SERVICE, wanted)
            if made or self.cluster.swap(INFERENCE_SERVICE, found, changed(found, wanted)):
                return

    def remove(self, name: str) -> None:
        """See `rollout.Services.remove`; returns when it is gone."""
        deadline = time.monotonic() + self.config.start_timeout
        self.cluster.delete(INFERENCE_SERVICE, name)
        while self.cluster.get(INFERENCE_SERVICE, name) is not None:
            if time.monotonic() > deadline:
                raise SamplerError(f"InferenceService {name} does not go. Remedy: see its finalizers and KServe's log")
            time.sleep(0.5)

    def sampler(self, name: str, version: Version) -> AbstractContextManager[Sampler]:
        """See `rollout.Services.sampler`."""
        url = ready(self.cluster, name, self.config.start_timeout, checkpoint=version.checkpoint)
        return self.connect(url, STABLE, version.checkpoint)


def changed(found: Object, wanted: Object) -> Object:
    """The merge patch that makes a service's annotations, labels and predictor those wanted, and removes the rest."""
    before = found["spec"].get("predictor", {})
    after = wanted["spec"]["predictor"]
    gone = {key: None for key in before if key not in after}
    meta = {key: wanted["metadata"][key] for key in ("annotations", "labels")}
    return {"metadata": meta, "spec": {"predictor": {**gone, **after}}}
