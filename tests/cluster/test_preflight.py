"""`mmst preflight` against a real API server: what it finds, and that its probes are gone afterwards.

Without a node nothing starts; that is a finding, and never "gVisor is there".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmst.cli import app
from mmst.cli.options import released
from mmst.core.config import Config
from mmst.core.diagnostic import Diagnostic
from mmst.kubernetes import probes
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import POD, QUOTA, RUNTIME_CLASS, Kind, Object
from mmst.preflight.cluster import examine
from tests.cluster.cluster import eventually, objects
from tests.cluster.release import ACCOUNT, NAMESPACE, release

pytestmark = pytest.mark.cluster

ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
POLICY = Kind(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
POLICY_BINDING = Kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")


@pytest.fixture
def here() -> Iterator[Cluster]:
    images = {f"{name}_image": "no.such/image:1" for name in ("pipeline", "trainer", "server", "checker")}
    with release(sampling={"backend": "kserve"}, train={"launcher": "pytorchjob"}, cluster=images) as cluster:
        yield cluster


@pytest.fixture
def config(here: Cluster) -> Config:
    return released(here.namespace)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PATIENCE", 3.0)


def by_name(findings: Iterator[Diagnostic]) -> dict[str, Diagnostic]:
    return {f.what: f for f in findings}


def test_the_server_s_version_and_kinds_are_found(config: Config) -> None:
    found = by_name(examine(config, ["api"]))
    assert found["Kubernetes"].ok
    assert found["Job (batch/v1)"].ok
    needed = {name for name, f in found.items() if f.needed}
    assert {"PyTorchJob (kubeflow.org/v1)", "InferenceService (serving.kserve.io/v1beta1)"} <= needed
    assert "TrainJob (trainer.kubeflow.org/v1alpha1)" not in needed


def grant(where: Cluster, account: str, rules: list[Object]) -> None:
    where.create(ROLE, {"metadata": {"name": "stages"}, "rules": rules})
    group = "rbac.authorization.k8s.io"
    where.create(
        BINDING,
        {
            "metadata": {"name": "stages"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "stages"},
            "subjects": [{"kind": "ServiceAccount", "name": "mmst-stage", "namespace": account}],
        },
    )


def test_what_the_stages_account_may_not_do_is_named_until_it_may(here: Cluster, config: Config) -> None:
    sandbox = config.cluster.sandbox_namespace
    before = by_name(examine(config, ["permissions"]))[f"permissions in {sandbox}"]
    assert not before.ok
    assert "mmst-stage may not: get jobs, list jobs" in before.found
    everything: list[Object] = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    grant(here.beside(sandbox), here.namespace, everything)
    for _ in range(50):  # the server's own view of roles is a moment old
        after = by_name(examine(config, ["permissions"]))
        if after[f"permissions in {sandbox}"].ok:
            break
    assert after[f"permissions in {sandbox}"].ok
    assert not after[f"permissions in {here.namespace}"].ok


def test_a_quota_below_the_plan_is_named_with_its_numbers(here: Cluster, config: Config) -> None:
    sandbox = here.beside(config.cluster.sandbox_namespace)
    assert by_name(examine(config, ["quota"]))[f"quota in {sandbox.namespace}"].ok
    sandbox.create(QUOTA, {"metadata": {"name": "q"}, "spec": {"hard": {"limits.cpu": "2", "pods": "100"}}})
    found = by_name(examine(config, ["quota"]))[f"quota in {sandbox.namespace}"]
    assert (found.ok, found.found) == (False, "limits.cpu: 4 wanted, 2 allowed")


@pytest.fixture
def runtime_class(here: Cluster) -> Iterator[str]:
    name = f"{here.namespace}-gvisor"
    here.create(RUNTIME_CLASS, {"metadata": {"name": name}, "handler": "runsc"})
    yield name
    here.delete(RUNTIME_CLASS, name)


def test_without_its_runtime_class_gvisor_is_not_there(here: Cluster) -> None:
    config = released(here.namespace, ["cluster.runtime_class=no-such-class"])
    (found,) = examine(config, ["gvisor"])
    assert not found.ok
    assert found.needed
    assert "no RuntimeClass no-such-class" in found.found


def test_a_probe_that_never_starts_is_no_gvisor_and_is_deleted(here: Cluster, runtime_class: str) -> None:
    config = released(here.namespace, [f"cluster.runtime_class={runtime_class}"])
    (found,) = examine(config, ["gvisor"])
    assert not found.ok
    assert "Starting gVisor" not in found.found
    assert staying(here.beside(config.cluster.sandbox_namespace)) == []


def staying(where: Cluster) -> list[str]:
    """The pods that nobody has deleted."""
    return [p["metadata"]["name"] for p in where.list(POD) if "deletionTimestamp" not in p["metadata"]]


@pytest.fixture
def guarded(here: Cluster, runtime_class: str, repo_root: Path) -> Iterator[Config]:
    """The admission policy under a name of its own, for namespaces with the label `walled`: NAME, and for none yet."""
    config = released(here.namespace, [f"cluster.runtime_class={runtime_class}"])
    name = config.cluster.sandbox_namespace
    text = (repo_root / "manifests/base/sandbox-admission.yaml").read_text(encoding="utf-8")
    policy, binding, *_ = objects(text.replace("== 'gvisor'", f"== '{runtime_class}'"))
    binding["spec"].update(policyName=name, matchResources={"namespaceSelector": {"matchLabels": {"walled": name}}})
    for kind, o in ((POLICY, policy), (POLICY_BINDING, binding)):
        here.create(kind, {"metadata": {"name": name}, "spec": o["spec"]})
    yield config
    for kind in (POLICY_BINDING, POLICY):
        here.delete(kind, name)


def test_a_namespace_without_its_label_has_no_wall_and_that_is_said(here: Cluster, guarded: Config) -> None:
    sandbox, every = guarded.cluster.sandbox_namespace, probes.breaches(probes.sandbox_probe(guarded, []))
    (found,) = examine(guarded, ["walls"])
    assert not found.ok
    assert found.needed
    assert found.found == f"{sandbox} lets in pods {', '.join(every)}"
    assert f"kubectl label namespace {sandbox} mmst.dev/sandbox=true" in found.remedy
    here.patch(NAMESPACE, sandbox, {"metadata": {"labels": {"walled": sandbox}}})
    assert eventually(lambda: all(f.ok for f in examine(guarded, ["walls"])))
    (found,) = examine(guarded, ["walls"])
    assert found.found == f"{sandbox} refuses pods {', '.join(every)}"
    assert staying(here.beside(sandbox)) == []


def test_a_namespace_that_takes_no_pod_proves_no_wall(here: Cluster, guarded: Config) -> None:
    here.beside(guarded.cluster.sandbox_namespace).delete(ACCOUNT, "default")
    (found,) = examine(guarded, ["walls"])
    assert not found.ok
    assert "takes no pod at all" in found.found
    assert "serviceaccount" in found.found


def test_images_that_cannot_be_pulled_are_named_and_no_probe_is_left(
    here: Cluster, config: Config, runtime_class: str
) -> None:
    config = released(here.namespace, [f"cluster.runtime_class={runtime_class}"])
    found = by_name(examine(config, ["images"]))
    assert set(found) == {"pipeline image", "trainer image", "server image", "checker image"}
    for finding in found.values():
        assert not finding.ok
        assert finding.found
    assert staying(here) == []
    assert staying(here.beside(config.cluster.sandbox_namespace)) == []


def test_an_mlflow_without_a_service_is_a_finding(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = examine(config, ["mlflow"])
    assert not found.ok


def test_the_command_ends_with_3_and_prints_every_finding(
    here: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    arguments = ["preflight", "--cluster", here.namespace, "--recipe", "demo", "--only", "api,quota,mlflow"]
    assert app.main([*arguments, "--json"]) == 3
    captured = capsys.readouterr()
    findings = json.loads(captured.out)
    assert {f["what"]: f["ok"] for f in findings}["Kubernetes"]
    assert "mlflow" in captured.err.lower()
    assert app.main(["preflight", "--cluster", here.namespace, "--only", "api"]) == 0


def test_a_namespace_without_a_release_says_how_to_install_one(
    capsys: pytest.CaptureFixture[str], here: Cluster
) -> None:
    assert app.main(["preflight", "--cluster", f"{here.namespace}-sandbox"]) == 3
    assert "helm install" in capsys.readouterr().err
