"""Requests to a Kubernetes API server: authenticated, tried again where that can help, refused with its own words.

The official client brings configuration, credentials and the pool of connections. Trying again is ours. Its
`retries` are urllib3's: these count tries, where a run needs a time (`PATIENCE`) in which an API server can restart;
they tell neither log nor metrics; and they end in `MaxRetryError`, which has lost the `Status` object that says why
the server refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from json import dumps, loads
from typing import Any
from urllib.parse import urlencode

import urllib3

from mmst.core import metrics
from mmst.core.errors import ClusterError, SetupError
from mmst.core.extras import needed
from mmst.kubernetes.kinds import Kind, Object

PATIENCE = 60.0
"""Seconds for which connection problems are retried."""
_AGAIN = {429, 500, 502, 503, 504}


class Api:
    """An API server. `calls` counts the requests."""

    def __init__(self, client: Any) -> None:
        self.client, self.calls = client, 0

    @classmethod
    def connect(cls) -> Api:
        """The cluster around this pod, else the current context of $KUBECONFIG (~/.kube/config)."""
        with needed("cluster", "the Kubernetes client is not installed"):
            from kubernetes import client, config
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings)
            except (config.ConfigException, OSError, ValueError) as e:
                remedy = "set KUBECONFIG to a file for the cluster, or run this in the cluster"
                raise SetupError("no Kubernetes cluster is configured here", why=str(e), remedy=remedy) from None
        settings.retries = False  # ours, with names
        return cls(client.ApiClient(settings))

    def json(
        self, method: str, path: str, body: Object | None = None, *, query: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> Object:  # fmt: skip
        """A whole answer. `Refused` if the server refuses, `ClusterError` if it cannot be reached."""
        with self.open(method, path, body, query=query, content=content) as answer:
            found: Object = loads(answer.data)
            return found

    @contextlib.contextmanager
    def open(
        self, method: str, path: str, body: Object | None = None, *, query: Mapping[str, Any] | None = None,
        content: str = "application/json", seconds: float = 30.0,
    ) -> Iterator[Any]:  # fmt: skip
        """An answer as a stream, after retries if they can help."""
        deadline, wait = time.monotonic() + PATIENCE, 0.2
        data = None if body is None else dumps(body)
        headers = {"Accept": "application/json", "Content-Type": content}
        self.client.update_params_for_auth(headers, [], ["BearerToken"])
        url = f"{self.client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        while True:
            self.calls += 1
            try:
                answer = self.client.rest_client.pool_manager.request(
                    method, url, body=data, headers=headers, preload_content=False, retries=False,
                    timeout=urllib3.Timeout(connect=10.0, read=seconds),
                )  # fmt: skip
                if answer.status < 400:
                    break
                refused = Refused(answer.status, answer.data)
                answer.release_conn()
                if refused.status not in _AGAIN:
                    raise refused
                trouble = str(refused)
            except (urllib3.exceptions.HTTPError, OSError) as e:
                trouble = f"{type(e).__name__}: {e}"
            metrics.retry("kubernetes", trouble)
            if time.monotonic() + wait > deadline:
                what = f"the Kubernetes API at {self.client.configuration.host} does not answer"
                raise ClusterError(f"{what} ({method} {path}): {trouble}")
            time.sleep(wait)
            wait = min(2 * wait, 5.0)
        try:
            yield answer
        finally:
            answer.close()


class Refused(Exception):
    """The server's own message, from its `Status` object."""

    def __init__(self, status: int, body: bytes) -> None:
        try:
            said = loads(body)
        except ValueError:
            said = {}
        self.status = status
        self.reason = str(said.get("reason", ""))
        self.details = said.get("details") or {}
        super().__init__(str(said.get("message", ""))[:1000] or body[:300].decode("utf-8", "replace"))

    def about(self, kind: Kind, name: str) -> bool:
        """Whether the object itself is missing, not its kind or namespace."""
        return self.details.get("name") == name and self.details.get("kind") in (kind.plural, kind.kind)

    def named(self, kind: Kind, name: str) -> ClusterError | SetupError:
        """The error for people."""
        what = f"{kind.kind} {name}".strip()
        if self.status in (401, 403) and "exceeded quota" not in str(self):
            remedy = "check that the service account has the roles of the chart (helm/mmst/README.md lists them)"
            return SetupError(f"Kubernetes does not permit this for {what}", why=str(self), remedy=remedy)
        if self.status == 404 and not self.reason:
            remedy = f"install the component that provides {kind.api} (docs/cluster.md lists versions)"
            return SetupError(f"this cluster does not know {kind.kind} ({kind.api})", why=str(self), remedy=remedy)
        return ClusterError(f"Kubernetes refused {what}: {self}")
