"""A Kubernetes API server and one of its namespaces: objects are plain dicts, as in YAML.

Only what every provider on a cluster needs: get-or-create by name, so that a later call finds what was made before;
watches that survive a lost connection and an expired resource version (410); deletion only of objects with the
owner's labels. Connection problems are retried for `PATIENCE` seconds.

`follow` is ours, not the official client's `watch.Watch`, which raises when the connection is lost and at the second
410, ignores the versions that bookmarks bring (so a quiet watch is soon too old), leaves listing anew to its caller,
and does not return while nothing happens, so that its reader could not look at the clock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import urllib3

from mmst.core.errors import ClusterError, MmstError, SetupError
from mmst.kubernetes.http import Api, Refused
from mmst.kubernetes.kinds import ERROR, EVENT, MANAGED, POD, SERVICE, Kind, Object

PAGE = 500
TICK = 5
"""Seconds after which a quiet watch returns, so that its reader can check the time."""


class Cluster:
    """The API server that this process may talk to, and a namespace in it.

    Errors: `ClusterError` if a request is refused or the server cannot be reached; `SetupError` if something is not
    installed or not permitted.

    >>> cluster = Cluster.connect("mmst")                                        # doctest: +SKIP
    >>> cluster.create(job)                                                      # doctest: +SKIP
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self.namespace = api, namespace

    @classmethod
    def connect(cls, namespace: str) -> Cluster:
        """The cluster around this pod, else the current context of $KUBECONFIG; `SetupError` if there is none."""
        return cls(Api.connect(), namespace)

    @property
    def calls(self) -> int:
        """Number of requests so far."""
        return self._api.calls

    def beside(self, namespace: str) -> Cluster:
        """The same server with another namespace; calls are counted apart."""
        return Cluster(Api(self._api.client), namespace)

    def version(self) -> str:
        """`v1.36.3`."""
        return str(self._api.json("GET", "/version")["gitVersion"])

    def has(self, kind: Kind) -> bool:
        """Whether the server knows this kind in this version."""
        try:
            return any(r["name"] == kind.plural for r in self._api.json("GET", kind.group)["resources"])
        except Refused as e:
            if e.status == 404:
                return False
            raise

    def create(self, kind: Kind, body: Object) -> tuple[Object, bool]:
        """Create an object, or adopt the one of this name; returns the object, and whether it was created."""
        name = str(body["metadata"]["name"])
        whole = {"apiVersion": kind.api, "kind": kind.kind, **body}
        while True:
            try:
                return self._api.json("POST", self.path(kind), whole, query={"fieldValidation": "Strict"}), True
            except Refused as e:
                if e.status != 409:
                    raise e.named(kind, name) from None
                if e.reason != "AlreadyExists":
                    raise e.named(kind, name) from None
            found = self.get(kind, name)
            if found is not None:
                return found, False

    def refusal(self, kind: Kind, body: Object) -> str:
        """Why the server would not create an object, in its own words; empty if it would. Nothing is created."""
        whole = {"apiVersion": kind.api, "kind": kind.kind, **body}
        try:
            self._api.json("POST", self.path(kind), whole, query={"fieldValidation": "Strict", "dryRun": "All"})
        except Refused as e:
            return str(e)
        return ""

    def review(self, kind: Kind, spec: Object) -> Object:
        """The server's answer to a review, which is an object without a name."""
        return self._api.json("POST", self.path(kind), {"apiVersion": kind.api, "kind": kind.kind, "spec": spec})

    def get(self, kind: Kind, name: str) -> Object | None:
        """The object of this name; None if there is none."""
        try:
            return self._api.json("GET", self.path(kind, name))
        except Refused as e:
            if e.status == 404 and (e.reason == "NotFound" and e.about(kind, name)):
                return None
            raise e.named(kind, name) from None

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = "") -> Iterator[Object]:
        """All objects with these labels, in pages of 500."""
        for page in self._pages(kind, labels or {}, fields):
            yield from page["items"]

    def replace(self, kind: Kind, body: Object) -> bool:
        """Compare-and-set: write an object that was read; False if somebody else was faster."""
        name = str(body["metadata"]["name"])
        try:
            self._api.json("PUT", self.path(kind, name), {"apiVersion": kind.api, "kind": kind.kind, **body})
        except Refused as e:
            if e.status == 409 or (e.status == 404 and e.about(kind, name)):
                return False
            raise e.named(kind, name) from None
        return True

    def patch(self, kind: Kind, name: str, change: Object) -> Object:
        """Merge a change into an object (JSON merge patch: None removes a key)."""
        try:
            return self._api.json("PATCH", self.path(kind, name), change, content="application/merge-patch+json")
        except Refused as e:
            raise e.named(kind, name) from None

    def swap(self, kind: Kind, read: Object, change: Object) -> bool:
        """Compare-and-set: merge a change into an object that was read; False if it has changed since."""
        meta = read["metadata"]
        change = {**change, "metadata": {**change.get("metadata", {}), "resourceVersion": meta["resourceVersion"]}}
        path = self.path(kind, meta["name"])
        try:
            self._api.json("PATCH", path, change, content="application/merge-patch+json")
        except Refused as e:
            if e.status == 409 or (e.status == 404 and e.about(kind, meta["name"])):
                return False
            raise e.named(kind, meta["name"]) from None
        return True

    def delete_at(self, kind: Kind, read: Object) -> bool:
        """Delete an object as it was read; False if it has changed since."""
        meta = read["metadata"]
        body = {"propagationPolicy": "Background", "preconditions": {"resourceVersion": meta["resourceVersion"]}}
        try:
            self._api.json("DELETE", self.path(kind, meta["name"]), body)
        except Refused as e:
            if e.status in (404, 409):
                return e.status == 404
            raise e.named(kind, meta["name"]) from None
        return True

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object and what it owns; does nothing if it is gone."""
        with _gone_already():
            self._api.json("DELETE", self.path(kind, name), {"propagationPolicy": "Background"})

    def delete_owned(self, kind: Kind, labels: Mapping[str, str]) -> int:
        """Delete all our objects of a kind with these labels; returns their number."""
        assert labels, "without labels it would be everybody's"
        names = [o["metadata"]["name"] for o in self.list(kind, {**MANAGED, **labels})]
        for name in names:
            self.delete(kind, name)
        return len(names)

    def follow(
        self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> Iterator[tuple[dict[str, Object], str]]:
        """The objects of a kind by name, each time something changes, with the name that changed.

        The name is empty after `TICK` quiet seconds, and after everything was read again. The mapping is updated in
        place. Endless; leave the loop to end it.
        """
        state: dict[str, Object] = {}
        version = ""
        while True:
            if not version:
                state.clear()
                for page in self._pages(kind, labels or {}, fields):
                    state.update({o["metadata"]["name"]: o for o in page["items"]})
                    version = page["metadata"]["resourceVersion"]
                yield state, ""
            for event in self._events(kind, labels or {}, fields, version):
                if event["type"] == "ERROR":
                    version = ""  # 410: too old to go on from; read all anew
                    break
                version, name = event["object"]["metadata"]["resourceVersion"], event["object"]["metadata"].get("name")
                if event["type"] == "BOOKMARK":
                    continue
                if event["type"] == "DELETED":
                    state.pop(name, None)
                else:
                    state[name] = event["object"]
                yield state, name
            else:
                yield state, ""

    def log(
        self, pod: str, container: str = "", *, most: int = 16 << 20, tail: int = 0, previous: bool = False
    ) -> bytes | None:
        """The log of a container, up to `most` bytes (or its last `tail` lines); None if it is gone.

        `previous` asks for the container that ended before the last restart.
        """
        query: dict[str, Any] = {"limitBytes": most}
        query |= {"previous": "true"} if previous else {}
        query |= {"container": container} if container else {}
        query |= {"tailLines": tail} if tail else {}
        try:
            with self._api.open("GET", self.path(POD, pod) + "/log", query=query, seconds=300.0) as answer:
                return bytes(answer.data)
        except Refused as e:
            if e.status in (400, 404):  # not started yet, or gone
                return None
            raise e.named(POD, pod) from None

    def through(self, service: str, port: int, path: str) -> bytes:
        """The answer of a Service of this namespace to a GET, through the API server."""
        at = f"{self.path(SERVICE, service)}:{port}/proxy/{path}"
        try:
            with self._api.open("GET", at) as answer:
                return bytes(answer.data)
        except Refused as e:
            raise e.named(SERVICE, service) from None

    def event(self, about: Object, *, reason: str, message: str, error: MmstError | None = None) -> None:
        """Leave an Event on an object, for `kubectl describe`; errors are ignored.

        With an `error` it is a warning, and carries the error as data.
        """
        meta, now = about["metadata"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        involved = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"], "uid": meta["uid"]}
        body = {
            "metadata": {
                "generateName": "mmst-",
                "namespace": self.namespace,
                "labels": dict(MANAGED),
                "annotations": {ERROR: json.dumps(error.to_data())} if error else {},
            },
            "involvedObject": {**involved, "namespace": self.namespace},
            "reason": reason,
            "message": message[:1000],
            "type": "Warning" if error else "Normal",
            "source": {"component": "mmst"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        with contextlib.suppress(ClusterError, SetupError, Refused):
            self._api.json("POST", self.path(EVENT), {"apiVersion": EVENT.api, "kind": EVENT.kind, **body})

    def warnings(self, name: str) -> str:
        """The complaints in the Events of an object."""
        events = self.list(EVENT, fields=f"involvedObject.name={name},type=Warning")
        return "; ".join(sorted({str(e.get("message", ""))[:300] for e in events}))

    def _pages(self, kind: Kind, labels: Mapping[str, str], fields: str) -> Iterator[Object]:
        more = ""
        while True:
            query = _selectors(labels, fields) | {"limit": PAGE} | ({"continue": more} if more else {})
            try:
                page = self._api.json("GET", self.path(kind), query=query)
            except Refused as e:
                raise e.named(kind, "") from None
            yield page
            more = page["metadata"].get("continue", "")
            if not more:
                return

    def _events(self, kind: Kind, labels: Mapping[str, str], fields: str, version: str) -> Iterator[Object]:
        """The changes since a version, for `TICK` seconds or until the connection is lost."""
        watch = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": TICK}
        try:
            with self._api.open("GET", self.path(kind), query=_selectors(labels, fields) | watch) as stream:
                held = b""
                for part in stream.stream(1 << 16):
                    *lines, held = (held + part).split(b"\n")
                    yield from (json.loads(line) for line in lines if line)
        except Refused as e:
            if e.status != 410:
                raise e.named(kind, "") from None
            yield {"type": "ERROR"}
        except (urllib3.exceptions.HTTPError, OSError):
            return  # the next call goes on from the last version

    def path(self, kind: Kind, name: str = "") -> str:
        """The path of objects of this kind, or of the one with this name."""
        return kind.path(self.namespace, name)


@contextlib.contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except Refused as e:
        if e.status != 404:
            raise ClusterError(f"Kubernetes refused a deletion: {e}") from None


def _selectors(labels: Mapping[str, str], fields: str) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if labels:
        query["labelSelector"] = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    if fields:
        query["fieldSelector"] = fields
    return query
