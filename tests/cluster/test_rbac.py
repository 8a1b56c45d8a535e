"""What each service account may do, asked of the server and tried on it; and that the README says why."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import pytest
import yaml

from mmst.core.config import ClusterConfig
from mmst.core.manifest import Manifest
from mmst.inference.providers.kserve_objects import inference_service, sampling_service
from mmst.kubernetes.kinds import INFERENCE_SERVICE
from mmst.training.providers import kubernetes_job_objects as train_objects
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
    sets = f"sandbox.namespace={place.sandbox},secrets={{mmst-s3}}"
    rendered = render(DEFAULT, "--set", sets, namespace=place.release)
    kinds = ("ServiceAccount", "ConfigMap", "Role", "Policy")
    wanted = [o for o in rendered if any(k in o["kind"] for k in kinds) and o["kind"] != "NetworkPolicy"]
    cluster.create_all(wanted, namespace=place.release)
    first: Right = ("sandbox", "jobs.batch", "create")
    assert eventually(lambda: answers(cluster, place, "mmst-stage", [first])[first])
    dry, as_retrain = "--dry-run=server", user(place, "mmst-retrain")
    other = {**MAP, "metadata": {"name": "other"}}
    assert eventually(
        lambda: "may write" in cluster.create(other, dry, as_retrain, namespace=place.release, check=False)
    )
    yield place
    cluster.delete([*made, *(o for o in wanted if o["kind"].startswith(("ClusterRole", "ValidatingAdmission")))])


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
HOOKS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
ALLOWED: dict[str, list[Right]] = {
    "mmst-stage": [
        *(("release", "pytorchjobs.kubeflow.org", verb) for verb in ALL),
        *(("release", "trainjobs.trainer.kubeflow.org", verb) for verb in ALL),
        *(("release", "inferenceservices.serving.kserve.io", verb) for verb in ALL),
        *(("release", "pods", verb) for verb in READ),
        ("release", "pods/log", "get"),
        ("release", "events", "create"),
        ("release", "events", "list"),
        ("release", "configmaps/mmst-settings", "get"),
        ("release", "configmaps/kfp-launcher", "get"),
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
    "mmst-retrain": [("release", "configmaps", verb) for verb in ("get", "create", "update")],
    "mmst-rollout": [
        ("release", "inferenceservices.serving.kserve.io", "create"),
        *(
            ("release", f"inferenceservices.serving.kserve.io/{name}", verb)
            for name in ("champion", "champion-next")
            for verb in (*READ, "patch")
        ),
        ("release", "pods", "list"),
        ("release", "pods/log", "get"),
        ("release", "configmaps/mmst-settings", "get"),
    ],
    "mmst-preflight": [
        ("release", "configmaps/mmst-settings", "get"),
        *(("sandbox", "pods", verb) for verb in (*READ, "create", "delete")),
        ("sandbox", "pods/log", "get"),
        ("cluster", "runtimeclasses.node.k8s.io/gvisor", "get"),
        ("cluster", "deployments.apps/kserve-controller-manager", "get"),
        ("cluster", f"{HOOKS}/inferenceservice.serving.kserve.io", "get"),
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
        ("release", "configmaps", "get"),
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
        ("release", "configmaps", "patch"),
        ("release", "secrets", "get"),
        ("release", "jobs.batch", "create"),
        ("sandbox", "configmaps", "get"),
    ],
    "mmst-rollout": [
        ("release", "inferenceservices.serving.kserve.io", "list"),
        ("release", "inferenceservices.serving.kserve.io/mmst-0123456789ab", "patch"),
        ("release", "inferenceservices.serving.kserve.io/champion", "delete"),
        ("release", "configmaps/other", "get"),
        ("release", "secrets", "get"),
        ("sandbox", "jobs.batch", "create"),
    ],
    "mmst-preflight": [
        ("release", "pods", "create"),
        ("release", "secrets", "get"),
        ("sandbox", "pods/exec", "create"),
        ("cluster", "deployments.apps", "list"),
        ("cluster", "deployments.apps/other", "get"),
        ("cluster", HOOKS, "list"),
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
        (account, where, re.sub(r"/(mmst|mlp|kfp|champion|gvisor|kserve|inferenceservice).*", "", resource))
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
RECORD = "retrain-0123456789ab"
MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD}, "data": {"run": ""}}
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


@pytest.fixture(scope="module")
def champion(cluster: Cluster, place: Place) -> Object:
    """The champion's service, as the rollout has made it."""
    made: Object = inference_service(
        "champion", CHECKPOINT, store="s3://b/runs", model="champion", dtype="float32", cluster=settings(place)
    )
    made = {"apiVersion": INFERENCE_SERVICE.api, "kind": INFERENCE_SERVICE.kind, **made}
    cluster.needs([made])
    cluster.create(made, user(place, "mmst-rollout"), namespace=place.release)
    return made


def settings(place: Place) -> ClusterConfig:
    return ClusterConfig(namespace=place.release, sandbox_namespace=place.sandbox, secrets=("mmst-s3",))


def named(o: Object, name: str) -> Object:
    return {**o, "metadata": {**o["metadata"], "name": name}}


def test_a_rollout_really_moves_its_services_and_no_others(cluster: Cluster, place: Place, champion: Object) -> None:
    as_rollout = user(place, "mmst-rollout")
    where = ("--namespace", place.release, as_rollout)
    cluster.create(named(champion, "champion-next"), as_rollout, namespace=place.release)
    change = ("--type=merge", "--patch", '{"spec":{"predictor":{"timeout":10}}}')
    cluster.kubectl("patch", "inferenceservice", "champion", *where, *change)
    listed = cluster.kubectl("get", "inferenceservice", "--field-selector=metadata.name=champion", *where)
    assert "champion" in listed.stdout  # as it follows one
    refused = cluster.create(named(champion, "mmst-0123456789ab"), as_rollout, namespace=place.release, check=False)
    assert "mmst-rollout may write ^champion(-next)?$ alone" in refused


@pytest.mark.parametrize("verb", [("delete", "--wait=false"), ("label", "seen=yes")], ids=["delete", "change"])
def test_a_stage_has_no_hand_on_the_champion(
    verb: tuple[str, str], cluster: Cluster, place: Place, champion: Object
) -> None:
    where = ("inferenceservice", "champion", "--namespace", place.release)
    done = cluster.kubectl(verb[0], *where, verb[1], user(place, "mmst-stage"), check=False)
    assert "mmst-stage may write" in done.stderr
    assert cluster.there({**champion, "metadata": {**champion["metadata"], "namespace": place.release}})


def test_a_stage_really_starts_shares_and_ends_its_own_server(cluster: Cluster, place: Place) -> None:
    made = server(place)
    cluster.needs([made])
    where, as_stage = ("--namespace", place.release), user(place, "mmst-stage")
    cluster.create(made, as_stage, namespace=place.release)
    name = str(made["metadata"]["name"])
    cluster.kubectl("label", "inferenceservice", name, "seen=yes", *where, as_stage)
    cluster.kubectl("delete", "inferenceservice", name, "--wait=false", *where, as_stage)


CHECKPOINT = Manifest(stage="train", key="842f4a72c0de", inputs={}, files=())


def server(place: Place) -> Object:
    body = sampling_service(CHECKPOINT, store="s3://b/runs", dtype="float32", cluster=settings(place), run="run")
    return {"apiVersion": INFERENCE_SERVICE.api, "kind": INFERENCE_SERVICE.kind, **body}


def training(form: str, place: Place) -> Object:
    kind = train_objects.KINDS[form]
    body = train_objects.job(form, "train-0123456789abcdef", "/mnt/mmst/spec.json", settings(place), 1, "run")
    return {"apiVersion": kind.api, "kind": kind.kind, **body}


def pod_of(o: Object) -> Object:
    """The part of an object that is its pod's."""
    spec: Object = o["spec"]
    if o["kind"] == "PyTorchJob":
        pod: Object = spec["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    elif o["kind"] == "TrainJob":
        patch = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]
        pod = patch["template"]["spec"]["template"]["spec"]
    else:
        pod = spec["predictor"]
    return pod


ANY_SECRET: Object = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "mmst-hub", "key": "k"}}}
MORE: dict[str, Callable[[Object], object]] = {
    "as itself": lambda pod: pod.update(serviceAccountName="mmst-stage"),
    "as nobody in particular": lambda pod: pod.pop("serviceAccountName"),
    "a Secret as variable": lambda pod: pod["containers"][0]["env"].append(ANY_SECRET),
    "a Secret as volume": lambda pod: pod["volumes"].append({"name": "s", "secret": {"secretName": "mmst-hub"}}),
    "a token as volume": lambda pod: pod["volumes"].append(
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    ),
    "a folder of the node": lambda pod: pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
    "a container before it": lambda pod: pod.update(initContainers=[{"name": "i", "env": [ANY_SECRET]}]),
    "another Secret as environment": lambda pod: pod["containers"][0].update(
        envFrom=[{"secretRef": {"name": "mmst-hub"}}]
    ),
    "the node's network": lambda pod: pod.update(hostNetwork=True),
}
ONLY_IN: dict[str, tuple[str, ...]] = {
    "another Secret as environment": ("PyTorchJob", "InferenceService"),
    "the node's network": ("PyTorchJob", "InferenceService"),
}
"""A patch of a TrainJob's pods has no such fields."""
FORMS: dict[str, Callable[[Place], Object]] = {
    "PyTorchJob": lambda place: training("pytorchjob", place),
    "TrainJob": lambda place: training("trainjob", place),
    "InferenceService": server,
}


@pytest.mark.parametrize("kind", FORMS)
def test_what_a_stage_starts_is_let_in(kind: str, cluster: Cluster, place: Place) -> None:
    made = FORMS[kind](place)
    cluster.needs([made])
    cluster.create(made, user(place, "mmst-stage"), "--dry-run=server", namespace=place.release)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for n in MORE for k in FORMS if k in ONLY_IN.get(n, tuple(FORMS))], ids=lambda part: part
)
def test_a_stage_starts_no_pod_with_more_than_its_account_s_rights(
    kind: str, name: str, cluster: Cluster, place: Place
) -> None:
    made = FORMS[kind](place)
    cluster.needs([made])
    MORE[name](pod_of(made))
    refused = cluster.create(made, user(place, "mmst-stage"), "--dry-run=server", namespace=place.release, check=False)
    assert "denied request" in refused
    assert "hold mmst-server" in refused if kind == "InferenceService" else "hold mmst-trainer" in refused
    cluster.create(made, "--dry-run=server", namespace=place.release)  # the server itself would take it


def test_a_stage_writes_only_what_it_would_name_so(cluster: Cluster, place: Place) -> None:
    for form in train_objects.KINDS:
        made = named(training(form, place), "somebody-elses")
        cluster.needs([made])
        refused = cluster.create(
            made, user(place, "mmst-stage"), "--dry-run=server", namespace=place.release, check=False
        )
        assert "mmst-stage may write" in refused


def test_a_retrain_has_no_hand_on_the_settings(cluster: Cluster, place: Place) -> None:
    where = ("--namespace", place.release)
    read = cluster.kubectl("get", "configmap", "mmst-settings", *where, "--output=json").stdout
    mine = json.dumps({**json.loads(read), "data": {"settings.yaml": "out: s3://elsewhere"}})
    refused = cluster.kubectl("replace", "--filename=-", *where, user(place, "mmst-retrain"), text=mine, check=False)
    assert "mmst-retrain may write" in refused.stderr
    assert cluster.kubectl("get", "configmap", "mmst-settings", *where, "--output=json").stdout == read


def test_a_retrain_really_records_its_run_and_reads_no_secret(cluster: Cluster, place: Place) -> None:
    as_retrain = user(place, "mmst-retrain")
    cluster.create(SECRET, namespace=place.release)
    cluster.create(MAP, as_retrain, namespace=place.release)
    assert "AlreadyExists" in cluster.create(MAP, as_retrain, namespace=place.release, check=False)
    there = ("--namespace", place.release, as_retrain)
    cluster.kubectl("replace", "--filename=-", *there, text=json.dumps({**MAP, "data": {"run": "1"}}))
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
