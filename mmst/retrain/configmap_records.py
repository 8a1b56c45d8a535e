"""The records of `mmst trigger` as ConfigMaps, changed by compare-and-set on their resource version."""

from __future__ import annotations

from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import COMPONENT, CONFIG_MAP, MANAGED, Object
from mmst.retrain.trigger import Record


class ConfigMapRecords:
    """Fulfils `trigger.Records` in a namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def read(self, name: str) -> tuple[Record, str] | None:
        """The record and its version; None if there is none."""
        found = self._cluster.get(CONFIG_MAP, name)
        if found is None:
            return None
        data = found.get("data") or {}
        record = Record(name=name, holder=str(data.get("holder", "")), run=str(data.get("run", "")))
        return record, str(found["metadata"]["resourceVersion"])

    def create(self, record: Record) -> None:
        """Write a record if there is none of this name."""
        self._cluster.create(CONFIG_MAP, _object(record))

    def replace(self, record: Record, version: str) -> None:
        """Write a record if it still has this version."""
        body = _object(record)
        body["metadata"]["resourceVersion"] = version
        self._cluster.replace(CONFIG_MAP, body)


def _object(record: Record) -> Object:
    labels = {**MANAGED, COMPONENT: "retrain"}
    return {"metadata": {"name": record.name, "labels": labels}, "data": {"holder": record.holder, "run": record.run}}
