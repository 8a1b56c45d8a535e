"""A release on the server: installed, upgraded, rolled back, removed; what it grants, and that its quota holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mmst.cli.options import released
from mmst.preflight.cluster import examine
from tests.cluster.cluster import CHART, Cluster, Object, eventually, hold, render, run
from tests.cluster.conftest import MakeNamespace
from tests.cluster.test_chart import DEFAULT, RETRAIN, of

pytestmark = pytest.mark.cluster


class Release:
    """One installed release, in namespaces of its own."""

    def __init__(self, cluster: Cluster, make_namespace: MakeNamespace) -> None:
        self.cluster = cluster
        self.namespace, self.sandbox = make_namespace("release"), make_namespace("sandbox")

    def helm(self, verb: str, *arguments: str | Path) -> str:
        return run("helm", verb, "mmst", *arguments, "--namespace", self.namespace).stdout

    def put(self, verb: str, *arguments: str | Path) -> None:
        sandbox = ("--set", f"sandbox.namespace={self.sandbox}")
        self.helm(verb, CHART, *arguments, *sandbox, "--set", "requireCRDs=false")

    def listed(self) -> set[str]:
        """What is in both namespaces and of this release outside of any, but for Helm's own records."""
        if not self.cluster.has_controllers():
            self.let_claims_go()
        here = {line for line in self.cluster.listed(self.namespace) if "sh.helm.release" not in line}
        return here | self.cluster.listed(self.sandbox) | self.cluster.listed_outside(self.namespace)

    def let_claims_go(self) -> None:
        """Take the mark off deleted claims that says they may be in use, as a controller does."""
        where = ("--namespace", self.namespace)
        claims = json.loads(self.cluster.kubectl("get", "pvc", *where, "--output=json").stdout)["items"]
        for name in (c["metadata"]["name"] for c in claims if "deletionTimestamp" in c["metadata"]):
            free = ("--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
            self.cluster.kubectl("patch", "pvc", name, *where, *free)

    def checkers(self) -> int:
        read = ("get", "configmap", "mmst-settings", "--namespace", self.namespace, "--output=json")
        text = json.loads(self.cluster.kubectl(*read).stdout)["data"]["settings.yaml"]
        return int(yaml.safe_load(text)["cluster"]["checkers"])


def test_an_installed_release_gives_stages_the_rights_that_preflight_asks_for(release: Release) -> None:
    release.put("install", "--values", DEFAULT)
    findings = list(examine(released(release.namespace), ["permissions"]))
    assert len(findings) == 2
    assert [f.found for f in findings if not f.ok] == []
    assert all("mmst-stage" in f.found for f in findings)


@pytest.fixture
def release(cluster: Cluster, make_namespace: MakeNamespace) -> Release:
    return Release(cluster, make_namespace)


def test_install_upgrade_roll_back_uninstall_leave_nothing(release: Release) -> None:
    before = release.listed()
    release.put("install", "--values", DEFAULT)
    first = release.listed()
    assert release.checkers() == 4
    assert "v1 PersistentVolumeClaim mmst-scratch" in first - before
    less = "sandbox.checkers=2,scratch.enabled=false,training.launcher=local"
    release.put("upgrade", "--values", CHART / "ci/mlflow-in-chart-values.yaml", "--set", less)
    assert release.checkers() == 2
    assert {"apps/v1 Deployment mmst-mlflow", "apps/v1 Deployment mmst-rollout"} <= release.listed() - first
    assert eventually(lambda: "v1 PersistentVolumeClaim mmst-scratch" not in release.listed())
    release.helm("rollback", "1")
    assert release.checkers() == 4
    assert eventually(lambda: release.listed() >= first)
    assert "apps/v1 Deployment mmst-mlflow" not in release.listed()
    release.helm("uninstall")
    assert eventually(lambda: release.listed() == before, seconds=60), release.listed() - before
    assert "sh.helm.release" not in "".join(release.cluster.listed(release.namespace))


def test_an_upgrade_with_another_recipe_makes_a_job_beside_the_earlier_and_one_without_makes_none(
    release: Release,
) -> None:
    release.put("install", "--values", RETRAIN)
    [first] = [line for line in release.listed() if " Job " in line]
    release.put("upgrade", "--values", RETRAIN, "--set", "sandbox.checkers=2")
    assert first in release.listed()
    release.put("upgrade", "--values", RETRAIN, "--set", "retrain.set.loop\\.rounds=3")
    assert len([line for line in release.listed() if " Job " in line]) == 2
    assert first in release.listed()  # it may be at work
    release.helm("rollback", "1")
    assert len([line for line in release.listed() if " Job " in line]) == 2


def test_two_releases_of_one_cluster_do_not_meet(cluster: Cluster, make_namespace: MakeNamespace) -> None:
    one, other = Release(cluster, make_namespace), Release(cluster, make_namespace)
    other.sandbox = one.sandbox
    one.put("install", "--values", DEFAULT)
    other.put("install", "--values", DEFAULT)
    other.helm("uninstall")
    assert f"rbac.authorization.k8s.io/v1 RoleBinding {one.namespace}-checks" in one.listed()


def test_the_quota_of_the_sandbox_namespace_holds(cluster: Cluster, make_namespace: MakeNamespace) -> None:
    release, sandbox = make_namespace("release"), make_namespace("sandbox")
    tight = "sandbox.checkers=1,sandbox.quota.pods=1"
    rendered = render(DEFAULT, "--set", f"sandbox.namespace={sandbox},{tight}", namespace=release)
    quota, limits = of("ResourceQuota", rendered) + of("LimitRange", rendered)
    cluster.create_all([quota, limits], namespace=sandbox)
    hold(cluster, {**quota, "metadata": {**quota["metadata"], "namespace": sandbox}})
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "check-"},
        "spec": {"containers": [{"name": "check", "image": "mmst/checker"}]},
    }
    made = cluster.create(pod, namespace=sandbox)
    assert made["spec"]["containers"][0]["resources"]["limits"] == {
        "cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi",
    }  # fmt: skip
    assert "exceeded quota" in cluster.create(pod, namespace=sandbox, check=False)
