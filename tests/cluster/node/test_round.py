"""A whole round in a cluster: check Jobs, a training job and model servers, S3 and MLflow, from the installed chart.

The graph runs in a pod of the pipeline image with the rights of a stage (`kfp.local` orders it, as
on one machine), and once more on this machine with the samples that the cluster drew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mmst import __version__, recipes
from mmst.core.config import run_id
from mmst.core.ports import Store
from mmst.core.stored import load, pointers
from mmst.kubernetes import pod_parts, pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import (
    CLAIM,
    COMPONENT,
    CONFIG_MAP,
    INFERENCE_SERVICE,
    JOB,
    MANAGED,
    POD,
    PYTORCH_JOB,
    Kind,
    Object,
)
from mmst.stages.champion import standing
from mmst.wiring import open_store
from tests.cluster.node.serving import s3_for_pods
from tests.support.s3_server import CREDENTIALS, free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]
SECRET = Kind("v1", "Secret", "secrets")
VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
SMALL = {
    "name": "small",
    "problems": {
        "train": [{"format": "generated", "count": 120, "seed": 1, "split": "train"}],
        "test": [{"format": "generated", "count": 300, "seed": 2, "split": "test"}],
        "annotated": [{"format": "generated", "count": 200, "seed": 4, "split": "train"}],
    },
    "sampling": {"k": 2, "max_tokens": 48},
    "translate": {"n": 1, "sources": 1},
    "check": {"timeout": 1.0},
    "train": {"steps": 12, "batch_tokens": 1024, "lr": 5.0e-4},
    "loop": {"rounds": 1, "min_new": 1},
    "promote": {"name": "mmst-small"},
}
"""The demo, a twentieth of it."""


@pytest.fixture(scope="module", params=["small", pytest.param("demo", marks=pytest.mark.slow)])
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe's file. The demo: `scripts/test_cluster.sh node -m "cluster and slow"`."""
    file = tmp_path_factory.mktemp("recipe") / f"{request.param}.yaml"
    file.write_text(yaml.safe_dump(SMALL if request.param == "small" else recipes.read(request.param)))
    return file


@pytest.fixture(scope="module")
def release(installed: None, repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The chart in namespace mmst, with S3 and MLflow servers on the node; the environment that reaches them."""
    cluster, folder = Cluster.connect("mmst"), Path("/mnt/mmst")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    with s3_for_pods(cluster) as s3, mlflow_for_pods(host_of(s3), tmp_path_factory.mktemp("mlflow")) as mlflow:
        bound = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        disk = {"capacity": {"storage": "5Gi"}, "hostPath": {"path": str(folder)}, **bound}
        disk["claimRef"] = {"name": "mmst-scratch", "namespace": "mmst"}
        cluster.create(VOLUME, {"metadata": {"name": "mmst-scratch"}, "spec": disk})
        asked = {"resources": {"requests": {"storage": "5Gi"}}, "volumeName": "mmst-scratch", **bound}
        cluster.create(CLAIM, {"metadata": {"name": "mmst-scratch"}, "spec": asked})
        keys = {k: v for k, v in CREDENTIALS.items() if k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        cluster.create(SECRET, {"metadata": {"name": "mmst-s3"}, "stringData": keys})
        environment = {"AWS_ENDPOINT_URL": s3, "AWS_DEFAULT_REGION": "us-east-1"}
        values = {
            "store": "s3://mmst/runs",
            "secrets": ["mmst-s3"],
            "env": [f"{k}={v}" for k, v in environment.items()],
            "sandbox": {"checkers": 2, "cpu": "300m", "memory": "512Mi"},
            "training": {"cpu": "1", "memory": "3Gi"},
            "scratch": {"existingClaim": "mmst-scratch"},
            "serving": {"cpu": "1", "memory": "3Gi", "startTimeout": 180},
            "mlflow": {"address": mlflow},
        }
        file = tmp_path_factory.mktemp("values") / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        helm("install", "mmst", str(repo_root / "helm/mmst"), "--values", str(file))
        bucket(s3)
        try:
            yield {**environment, **CREDENTIALS, "MLFLOW_TRACKING_URI": mlflow}
        finally:
            helm("uninstall", "mmst", "--wait")
            cluster.delete(VOLUME, "mmst-scratch")


def host_of(url: str) -> str:
    return str(urllib.parse.urlsplit(url).hostname)


def helm(*arguments: str) -> None:
    done = subprocess.run(["helm", *arguments, "--namespace", "mmst"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def bucket(s3: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket="mmst")


@contextlib.contextmanager
def mlflow_for_pods(host: str, folder: Path) -> Iterator[str]:
    """A real MLflow server on the node."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--allowed-hosts", "*"],
            env={**os.environ, **quiet},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        uri, deadline = f"http://{host}:{port}", time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{uri}/health", timeout=1).close()
                break
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def run_job(cluster: Cluster, environment: dict[str, str], recipe: Path) -> Object:
    """`mmst run` in a pod as the stages are: their image, service account, volume and Secrets."""
    container = {
        "name": "run",
        "image": f"mmst/pipeline:{__version__}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["run", "--recipe", str(recipe), "--cluster", "mmst"],
        "env": [{"name": k, "value": v} for k, v in {**environment, "MMST_SCRATCH": "/mnt/mmst"}.items()],
        "envFrom": [{"secretRef": {"name": "mmst-s3"}}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/mnt/mmst"}],
        "securityContext": pod_parts.confined(),
    }
    pod = {
        "serviceAccountName": "mmst-stage",
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "mmst-scratch"}}],
    }
    labels = {**MANAGED, COMPONENT: "stage"}
    body = {
        "metadata": {"name": f"round-{recipe.stem}"},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    cluster.create(JOB, body)
    for state, _ in cluster.follow(POD, {"batch.kubernetes.io/job-name": f"round-{recipe.stem}"}):
        for found in state.values():
            if pods.finished(found):
                return found
    raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def there(release: dict[str, str], recipe: Path) -> tuple[Store, str]:
    """The round in the cluster: its store and its name."""
    cluster, seen = Cluster.connect("mmst"), Path("/mnt/mmst") / recipe.name
    seen.write_text(recipe.read_text())
    seen.chmod(0o644)
    began = time.monotonic()
    environment = {k: v for k, v in release.items() if k.startswith("AWS_E") or k == "AWS_DEFAULT_REGION"}
    ended = run_job(cluster, environment, seen)
    log = (cluster.log(ended["metadata"]["name"]) or b"").decode()
    print(f"the round in the cluster: {time.monotonic() - began:.0f} s\n{log}")
    assert ended["status"]["phase"] == "Succeeded", log
    os.environ.update(release)
    return open_store("s3://mmst/runs"), run_id(recipes.load(str(recipe)))


@pytest.fixture(scope="module")
def here(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    """The same round on this machine, with as many threads as the pods have."""
    folder = tmp_path_factory.mktemp("here")
    began = time.monotonic()
    command = [sys.executable, "-m", "mmst.cli.app", "run", "--recipe", str(recipe), "--out", str(folder)]
    clean = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "MMST_SCRATCH")}
    done = subprocess.run(command, env=clean | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(f"the round on this machine: {time.monotonic() - began:.0f} s")
    return open_store(str(folder)), run_id(recipes.load(str(recipe)))


def made(where: tuple[Store, str]) -> dict[str, str]:
    """Round, arm and step of every stage, with its manifest's digest; but for the page, which says when it was made."""
    store, run = where
    found = {f"{p.round}.{p.arm}.{p.step}": load(store, ref).digest for p, ref, _ in pointers(store, run)}
    return {name: digest for name, digest in found.items() if not name.endswith(".report")}


def test_the_round_in_the_cluster_makes_what_the_round_on_one_machine_makes(
    there: tuple[Store, str], here: tuple[Store, str]
) -> None:
    """Samples, verdicts, translations, weights, evaluation and decision: every digest is the same."""
    assert there[1] == here[1]
    assert made(there) == made(here)
    assert len(made(there)) >= 17


def test_the_champion_is_in_the_registry(there: tuple[Store, str], recipe: Path, release: dict[str, str]) -> None:
    import mlflow

    name = recipes.load(str(recipe)).promote.name
    server = release["MLFLOW_TRACKING_URI"]  # the registry's address of an earlier test may still be set
    version = mlflow.MlflowClient(server, registry_uri=server).get_model_version_by_alias(name, "champion")
    champion = standing(there[0], name)
    assert champion is not None
    assert str(version.version) == champion.version


def test_the_charts_own_tests_pass(release: dict[str, str]) -> None:
    """Storage, gVisor, MLflow and KServe, each from a pod of the release with the rights that it has."""
    helm("test", "mmst", "--timeout", "10m")


def test_the_run_leaves_nothing_in_the_cluster(there: tuple[Store, str]) -> None:
    mine = {"mmst.dev/run": there[1]}
    cluster = Cluster.connect("mmst")
    left = [o for kind in (INFERENCE_SERVICE, PYTORCH_JOB) for o in cluster.list(kind, mine)]
    left += [o for kind in (JOB, CONFIG_MAP) for o in cluster.beside("mmst-sandbox").list(kind, mine)]
    assert [o["metadata"]["name"] for o in left if "deletionTimestamp" not in o["metadata"]] == []
