"""What each service account may do, asked of the server and tried on it; and that the README says why."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import pytest
import yaml

from tests.cluster.cluster import CHART, Cluster, Object, eventually, render, unique

pytestmark = pytest.mark.cluster

DEFAULT = CHART / "ci/default-values.yaml"


Right: TypeAlias = tuple[str, str, str]
"""(namespace, resource or resource/name or resource/subresource, verb)"""


@dataclass(frozen=True)
class Place:
    """An installed release's two namespaces."""

    release: str
    sandbox: str

    def of(self, where: str) -> str:
        return {"release": self.release, "sandbox": self.sandbox, "cluster": ""}[where]


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    made = [cluster.make_namespace(unique(f"mmst-{stem}")) for stem in ("release", "sandbox")]
    place = Place(*(str(o["metadata"]["name"]) for o in made))
    rendered = render(DEFAULT, "--set", f"sandbox.namespace={place.sandbox}", namespace=place.release)
    wanted = [o for o in rendered if o["kind"] in ("ServiceAccount", "ConfigMap") or "Role" in o["kind"]]
    cluster.create_all(wanted, namespace=place.release)
    first: Right = ("sandbox", "jobs.batch", "create")
    assert eventually(lambda: answers(cluster, place, "mmst-stage", [first])[first])
    yield place
    cluster.delete([*made, *(o for o in wanted if o["kind"].startswith("ClusterRole"))])


def user(place: Place, account: str) -> str:
    return f"--as=system:serviceaccount:{place.release}:{account}"


def answers(cluster: Cluster, place: Place, account: str, asked: list[Right]) -> dict[Right, bool]:
    """The server's own answers: may the account do this?"""
    reviews = []
    for where, resource, verb in asked:
        kind, _, name = resource.partition("/")
        plural, _, group = kind.partition(".")
        subresource = {"subresource": name} if name in ("log", "exec") else {"name": name} if name else {}
        about = {"namespace": place.of(where), "verb": verb, "group": group, "resource": plural, **subresource}
        spec = {"user": f"system:serviceaccount:{place.release}:{account}", "resourceAttributes": about}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    said = ("create", "--filename=-", '--output=jsonpath={.status.allowed}{"\\n"}')
    lines = cluster.kubectl(*said, text=yaml.safe_dump_all(reviews)).stdout.splitlines()
    return dict(zip(asked, (line == "true" for line in lines), strict=True))


READ = ("get", "list", "watch")
ALL = (*READ, "create", "patch", "delete")
ALLOWED: dict[str, list[Right]] = {
    "mmst-stage": [
        *(("release", "pytorchjobs.kubeflow.org", verb) for verb in ALL),
        *(("release", "trainjobs.trainer.kubeflow.org", verb) for verb in ALL),
        *(("release", "inferenceservices.serving.kserve.io", verb) for verb in ALL),
        *(("release", "pods", verb) for verb in READ),
        ("release", "pods/log", "get"),
        ("release", "events", "create"),
        ("release", "configmaps", "get"),
        ("release", "workflowtaskresults.argoproj.io", "create"),
        ("release", "secrets/mlpipeline-minio-artifact", "get"),
        *(("sandbox", "jobs.batch", verb) for verb in ALL),
        *(("sandbox", "configmaps", verb) for verb in ALL),
        *(("sandbox", "pods", verb) for verb in READ),
        ("sandbox", "pods/log", "get"),
        ("sandbox", "events", "list"),
    ],
    "mmst-trainer": [],
    "mmst-server": [],
    "mmst-retrain": [("release", "configmaps", verb) for verb in ("get", "create", "update", "patch")],
    "mmst-rollout": [
        *(("release", "inferenceservices.serving.kserve.io", verb) for verb in ALL if verb != "delete"),
        ("release", "inferenceservices.serving.kserve.io/champion-next", "delete"),
        ("release", "pods", "list"),
        ("release", "pods/log", "get"),
        ("release", "configmaps/mmst-settings", "get"),
    ],
    "mmst-preflight": [
        ("release", "configmaps/mmst-settings", "get"),
        *(("sandbox", "pods", verb) for verb in (*READ, "create", "delete")),
        ("sandbox", "pods/log", "get"),
        ("cluster", "runtimeclasses.node.k8s.io/gvisor", "get"),
        ("cluster", "deployments.apps", "list"),
    ],
}
REFUSED: dict[str, list[Right]] = {
    "mmst-stage": [
        ("release", "secrets", "get"),
        ("release", "secrets/mmst-s3", "get"),
        ("release", "pods", "create"),
        ("release", "pods/exec", "create"),
        ("release", "jobs.batch", "create"),
        ("release", "configmaps", "create"),
        ("release", "rolebindings.rbac.authorization.k8s.io", "create"),
        ("sandbox", "pods", "create"),
        ("sandbox", "pods/exec", "create"),
        ("sandbox", "secrets", "get"),
        ("sandbox", "networkpolicies.networking.k8s.io", "delete"),
        ("sandbox", "resourcequotas", "patch"),
    ],
    "mmst-trainer": [("release", "pods", "list"), ("release", "secrets", "get"), ("release", "configmaps", "get")],
    "mmst-server": [("release", "pods", "list"), ("release", "secrets", "get"), ("release", "configmaps", "get")],
    "mmst-retrain": [
        ("release", "configmaps", "delete"),
        ("release", "secrets", "get"),
        ("release", "jobs.batch", "create"),
        ("sandbox", "configmaps", "get"),
    ],
    "mmst-rollout": [
        ("release", "inferenceservices.serving.kserve.io", "delete"),
        ("release", "configmaps/other", "get"),
        ("release", "secrets", "get"),
        ("sandbox", "jobs.batch", "create"),
    ],
    "mmst-preflight": [
        ("release", "pods", "create"),
        ("release", "secrets", "get"),
        ("sandbox", "pods/exec", "create"),
        ("cluster", "deployments.apps", "create"),
        ("cluster", "runtimeclasses.node.k8s.io", "list"),
    ],
}


@pytest.mark.parametrize("account", ALLOWED)
def test_each_account_can_do_its_verbs_and_no_others(account: str, cluster: Cluster, place: Place) -> None:
    assert len(REFUSED[account]) >= 3
    expected = {**dict.fromkeys(ALLOWED[account], True), **dict.fromkeys(REFUSED[account], False)}
    assert answers(cluster, place, account, list(expected)) == expected


def test_the_rules_hold_no_verb_that_is_not_listed_here(place: Place) -> None:
    listed = {(account, where, resource, verb) for account in ALLOWED for where, resource, verb in ALLOWED[account]}
    pairs = {
        (account, where, re.sub(r"/(mmst|mlp|champion|gvisor).*", "", resource))
        for account, where, resource, _ in listed
    }
    written = {
        (account, where, resource + (f".{group}" if group else "")) for account, where, resource, _, group in rights()
    }
    assert written == pairs


def rights() -> set[tuple[str, str, str, str, str]]:
    """(account, namespace, resource, verb, API group) of every rule of the chart's roles."""
    found = set()
    for role in (o for o in render(DEFAULT) if o["kind"] in ("Role", "ClusterRole")):
        where = (
            "cluster" if role["kind"] == "ClusterRole" else "sandbox" if "namespace" in role["metadata"] else "release"
        )
        account = str(role["metadata"]["name"]).replace("mmst-checks", "mmst-stage")
        for rule in role["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    found.add((account, where, resource, verb, rule["apiGroups"][0]))
    return found


def test_the_readme_says_why_for_every_verb() -> None:
    text = (CHART / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(mmst-[a-z]+)` \| (release|sandbox|cluster) \| `([a-z/]+)`[^|]*\| ([a-z, ]+) \| (.+) \|$", text, re.M
    )
    told = {(account, where, what, verb) for account, where, what, verbs, _ in rows for verb in verbs.split(", ")}
    assert told == {(account, where, resource, verb) for account, where, resource, verb, _ in rights()}
    assert all(len(why) > 20 for *_, why in rows)


JOB: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "check"},
    "spec": {
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "runtimeClassName": "gvisor",
                "automountServiceAccountToken": False,
                "containers": [{"name": "check", "image": "mmst/checker"}],
            }
        }
    },
}
SERVICE: Object = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "sampler", "annotations": {"serving.kserve.io/deploymentMode": "Standard"}},
    "spec": {"predictor": {"minReplicas": 0, "containers": [{"name": "kserve-container", "image": "mmst/server"}]}},
}
MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "retrain-1"}, "data": {"run": ""}}
SECRET: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}


def test_a_stage_really_starts_watches_and_ends_a_check_job(cluster: Cluster, place: Place) -> None:
    as_stage = user(place, "mmst-stage")
    cluster.create(JOB, as_stage, namespace=place.sandbox)
    there = ("--namespace", place.sandbox, as_stage)
    assert "check" in cluster.kubectl("get", "jobs", *there).stdout
    cluster.kubectl("label", "job", "check", "seen=yes", *there)
    cluster.kubectl("delete", "job", "check", "--wait=false", *there)
    moved = copy.deepcopy(JOB)
    assert "forbidden" in cluster.create(moved, as_stage, namespace=place.release, check=False)


def test_a_rollout_really_moves_a_service_and_deletes_only_its_own(cluster: Cluster, place: Place) -> None:
    cluster.needs([SERVICE])
    as_rollout = user(place, "mmst-rollout")
    cluster.create(SERVICE, as_rollout, namespace=place.release)
    there = ("inferenceservice", "sampler", "--namespace", place.release, as_rollout)
    cluster.kubectl("patch", *there, "--type=merge", "--patch", '{"spec":{"predictor":{"minReplicas":1}}}')
    assert "forbidden" in cluster.kubectl("delete", *there, "--wait=false", check=False).stderr
    own = {**SERVICE, "metadata": {**SERVICE["metadata"], "name": "champion-next"}}
    cluster.create(own, as_rollout, namespace=place.release)
    cluster.kubectl(
        "delete", "inferenceservice", "champion-next", "--namespace", place.release, as_rollout, "--wait=false"
    )


def test_a_retrain_really_records_its_run_and_reads_no_secret(cluster: Cluster, place: Place) -> None:
    as_retrain = user(place, "mmst-retrain")
    cluster.create(SECRET, namespace=place.release)
    cluster.create(MAP, as_retrain, namespace=place.release)
    assert "AlreadyExists" in cluster.create(MAP, as_retrain, namespace=place.release, check=False)
    there = ("--namespace", place.release, as_retrain)
    cluster.kubectl("patch", "configmap", "retrain-1", *there, "--type=merge", "--patch", '{"data":{"run":"1"}}')
    assert "forbidden" in cluster.kubectl("get", "secret", "s", *there, check=False).stderr


@pytest.mark.parametrize("account", ["mmst-trainer", "mmst-server"])
def test_training_and_servers_really_see_nothing(account: str, cluster: Cluster, place: Place) -> None:
    for resource in ("pods", "configmaps", "secrets"):
        asked = ("get", resource, "--namespace", place.release, user(place, account))
        assert "forbidden" in cluster.kubectl(*asked, check=False).stderr


@pytest.mark.parametrize("account", ["mmst-trainer", "mmst-server"])
def test_training_and_servers_get_no_token(account: str, cluster: Cluster, place: Place) -> None:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": "c"}]},
    }
    volumes = cluster.create(pod, "--dry-run=server", namespace=place.release)["spec"].get("volumes", [])
    assert volumes == []
    pod["spec"]["serviceAccountName"] = "mmst-stage"
    assert cluster.create(pod, "--dry-run=server", namespace=place.release)["spec"]["volumes"]
