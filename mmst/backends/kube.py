"""A Kubernetes API server and one namespace in it: objects are plain dicts, as in YAML.

What every backend on a cluster needs and nothing more: get-or-create by name, so that whoever
comes again finds what was made before; watching that survives a lost connection and a forgotten
resource version (410); deleting only what carries the owner's labels. Trouble of the connection
is retried for `PATIENCE` seconds.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from mmst import metrics
from mmst.errors import ClusterError, SetupError

Object = dict[str, Any]

MANAGED = {"app.kubernetes.io/managed-by": "mmst"}
"""The label that everything made at run time carries."""
RUN, COMPONENT = "mmst.dev/run", "app.kubernetes.io/component"

PATIENCE = 60.0
PAGE = 500
TICK = 5
"""Seconds after which a quiet watch comes back, so that its reader can look at the clock."""
_AGAIN = {429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: `apiVersion`, `kind` and its name in paths."""

    api: str
    kind: str
    plural: str
    namespaced: bool = True


POD = Kind("v1", "Pod", "pods")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
EVENT = Kind("v1", "Event", "events")
SERVICE = Kind("v1", "Service", "services")
QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOB = Kind("batch/v1", "Job", "jobs")
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
PYTORCH_JOB = Kind("kubeflow.org/v1", "PyTorchJob", "pytorchjobs")
TRAIN_JOB = Kind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
INFERENCE_SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")


class Cluster:
    """The API server that this process may talk to, and a namespace in it.

    `calls` counts the requests made. Errors: `ClusterError` when a request is refused or the
    server cannot be reached; `SetupError` when what is needed is not installed or not permitted.

    >>> cluster = Cluster.connect("mmst")                                        # doctest: +SKIP
    >>> cluster.create(job)                                                      # doctest: +SKIP
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api, self.namespace, self.calls = api, namespace, 0

    @classmethod
    def connect(cls, namespace: str) -> Cluster:
        """The cluster around this pod, else the current context of $KUBECONFIG (~/.kube/config)."""
        try:
            from kubernetes import client, config
        except ImportError as e:
            raise SetupError(
                "the Kubernetes client is missing", why=str(e), remedy="pip install 'mmst[cluster]'"
            ) from None
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings)
            except (config.ConfigException, OSError, ValueError) as e:
                remedy = "set KUBECONFIG to a file for the cluster, or run inside it"
                raise SetupError("no Kubernetes cluster is configured here", why=str(e), remedy=remedy) from None
        settings.retries = False  # ours, with names
        return cls(client.ApiClient(settings), namespace)

    def beside(self, namespace: str) -> Cluster:
        """The same server with another namespace; calls are counted apart."""
        return Cluster(self._api, namespace)

    def version(self) -> str:
        """`v1.36.3`."""
        return str(self._json("GET", "/version")["gitVersion"])

    def has(self, kind: Kind) -> bool:
        """Whether the server knows this kind in this version."""
        group = f"/api/{kind.api}" if "/" not in kind.api else f"/apis/{kind.api}"
        try:
            return any(r["name"] == kind.plural for r in self._json("GET", group)["resources"])
        except _Refused as e:
            if e.status == 404:
                return False
            raise

    def create(self, kind: Kind, body: Object) -> tuple[Object, bool]:
        """Make an object, or adopt the one of this name; the object, and whether it was made now."""
        name = str(body["metadata"]["name"])
        whole = {"apiVersion": kind.api, "kind": kind.kind, **body}
        while True:
            try:
                return self._json("POST", self._path(kind), whole, query={"fieldValidation": "Strict"}), True
            except _Refused as e:
                if e.status != 409:
                    raise e.named(kind, name) from None
                if e.reason != "AlreadyExists":
                    raise e.named(kind, name) from None
            found = self.get(kind, name)
            if found is not None:
                return found, False

    def review(self, kind: Kind, spec: Object) -> Object:
        """What the server answers to a review, which is an object without a name."""
        return self._json("POST", self._path(kind), {"apiVersion": kind.api, "kind": kind.kind, "spec": spec})

    def get(self, kind: Kind, name: str) -> Object | None:
        """The object of this name; None when there is none."""
        try:
            return self._json("GET", self._path(kind, name))
        except _Refused as e:
            if e.status == 404 and (e.reason == "NotFound" and e.about(kind, name)):
                return None
            raise e.named(kind, name) from None

    def list(self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = "") -> Iterator[Object]:
        """All objects with these labels, a page of 500 at a time."""
        for page in self._pages(kind, labels or {}, fields):
            yield from page["items"]

    def replace(self, kind: Kind, body: Object) -> bool:
        """Compare-and-set: write an object that was read; False when another was faster."""
        name = str(body["metadata"]["name"])
        try:
            self._json("PUT", self._path(kind, name), {"apiVersion": kind.api, "kind": kind.kind, **body})
        except _Refused as e:
            if e.status == 409 or (e.status == 404 and e.about(kind, name)):
                return False
            raise e.named(kind, name) from None
        return True

    def patch(self, kind: Kind, name: str, change: Object) -> Object:
        """Merge a change into an object (JSON merge patch: None removes a key)."""
        try:
            return self._json("PATCH", self._path(kind, name), change, content="application/merge-patch+json")
        except _Refused as e:
            raise e.named(kind, name) from None

    def swap(self, kind: Kind, read: Object, change: Object) -> bool:
        """Compare-and-set: merge a change into an object that was read; False when it is another by now."""
        meta = read["metadata"]
        change = {**change, "metadata": {**change.get("metadata", {}), "resourceVersion": meta["resourceVersion"]}}
        path = self._path(kind, meta["name"])
        try:
            self._json("PATCH", path, change, content="application/merge-patch+json")
        except _Refused as e:
            if e.status == 409 or (e.status == 404 and e.about(kind, meta["name"])):
                return False
            raise e.named(kind, meta["name"]) from None
        return True

    def delete_at(self, kind: Kind, read: Object) -> bool:
        """Delete an object as it was read; False when it is another by now."""
        meta = read["metadata"]
        body = {"propagationPolicy": "Background", "preconditions": {"resourceVersion": meta["resourceVersion"]}}
        try:
            self._json("DELETE", self._path(kind, meta["name"]), body)
        except _Refused as e:
            if e.status in (404, 409):
                return e.status == 404
            raise e.named(kind, meta["name"]) from None
        return True

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object and what it owns; nothing happens when it is gone."""
        with _gone_already():
            self._json("DELETE", self._path(kind, name), {"propagationPolicy": "Background"})

    def delete_owned(self, kind: Kind, labels: Mapping[str, str]) -> int:
        """Delete everything of a kind that we made and that carries these labels; how many there were."""
        assert labels, "without labels it would be everybody's"
        names = [o["metadata"]["name"] for o in self.list(kind, {**MANAGED, **labels})]
        for name in names:
            self.delete(kind, name)
        return len(names)

    def follow(
        self, kind: Kind, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> Iterator[tuple[dict[str, Object], str]]:
        """What there is of a kind, by name, whenever it changes; with it the name that changed.

        The name is empty after `TICK` quiet seconds, and when all was read anew. The mapping is
        kept up to date in place. Endless; leave the loop to end it.
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
        """What a container wrote, up to `most` bytes (or its last `tail` lines); None when it is gone.

        `previous` asks for the container that ended before the last restart.
        """
        query: dict[str, Any] = {"limitBytes": most}
        query |= {"previous": "true"} if previous else {}
        query |= {"container": container} if container else {}
        query |= {"tailLines": tail} if tail else {}
        try:
            with self._open("GET", self._path(POD, pod) + "/log", query=query, seconds=300.0) as answer:
                return bytes(answer.data)
        except _Refused as e:
            if e.status in (400, 404):  # not started yet, or gone
                return None
            raise e.named(POD, pod) from None

    def through(self, service: str, port: int, path: str) -> bytes:
        """What a Service of this namespace answers to a GET, asked through the API server."""
        at = f"{self._path(SERVICE, service)}:{port}/proxy/{path}"
        try:
            with self._open("GET", at) as answer:
                return bytes(answer.data)
        except _Refused as e:
            raise e.named(SERVICE, service) from None

    def event(self, about: Object, *, reason: str, message: str, warning: bool = False) -> None:
        """Leave an Event on an object, which `kubectl describe` shows; trouble with that is nobody's."""
        meta, now = about["metadata"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        involved = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"], "uid": meta["uid"]}
        body = {
            "metadata": {"generateName": "mmst-", "namespace": self.namespace, "labels": dict(MANAGED)},
            "involvedObject": {**involved, "namespace": self.namespace},
            "reason": reason,
            "message": message[:1000],
            "type": "Warning" if warning else "Normal",
            "source": {"component": "mmst"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        with contextlib.suppress(ClusterError, SetupError, _Refused):
            self._json("POST", self._path(EVENT), {"apiVersion": EVENT.api, "kind": EVENT.kind, **body})

    def warnings(self, name: str) -> str:
        """What the Events of an object complain about."""
        events = self.list(EVENT, fields=f"involvedObject.name={name},type=Warning")
        return "; ".join(sorted({str(e.get("message", ""))[:300] for e in events}))

    def _pages(self, kind: Kind, labels: Mapping[str, str], fields: str) -> Iterator[Object]:
        more = ""
        while True:
            query = _selectors(labels, fields) | {"limit": PAGE} | ({"continue": more} if more else {})
            try:
                page = self._json("GET", self._path(kind), query=query)
            except _Refused as e:
                raise e.named(kind, "") from None
            yield page
            more = page["metadata"].get("continue", "")
            if not more:
                return

    def _events(self, kind: Kind, labels: Mapping[str, str], fields: str, version: str) -> Iterator[Object]:
        """The changes since a version, for `TICK` seconds or until the connection is lost."""
        watch = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": TICK}
        try:
            with self._open("GET", self._path(kind), query=_selectors(labels, fields) | watch) as stream:
                held = b""
                for part in stream.stream(1 << 16):
                    *lines, held = (held + part).split(b"\n")
                    yield from (json.loads(line) for line in lines if line)
        except _Refused as e:
            if e.status != 410:
                raise e.named(kind, "") from None
            yield {"type": "ERROR"}
        except (urllib3.exceptions.HTTPError, OSError):
            return  # the next call goes on from the last version

    def _path(self, kind: Kind, name: str = "") -> str:
        base = f"/api/{kind.api}" if "/" not in kind.api else f"/apis/{kind.api}"
        where = f"/namespaces/{quote(self.namespace)}" if kind.namespaced else ""
        return f"{base}{where}/{kind.plural}" + (f"/{quote(name)}" if name else "")

    def _json(
        self, method: str, path: str, body: Object | None = None, *, query: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Object:  # fmt: skip
        with self._open(method, path, body, query=query, content=content) as answer:
            found: Object = json.loads(answer.data)
            return found

    @contextlib.contextmanager
    def _open(
        self, method: str, path: str, body: Object | None = None, *, query: Mapping[str, Any] | None = None,
        content: str = "application/json", seconds: float = 30.0,
    ) -> Iterator[Any]:  # fmt: skip
        """An answer as a stream, after retries where trying again can help."""
        deadline, wait = time.monotonic() + PATIENCE, 0.2
        data = None if body is None else json.dumps(body)
        headers = {"Accept": "application/json", "Content-Type": content}
        self._api.update_params_for_auth(headers, [], ["BearerToken"])
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        while True:
            self.calls += 1
            try:
                answer = self._api.rest_client.pool_manager.request(
                    method, url, body=data, headers=headers, preload_content=False, retries=False,
                    timeout=urllib3.Timeout(connect=10.0, read=seconds),
                )  # fmt: skip
                if answer.status < 400:
                    break
                refused = _Refused(answer.status, answer.data)
                answer.release_conn()
                if refused.status not in _AGAIN:
                    raise refused
                trouble = str(refused)
            except (urllib3.exceptions.HTTPError, OSError) as e:
                trouble = f"{type(e).__name__}: {e}"
            metrics.retry("kubernetes", trouble)
            if time.monotonic() + wait > deadline:
                what = f"the Kubernetes API at {self._api.configuration.host} does not answer"
                raise ClusterError(f"{what} ({method} {path}): {trouble}")
            time.sleep(wait)
            wait = min(2 * wait, 5.0)
        try:
            yield answer
        finally:
            answer.close()


class _Refused(Exception):
    """The server's own words, by its `Status` object."""

    def __init__(self, status: int, body: bytes) -> None:
        try:
            said = json.loads(body)
        except ValueError:
            said = {}
        self.status = status
        self.reason = str(said.get("reason", ""))
        self.details = said.get("details") or {}
        super().__init__(str(said.get("message", ""))[:1000] or body[:300].decode("utf-8", "replace"))

    def about(self, kind: Kind, name: str) -> bool:
        """Whether the object itself is what is not there, rather than its kind or namespace."""
        return self.details.get("name") == name and self.details.get("kind") in (kind.plural, kind.kind)

    def named(self, kind: Kind, name: str) -> ClusterError | SetupError:
        """The error for people."""
        what = f"{kind.kind} {name}".strip()
        if self.status in (401, 403) and "exceeded quota" not in str(self):
            remedy = "see that the service account has the roles of the chart (helm/mmst/README.md lists them)"
            return SetupError(f"Kubernetes does not permit this for {what}", why=str(self), remedy=remedy)
        if self.status == 404 and not self.reason:
            remedy = f"install what brings {kind.api} (docs/cluster.md lists versions)"
            return SetupError(f"this cluster does not know {kind.kind} ({kind.api})", why=str(self), remedy=remedy)
        return ClusterError(f"Kubernetes refused {what}: {self}")


@contextlib.contextmanager
def _gone_already() -> Iterator[None]:
    try:
        yield
    except _Refused as e:
        if e.status != 404:
            raise ClusterError(f"Kubernetes refused a deletion: {e}") from None


def _selectors(labels: Mapping[str, str], fields: str) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if labels:
        query["labelSelector"] = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    if fields:
        query["fieldSelector"] = fields
    return query
