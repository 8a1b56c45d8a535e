"""What is asked of a cluster, and what is said where it cannot be looked at."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from mmst import wiring
from mmst.core.config import Config, parse
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import ClusterError, ConfigError, SetupError
from mmst.kubernetes import probes
from mmst.kubernetes.kinds import Kind, Object
from mmst.kubernetes.pods import Trouble
from mmst.kubernetes.quota import demand, exceeded
from mmst.preflight import cluster as preflight_cluster
from mmst.preflight.recipe import for_cluster

IN_CLUSTER = {
    "out": "s3://bucket/runs",
    "check": {"sandbox": "gvisor_job"},
    "promote": {"tracking_uri": "http://mlflow.mmst:5000"},
}


def test_the_plan_counts_every_arm_s_pods_in_both_namespaces() -> None:
    cluster = {"checkers": 4, "checker_cpu": "500m", "checker_memory": "1Gi", "trainer_nodes": 2, "trainer_gpus": 8,
               "trainer_cpu": "10", "trainer_memory": "100Gi", "server_gpus": 1, "server_cpu": "4",
               "server_memory": "10Gi"}  # fmt: skip
    wanted = demand(
        parse(
            IN_CLUSTER
            | {"loop": {"controls": ["annotated-only"]}, "train": {"launcher": "pytorchjob", "ranks": 16}}
            | {"sampling": {"backend": "kserve"}, "cluster": cluster}
        )
    )
    gib = 1024**3
    assert wanted["mmst-sandbox"] == {"pods": 8, "cpu": 4.0, "memory": 8 * gib}
    stages, trainers, servers = (2, 4, 8), (4, 40, 400), (2, 8, 20)
    pods, cpu, memory = (sum(n) for n in zip(stages, trainers, servers, strict=True))
    assert wanted["mmst"] == {"pods": pods, "cpu": cpu, "memory": memory * gib, "nvidia.com/gpu": 34}


def test_the_plan_counts_teachers_that_write_beside_the_model() -> None:
    cluster = {"server_gpus": 1, "server_cpu": "4", "server_memory": "10Gi"}
    teachers = {"a": {"base": "/a"}, "b": {"base": "/b"}, "api": {"backend": "openai", "url": "http://x/v1"}}
    wanted = demand(parse(IN_CLUSTER | {"sampling": {"backend": "kserve"}, "teachers": teachers, "cluster": cluster}))
    assert wanted["mmst"]["nvidia.com/gpu"] == 3
    assert wanted["mmst"]["pods"] == 4 + 3


def test_what_a_quota_does_not_allow_is_said_with_both_numbers() -> None:
    wanted = {"pods": 8.0, "cpu": 4.0, "memory": 8.0 * 1024**3, "nvidia.com/gpu": 2.0}
    hard = {
        "pods": "8",
        "limits.cpu": "3500m",
        "requests.memory": "4Gi",
        "requests.nvidia.com/gpu": "2",
        "secrets": "1",
    }
    assert exceeded(wanted, hard) == ["limits.cpu: 4 wanted, 3500m allowed", "requests.memory: 8Gi wanted, 4Gi allowed"]


# --- what a recipe must say -------------------------------------------------------------------


def test_a_recipe_for_a_cluster_is_accepted() -> None:
    for_cluster(parse(IN_CLUSTER))
    for_cluster(parse(IN_CLUSTER | {"out": "/mnt/mmst/runs"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"out": "mmst-out"}, "do not share this folder.*s3://"),
        ({"out": "/mnt/other"}, "do not share this folder"),
        ({"check": {"sandbox": "gvisor"}}, "gvisor_job"),
        ({"promote": {}}, "MLflow.*promote.tracking_uri"),
        ({"train": {"launcher": "pytorchjob"}, "cluster": {"volume": ""}}, "no volume"),
        ({"train": {"lora_rank": 4, "export": "adapter"}}, "train.export leaves none.*train.export=both"),
        ({"loop": {"rounds": 8}}, "111 tasks.*loop.rounds=8.*fewer rounds"),
    ],
)
def test_a_recipe_that_cannot_run_as_pods_is_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        for_cluster(parse(IN_CLUSTER | change))


# --- the parts --------------------------------------------------------------------------------


def fine(part: str, config: Config) -> Iterator[Diagnostic]:
    yield Diagnostic(what=part, ok=True, found="fine", why="")


def test_only_the_parts_that_were_asked_for_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "preflight", fine)
    found = preflight_cluster.examine(parse(IN_CLUSTER), ["quota", "api"])
    assert [f.what for f in found] == ["api", "quota"]


@pytest.mark.parametrize(("only", "said"), [(["apis"], "unknown part.*apis.*parts: api, "), (["kfp"], "KFP_ENDPOINT")])
def test_a_part_that_is_not_there_is_refused(only: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(preflight_cluster.examine(parse(IN_CLUSTER), only))


@pytest.mark.parametrize(
    "error", [ClusterError("it does not answer"), SetupError("it does not answer", remedy="start it")]
)
def test_what_cannot_be_looked_at_is_a_finding_and_the_rest_is_looked_at(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_fails(part: str, config: Config) -> Iterator[Diagnostic]:
        if part == "api":
            raise error
        return fine(part, config)

    monkeypatch.setattr(wiring, "preflight", one_fails)
    found = list(preflight_cluster.examine(parse(IN_CLUSTER), ["api", "quota"]))
    assert [(f.what, f.ok) for f in found] == [("api", False), ("quota", True)]
    assert "it does not answer" in found[0].found


class Through:
    """A cluster through which a service answers, or not."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def through(self, service: str, port: int, path: str) -> bytes:
        self.asked.append((service, str(port), path))
        return b"OK"


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("http://mlflow.nowhere-mmst:5000", ("nowhere-mmst", "mlflow", "5000")),
        ("http://mlflow.nowhere-mmst.svc.cluster.local", ("nowhere-mmst", "mlflow", "80")),
        ("http://mlflow-of-mmst:5000/", ("mmst", "mlflow-of-mmst", "5000")),
    ],
)
def test_an_mlflow_inside_the_cluster_is_asked_through_the_api_server(
    uri: str, asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, namespaces = Through(), list[str]()

    def connect(namespace: str) -> Through:
        namespaces.append(namespace)
        return cluster

    monkeypatch.setattr(wiring, "cluster", connect)
    config = parse(IN_CLUSTER | {"promote": {"tracking_uri": uri}})
    (found,) = preflight_cluster.examine(config, ["mlflow"])
    assert found.ok
    assert [(n, s, p) for n, (s, p, _) in zip(namespaces, cluster.asked, strict=True)] == [asked]


def test_an_mlflow_elsewhere_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse(IN_CLUSTER | {"promote": {"tracking_uri": "http://127.0.0.1:9"}})
    (found,) = preflight_cluster.examine(config, ["mlflow"])
    assert not found.ok
    assert "127.0.0.1:9" in found.found


def test_kubeflow_is_asked_where_an_address_is_named() -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/apis/v2beta1/healthz" else 500)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (up,) = preflight_cluster.examine(parse(IN_CLUSTER), ["kfp"], f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    (down,) = preflight_cluster.examine(parse(IN_CLUSTER), ["kfp"], "http://127.0.0.1:9")
    assert (up.ok, down.ok) == (True, False)


def test_a_checker_image_that_cannot_be_pulled_is_not_blamed_on_gvisor(monkeypatch: pytest.MonkeyPatch) -> None:
    class There:
        def get(self, *a: object) -> object:
            return {}

        def beside(self, namespace: str) -> object:
            return self

    said = Trouble("image", "checker:1 (ErrImagePull)", "see that the image exists there")
    monkeypatch.setattr(probes, "_tried", lambda *a: {"gvisor": (said, "")})
    (found,) = probes.gvisor(There(), parse(IN_CLUSTER))  # type: ignore[arg-type]
    assert (found.ok, found.found) == (False, "image: checker:1 (ErrImagePull)")
    assert found.remedy == "see that the image exists there"


@pytest.mark.parametrize(
    ("replicas", "said"),
    [
        (1, "models/kserve-controller-manager: 1 ready"),
        (0, "models/kserve-controller-manager: 0 ready"),
        (None, "no controller"),
    ],
)
def test_kserve_s_controller_is_looked_for_where_its_webhook_is(replicas: int | None, said: str) -> None:
    class There:
        def __init__(self, namespace: str = "mmst") -> None:
            self.namespace = namespace

        def get(self, kind: Kind, name: str) -> Object | None:
            if kind.namespaced:
                assert (self.namespace, name) == ("models", "kserve-controller-manager")
                return None if replicas is None else {"status": {"readyReplicas": replicas}}
            assert name == "inferenceservice.serving.kserve.io"
            return {"webhooks": [{"clientConfig": {"service": {"namespace": "models"}}}]}

        def beside(self, namespace: str) -> There:
            return There(namespace)

    (found,) = probes.kserve(There(), parse(IN_CLUSTER))  # type: ignore[arg-type]
    assert (found.ok, found.found) == (replicas == 1, said)
