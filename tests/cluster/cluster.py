"""A Kubernetes cluster as the tests use it: kubectl, helm, namespaces of their own."""

from __future__ import annotations

import functools
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/mmst"
SCENARIOS = sorted((CHART / "ci").glob("*-values.yaml"))
OVERLAYS = sorted(path.parent for path in (ROOT / "manifests/overlays").glob("*/kustomization.yaml"))

Object: TypeAlias = dict[str, Any]


def run(*command: str | Path, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """A finished command; a failed one is an `AssertionError` with what it said, unless `check` is off.

    A test whose program is missing is listed as not run.
    """
    if not shutil.which(str(command[0])):
        pytest.skip(f"{command[0]} is missing")
    done = subprocess.run([str(part) for part in command], input=text, capture_output=True, text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")
    return done


def objects(text: str) -> list[Object]:
    """The objects of a YAML stream."""
    return [document for document in yaml.safe_load_all(text) if document]


@functools.cache
def render(values: Path | None = None, *arguments: str, namespace: str = "mmst", check: bool = True) -> Any:
    """`helm template` without a cluster: its objects, or with `check` off what it printed on its way down."""
    files = ["--values", str(values)] if values else []
    where = ["--namespace", namespace, "--set", "requireCRDs=false"]
    done = run("helm", "template", "mmst", CHART, *where, *files, *arguments, check=check)
    return objects(done.stdout) if check else done.stderr


@functools.cache
def overlay(path: Path) -> list[Object]:
    """What kustomize builds of an overlay."""
    return objects(run("kubectl", "kustomize", path).stdout)


NAMES = '--output=jsonpath={range .items[*]}{.apiVersion}{" "}{.kind}{" "}{.metadata.name}{"\\n"}{end}'


class Cluster:
    """The cluster that KUBECONFIG names."""

    def kubectl(self, *arguments: str | Path, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return run("kubectl", *arguments, text=text, check=check)

    @functools.cached_property
    def kinds(self) -> dict[tuple[str, str], bool]:
        """(apiVersion, kind) of all that the server knows, and whether it lies in a namespace."""
        table = self.kubectl("api-resources", "--no-headers").stdout.splitlines()
        return {(row[-3], row[-1]): row[-2] == "true" for row in map(str.split, table)}

    def needs(self, wanted: Iterable[Object]) -> None:
        """The test is listed as not run when the server lacks a kind."""
        missing = sorted({f"{o['apiVersion']} {o['kind']}" for o in wanted if not self.knows(o)})
        if missing:
            pytest.skip(f"the cluster does not know {', '.join(missing)}")

    def knows(self, wanted: Object) -> bool:
        return (wanted["apiVersion"], wanted["kind"]) in self.kinds

    def has_controllers(self) -> bool:
        """Whether a controller-manager is there; an API server alone deletes no namespace and counts no quota."""
        made = self.kubectl("get", "configmap", "kube-root-ca.crt", "--namespace", "default", check=False)
        return made.returncode == 0

    def create(self, wanted: Object, *arguments: str, namespace: str = "", check: bool = True) -> Any:
        """Create one object under strict validation: the object as it is now, or with `check` off the refusal."""
        if namespace and self.kinds[wanted["apiVersion"], wanted["kind"]]:
            wanted = {**wanted, "metadata": {"namespace": namespace, **wanted["metadata"]}}
        command = ["create", "--validate=strict", "--output=json", "--filename=-", *arguments]
        done = self.kubectl(*command, text=json.dumps(wanted), check=check)
        return json.loads(done.stdout) if check else done.stderr

    def create_all(self, wanted: Iterable[Object], namespace: str) -> None:
        """Create objects in order by server-side apply, which is strict about fields."""
        placed = []
        for o in wanted:
            into = {"namespace": namespace} if self.kinds[o["apiVersion"], o["kind"]] else {}
            placed.append({**o, "metadata": {**into, **o["metadata"]}})
        text = yaml.safe_dump_all(placed)
        said = self.kubectl("apply", "--server-side", "--validate=strict", "--filename=-", text=text).stdout
        assert len(said.splitlines()) == len(placed)

    def make_namespace(self, name: str, labels: dict[str, str] | None = None) -> Object:
        """A namespace with its default service account, which an API server alone does not make."""
        made: Object = self.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}
        )
        self.kubectl("create", "serviceaccount", "default", "--namespace", name, check=False)
        return made

    def there(self, wanted: Object) -> Object | None:
        """An object as it is now, if it is there."""
        kind = f"{wanted['kind']}.{wanted['apiVersion'].rpartition('/')[0]}".rstrip(".")
        where = ("--namespace", wanted["metadata"].get("namespace", "default"))
        shown = self.kubectl("get", kind, wanted["metadata"]["name"], *where, "--output=json", check=False).stdout
        found: Object | None = json.loads(shown) if shown else None
        return found

    def delete(self, gone: Iterable[Object]) -> None:
        """Delete objects, not waiting for their ends; namespaces also where no controller ends them."""
        gone = list(gone)
        self.kubectl(
            "delete", "--ignore-not-found", "--wait=false", "--filename=-", text=yaml.safe_dump_all(gone), check=False
        )
        if self.has_controllers():
            return
        for name in (o["metadata"]["name"] for o in gone if o["kind"] == "Namespace"):
            end = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
            path = f"/api/v1/namespaces/{name}/finalize"
            self.kubectl("replace", "--raw", path, "--filename=-", text=json.dumps(end), check=False)

    @functools.cache  # noqa: B019 - one cluster a session
    def resources(self, namespaced: bool) -> str:
        """All resources that can be listed, in namespaces or outside, but for events."""
        scope = f"--namespaced={str(namespaced).lower()}"
        names = self.kubectl("api-resources", scope, "--verbs=list", "--output=name").stdout.split()
        return ",".join(name for name in names if not name.startswith("events"))

    def listed(self, namespace: str) -> set[str]:
        """Every object in a namespace as `apiVersion kind name`, but for what Kubernetes itself keeps there."""
        shown = self.kubectl("get", self.resources(True), "--namespace", namespace, NAMES).stdout
        own = ("ConfigMap kube-root-ca.crt", "ServiceAccount default")
        return {line for line in shown.splitlines() if not line.endswith(own)}

    def listed_outside(self, prefix: str) -> set[str]:
        """Every object outside of namespaces whose name begins like this, but for the namespace of this name."""
        shown = self.kubectl("get", self.resources(False), NAMES).stdout.splitlines()
        return {line for line in shown if line.split()[-1].startswith(f"{prefix}-")}


def hold(cluster: Cluster, quota: Object) -> None:
    """Have a new quota count; without a controller-manager nobody else says what it starts with."""
    if not cluster.has_controllers():
        start = {"hard": quota["spec"]["hard"], "used": dict.fromkeys(quota["spec"]["hard"], "0")}
        change = ("--subresource=status", "--type=merge", "--patch", json.dumps({"status": start}))
        where = ("--namespace", quota["metadata"]["namespace"])
        cluster.kubectl("patch", "resourcequota", quota["metadata"]["name"], *where, *change)
    assert eventually(lambda: "hard" in (cluster.there(quota) or {}).get("status", {}))


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def unique(stem: str) -> str:
    """A name that no other test run has."""
    return f"{stem}-{secrets.token_hex(3)}"
