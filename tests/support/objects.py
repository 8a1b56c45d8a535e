"""An API server in memory: objects by kind and name, each with a version that every write changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mmst.kubernetes.kinds import Kind, Object


class Objects:
    """As much of `kubernetes.client.Cluster` as those who share objects use; all namespaces are one."""

    namespace = "mmst"

    def __init__(self) -> None:
        self.there: dict[tuple[str, str], Object] = {}
        self.version = 0

    def beside(self, namespace: str) -> Objects:
        return self

    def has(self, kind: Kind) -> bool:
        return True

    def create(self, kind: Kind, body: Object) -> tuple[Object, bool]:
        at = (kind.kind, body["metadata"]["name"])
        if at in self.there:
            return copy.deepcopy(self.there[at]), False
        self._write(at, copy.deepcopy(body))
        return copy.deepcopy(self.there[at]), True

    def get(self, kind: Kind, name: str) -> Object | None:
        return copy.deepcopy(self.there.get((kind.kind, name)))

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = "") -> Iterator[Object]:
        for (of, _), found in list(self.there.items()):
            if of == kind.kind and (labels or {}).items() <= found["metadata"].get("labels", {}).items():
                yield copy.deepcopy(found)

    def swap(self, kind: Kind, read: Object, change: Object) -> bool:
        at = (kind.kind, read["metadata"]["name"])
        if not self._same(at, read):
            return False
        self._write(at, _merged(self.there[at], change))
        return True

    def delete_at(self, kind: Kind, read: Object) -> bool:
        at = (kind.kind, read["metadata"]["name"])
        same = self._same(at, read)
        if same:
            del self.there[at]
        return same

    def names(self) -> set[str]:
        return {name for _, name in self.there}

    def _same(self, at: tuple[str, str], read: Object) -> bool:
        found = self.there.get(at)
        return found is not None and found["metadata"]["resourceVersion"] == read["metadata"]["resourceVersion"]

    def _write(self, at: tuple[str, str], body: Object) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.there[at] = body


def _merged(value: Any, change: Any) -> Any:
    """JSON merge patch."""
    if not isinstance(change, dict):
        return change
    kept = dict(value) if isinstance(value, dict) else {}
    for key, new in change.items():
        kept[key] = _merged(kept.get(key), new)
    return {key: new for key, new in kept.items() if new is not None}
