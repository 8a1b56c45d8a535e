"""The chart: what it renders is created on the server; wrong values are refused by name."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import mmst
from mmst.cli.app import app
from mmst.core import config
from mmst.core.errors import UserError
from tests.cluster.cluster import CHART, OVERLAYS, ROOT, SCENARIOS, Cluster, Object, overlay, render
from tests.cluster.conftest import MakeNamespace

pytestmark = pytest.mark.cluster

KSERVE_OWN = ("minReplicas", "maxReplicas", "timeout", "deploymentStrategy")
"""Keys of a predictor that are not a pod's."""

DEFAULT, BLOOM, RETRAIN = (CHART / f"ci/{name}-values.yaml" for name in ("default", "bloom-176b", "retrain"))


def of(kind: str, rendered: list[Object], name: str = "") -> list[Object]:
    return [o for o in rendered if o["kind"] == kind and name in ("", o["metadata"]["name"])]


def settings(rendered: list[Object]) -> Any:
    [held] = of("ConfigMap", rendered, "mmst-settings")
    return yaml.safe_load(held["data"]["settings.yaml"])


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_every_scenario_is_created_as_it_is_rendered(
    path: Path, cluster: Cluster, make_namespace: MakeNamespace
) -> None:
    release, sandbox = make_namespace("release"), make_namespace("sandbox")
    rendered = render(path, "--set", f"sandbox.namespace={sandbox}", namespace=release)
    if not of("ServiceAccount", rendered):  # only the retrain Job: the accounts are the main release's
        cluster.create_all(of("ServiceAccount", render(DEFAULT, namespace=release)), namespace=release)
    cluster.needs(rendered)
    try:
        cluster.create_all(rendered, namespace=release)
    finally:
        cluster.delete(o for o in rendered if not cluster.kinds[o["apiVersion"], o["kind"]])


def test_no_kind_of_object_takes_an_unknown_field(cluster: Cluster, make_namespace: MakeNamespace) -> None:
    one_of_each = {o["kind"]: o for path in (*SCENARIOS, *OVERLAYS) for o in (render if path.suffix else overlay)(path)}
    known = {kind: o for kind, o in one_of_each.items() if cluster.knows(o)}
    assert len(known) > 20
    namespace = make_namespace("strict")
    for kind, o in known.items():
        changed = {**o, "metadata": {"name": "strict"}, "unheardOf": 1}
        refusal = cluster.create(changed, "--dry-run=server", namespace=namespace, check=False)
        assert 'unknown field "unheardOf"' in refusal, kind


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_pods_of_ours_conform_to_pod_security_restricted(
    path: Path, cluster: Cluster, make_namespace: MakeNamespace
) -> None:
    namespace = make_namespace("restricted", {"pod-security.kubernetes.io/enforce": "restricted"})
    cluster.create_all(of("ServiceAccount", render(DEFAULT)), namespace=namespace)
    rendered = render(path)
    specs = [o["spec"] for o in of("Pod", rendered)]
    specs += [o["spec"]["template"]["spec"] for o in of("Deployment", rendered) + of("Job", rendered)]
    for o in of("InferenceService", rendered):
        predictor = copy.deepcopy(o["spec"]["predictor"])
        if "containers" in predictor:
            specs.append({k: v for k, v in predictor.items() if k not in KSERVE_OWN})
    assert specs
    for spec in specs:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": spec}
        cluster.create(pod, "--dry-run=server", namespace=namespace)
    loose: Any = {**specs[0], "securityContext": {}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-"}, "spec": loose}
    assert "violates PodSecurity" in cluster.create(pod, "--dry-run=server", namespace=namespace, check=False)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_settings_are_a_part_of_a_recipe(path: Path) -> None:
    rendered = render(path)
    if of("ConfigMap", rendered, "mmst-settings"):
        parsed = config.parse(settings(rendered))
        assert parsed.cluster.namespace == "mmst"
        assert parsed.out.startswith("s3://mmst/")
        assert parsed.promote.tracking_uri.startswith("http")
        written = set(settings(rendered)["cluster"])
        known = {path.removeprefix("cluster.") for path, *_ in config.options() if path.startswith("cluster.")}
        assert known - written == {"mount"}


def test_settings_carry_the_values() -> None:
    whole = config.parse(settings(render(BLOOM)))
    parsed = whole.cluster
    assert whole.train.ranks == 64
    assert (parsed.server_runtime, parsed.server_gpus, parsed.trainer_nodes, parsed.trainer_gpus) == ("vllm", 8, 8, 8)
    assert parsed.tolerations == ("nvidia.com/gpu:NoSchedule",)
    assert parsed.secrets == ("mmst-s3",)


def test_bloom_is_served_on_eight_gpus_with_shared_memory() -> None:
    [service] = of("InferenceService", render(BLOOM))
    predictor = service["spec"]["predictor"]
    assert "--tensor-parallel-size=8" in predictor["model"]["args"]
    assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert predictor["volumes"] == [{"name": "devshm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}]
    assert predictor["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    assert predictor["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_mlflow_accepts_the_name_of_its_service() -> None:
    rendered = render(CHART / "ci/mlflow-in-chart-values.yaml")
    [deployment] = of("Deployment", rendered, "mmst-mlflow")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    [hosts] = [a.partition("=")[2].split(",") for a in container["args"] if a.startswith("--allowed-hosts=")]
    address = settings(rendered)["promote"]["tracking_uri"].removeprefix("http://")
    from mlflow.server.security_utils import is_allowed_host_header

    assert all(is_allowed_host_header(hosts, host) for host in (address, "mmst-mlflow:5000", "mlflow.example.com"))
    assert not is_allowed_host_header(hosts, "elsewhere.example.com")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("store=", "store: the release needs a place"),
        ("store=/data", "/store"),
        ("sandbox.namespace=mmst", "sandbox.namespace: programs that a model wrote must not run in mmst"),
        ("sandbox.checkers=99", "sandbox.checkers: 99 check pods do not fit into a quota of 16"),
        ("sandbox.checkers=0", "/sandbox/checkers"),
        ("sandbox.runtimeClass=runc", "runtimeClass"),
        ("training.launcher=local,training.gpus=8", "training.launcher: local trains in the stage's own pod"),
        ("training.launcher=mpijob", "/training/launcher"),
        ("training.memory=lots", "/training/memory"),
        ("scratch.enabled=false", "scratch.enabled: training.launcher=pytorchjob keeps checkpoints"),
        ("scratch.accessMode=ReadWriteOnce,training.nodes=2", "scratch.accessMode: 2 training pods"),
        ("serving.runtime=vllm", "serving.gpus: serving.runtime=vllm needs GPUs"),
        ("serving.champion.enabled=true", "serving.champion.checkpoint: serving.runtime=mmst serves a checkpoint"),
        (
            "serving.runtime=vllm,serving.gpus=8,serving.champion.enabled=true",
            "serving.champion.storageUri: serving.runtime=vllm",
        ),
        (
            "serving.champion.enabled=true,serving.champion.checkpoint=stages/train/1,rollout.enabled=true,rollout.model=m",
            "serving.champion.enabled: with rollout.enabled the InferenceService would have two owners",
        ),
        (
            "serving.champion.localModelCache.enabled=true",
            "serving.champion.localModelCache.enabled: only a champion that is served by vllm",
        ),
        ("rollout.enabled=true", "rollout.model: the rollout follows a registered model, and none is named"),
        ("rollout.model=a/b", "/rollout/model"),
        ("mlflow.enabled=true", "mlflow.address: mlflow.enabled runs a server of its own"),
        ("mlflow.address=", "mlflow.address: stages run in many pods and need one registry"),
        ("mlflow.address=,mlflow.enabled=true", "mlflow.database.secret: the tracking server keeps its records"),
        ("retrain.enabled=true", "retrain.recipe: the retrain Job runs one recipe"),
        ("retrain.enabled=true,retrain.recipe=demo", "kfp.endpoint: the retrain Job hands its run"),
        ("retrain.only=true", "retrain.only: nothing is left to render"),
        ("requireCRDs=true", "requireCRDs: the cluster does not know serving.kserve.io/v1beta1/InferenceService"),
        ("gpu.tolerations={nvidia.com/gpu}", "/gpu/tolerations/0"),
        ("gpu.shmGib=much", "/gpu/shmGib"),
        ("training.cpu=0", "/training/cpu"),
        ("training.memory=8", "/training/memory"),
        # What nothing would read.
        ("rollout.enabled=true,rollout.model=m,serving.champion.replicas=2", "serving.champion: the rollout serves"),
        ("serving.champion.args={--x}", "serving.champion.args: they are arguments of vLLM"),
        ("mlflow.hosts={mlflow.example.com}", "mlflow.hosts: it is of the release's own tracking server"),
        ("retrain.recipe=dmeo", "/retrain/recipe"),
        ("retrain.inline.smapling.k=4", "smapling"),
        ("retrain.inline.sampling.kk=4", "kk"),
        ("sampling=kserve", "sampling"),
        ("images.pullPolicy=Sometimes", "/images/pullPolicy"),
        # Secrets are named, never written.
        ("env={AWS_SECRET_ACCESS_KEY=abc}", "env: AWS_SECRET_ACCESS_KEY looks like a credential"),
        ("env={HF_TOKEN=abc}", "env: HF_TOKEN looks like a credential"),
        ("env={HTTP_PROXY=http://user:pass@proxy}", "env: HTTP_PROXY looks like a credential"),
        ("mlflow.address=http://user:pass@mlflow", "/mlflow/address"),
        ("secrets={AWS_SECRET_ACCESS_KEY=abc}", "/secrets/0"),
        ("stageSecrets={MLFLOW_TRACKING_PASSWORD=abc}", "/stageSecrets/0"),
        ("serviceAccountAnnotations.all.a=b", "/serviceAccountAnnotations"),
        ("mlflow.database.uri=postgresql://user:pass@db/mlflow", "/mlflow/database"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: str, said: str) -> None:
    refusal = render(DEFAULT, "--set", values, check=False)
    assert said in refusal
    if ": " in said:
        assert "Remedy: " in refusal


def test_a_refused_credential_is_not_repeated() -> None:
    assert "abc123" not in render(DEFAULT, "--set", "env={AWS_SECRET_ACCESS_KEY=abc123}", check=False)


def test_processors_may_be_numbers_and_a_variable_may_be_about_tokens() -> None:
    sets = "training.cpu=2,serving.cpu=1.5,env={TOKENIZERS_PARALLELISM=false}"
    cluster = settings(render(DEFAULT, "--set", sets))["cluster"]
    assert (cluster["trainer_cpu"], cluster["server_cpu"]) == ("2", "1.5")
    assert cluster["env"] == ["TOKENIZERS_PARALLELISM=false"]


def test_a_retrain_job_and_its_recipe_outlive_the_revision_that_made_them() -> None:
    kept = [o for o in render(RETRAIN) if o["metadata"]["name"].startswith("mmst-retrain-")]
    assert {o["kind"] for o in kept} == {"ConfigMap", "Job"}
    for o in kept:
        assert o["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        assert o["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false"


def test_a_mistake_in_a_recipe_is_not_tried_again() -> None:
    [job] = of("Job", render(RETRAIN))
    [rule] = job["spec"]["podFailurePolicy"]["rules"]
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [UserError.exit_code])
    assert rule["onExitCodes"]["containerName"] == container["name"]


def test_the_commands_that_pods_run_exist() -> None:
    group = typer.main.get_command(app)
    pods = [o["spec"] for path in SCENARIOS for o in of("Pod", render(path))]
    for path in SCENARIOS:
        pods += [o["spec"]["template"]["spec"] for o in of("Deployment", render(path)) + of("Job", render(path))]
        pods += [o["spec"]["predictor"] for o in of("InferenceService", render(path))]
    containers = [c for pod in pods for c in pod.get("containers", ())]
    lines = {tuple([*c["command"], *c["args"]]) for c in containers if c["command"][0] == "mmst"}
    assert {line[1] for line in lines} == {"preflight", "trigger", "rollout", "serve"}
    for _, verb, *arguments in lines:
        command = group.commands[verb]  # type: ignore[attr-defined]
        existing = [a.replace("/recipe/recipe.yaml", str(DEFAULT)) for a in arguments]
        assert command.make_context(verb, existing).params


def test_the_values_in_the_docs_render() -> None:
    assert of("Deployment", render(ROOT / "docs/examples/values.yaml"), "mmst-rollout")


def test_the_schema_knows_exactly_the_values() -> None:
    def keys(values: Any, schema: Any, path: str = "") -> Iterator[tuple[str, bool, bool]]:
        if path == ".retrain.inline":  # a recipe: tests/house/test_gitops.py compares its keys
            return
        properties = schema.get("properties", {})
        if isinstance(values, dict) and properties:
            assert schema["additionalProperties"] is False, path
            for key in {*values, *properties} - {"global"}:
                yield f"{path}.{key}", key in values, key in properties
                yield from keys(values.get(key), properties.get(key, {}), f"{path}.{key}")

    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    found = list(keys(values, schema))
    assert len(found) > 60
    assert [path for path, *both in found if not all(both)] == []


def test_every_value_is_explained() -> None:
    silent, explained = [], False
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()[1:]:
        # An explanation holds for the lines below it up to the next blank line.
        explained = line.strip() != "" and (explained or line.strip().startswith("#"))
        if line.strip() and not explained:
            silent.append(line)
    assert [line for line in silent if not line.endswith(":")] == []  # the parts of a section are explained one by one


def test_a_role_in_the_cloud_is_given_to_one_service_account() -> None:
    accounts = of("ServiceAccount", render(CHART / "ci/kueue-values.yaml"))
    roles = {o["metadata"]["name"]: list(o["metadata"].get("annotations", {}).values()) for o in accounts}
    assert len(roles) == 6
    named = {name: role for name, [role] in ((n, r) for n, r in roles.items() if r)}
    assert set(named) == {"mmst-stage", "mmst-server"}
    assert named["mmst-stage"] != named["mmst-server"]


SECRETS = ("--set", "secrets={store},stageSecrets={hub}")


@pytest.mark.parametrize(
    ("scenario", "kind", "name", "held"),
    [
        ("small-cpu", "InferenceService", "champion", {"store"}),
        ("mlflow-in-chart", "Deployment", "mmst-mlflow", {"store", "mmst-mlflow-db"}),
        ("mlflow-in-chart", "Deployment", "mmst-rollout", {"store", "hub"}),
        ("default", "Pod", "mmst-test-storage", {"store", "hub"}),
        ("default", "ServiceAccount", "mmst-server", {"store"}),
        ("retrain-only", "Job", "", set()),
    ],
)
def test_each_pod_holds_the_secrets_that_it_needs(scenario: str, kind: str, name: str, held: set[str]) -> None:
    [found] = of(kind, render(CHART / f"ci/{scenario}-values.yaml", *SECRETS), name)
    assert {secret for secret in ("store", "hub", "mmst-mlflow-db") if f"'name': '{secret}'" in str(found)} == held


def test_no_scenario_holds_a_secret() -> None:
    for path in SCENARIOS:
        assert not of("Secret", render(path))


def test_the_images_are_those_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == mmst.__version__
    written, defaults = config.parse(settings(render(DEFAULT))).cluster, config.parse({}).cluster
    for image in ("pipeline_image", "trainer_image", "server_image", "checker_image"):
        assert getattr(written, image) == getattr(defaults, image)


def test_a_registry_and_a_digest_reach_the_settings() -> None:
    sets = "images.registry=r.example.com/t,images.checker=r.example.com/checker@sha256:12"
    cluster = settings(render(DEFAULT, "--set", sets))["cluster"]
    assert cluster["trainer_image"] == f"r.example.com/t/mmst/trainer:{mmst.__version__}"
    assert cluster["checker_image"] == "r.example.com/checker@sha256:12"


def retrain_job(*sets: str) -> str:
    arguments = [part for value in sets for part in ("--set", value)]
    [job] = of("Job", render(RETRAIN, *arguments))
    return str(job["metadata"]["name"])


@pytest.mark.parametrize("change", ["retrain.inline.sampling.k=8", "retrain.set.loop\\.rounds=3", "images.tag=0.2.0"])
def test_a_commit_that_changes_what_is_run_makes_another_job(change: str) -> None:
    assert retrain_job(change) != retrain_job()


@pytest.mark.parametrize("change", ["sandbox.checkers=2", "network.allowFrom={monitoring}", "retrain.only=true"])
def test_any_other_commit_makes_the_same_job(change: str) -> None:
    assert retrain_job(change) == retrain_job()


def test_a_cluster_that_lacks_a_kind_is_refused() -> None:
    known = "serving.kserve.io/v1beta1/InferenceService"
    guarded = ("--set", "requireCRDs=true", "--api-versions", known)
    assert "kubeflow.org/v1/PyTorchJob" in render(DEFAULT, *guarded, check=False)
    assert render(DEFAULT, *guarded, "--api-versions", "kubeflow.org/v1/PyTorchJob")
