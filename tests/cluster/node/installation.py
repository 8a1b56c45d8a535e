"""The chart, really installed: in namespace mmst, with S3 and MLflow servers on the node; pods as the stages' are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import yaml

from mmst import __version__
from mmst.kubernetes import pod_parts, pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CLAIM, COMPONENT, JOB, MANAGED, POD, Kind, Object
from tests.cluster.node.serving import SECRET, gone, s3_for_pods
from tests.support.s3_server import CREDENTIALS, free_port

NAMESPACE = "mmst"
SCRATCH = Path("/mnt/mmst")
"""The volume of the release, which lies at the same place on this machine."""
VOLUME = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
OF_JOB = "batch.kubernetes.io/job-name"


@contextlib.contextmanager
def installed_chart(chart: Path, folder: Path) -> Iterator[dict[str, str]]:
    """The environment that reaches the release's store and registry from here; `folder` is for its own files."""
    cluster = Cluster.connect(NAMESPACE)
    SCRATCH.mkdir(exist_ok=True)
    SCRATCH.chmod(0o777)
    with s3_for_pods(cluster) as s3, mlflow_for_pods(host_of(s3), folder) as mlflow:
        bound = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        disk = {"capacity": {"storage": "5Gi"}, "hostPath": {"path": str(SCRATCH)}, **bound}
        disk["claimRef"] = {"name": "mmst-scratch", "namespace": NAMESPACE}
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
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        try:
            helm("install", "mmst", str(chart), "--values", str(file))
            bucket(s3)
            yield {**environment, **CREDENTIALS, "MLFLOW_TRACKING_URI": mlflow}
        finally:
            helm("uninstall", "mmst", "--wait")
            for job in list(cluster.list(JOB)):  # a claim stays for as long as a pod that used it, ended or not
                cluster.delete(JOB, job["metadata"]["name"])
            for kind, name in ((CLAIM, "mmst-scratch"), (SECRET, "mmst-s3"), (VOLUME, "mmst-scratch")):
                cluster.delete(kind, name)
            gone(cluster, CLAIM, "mmst-scratch")
            gone(cluster, VOLUME, "mmst-scratch")


def host_of(url: str) -> str:
    return str(urllib.parse.urlsplit(url).hostname)


def helm(*arguments: str) -> None:
    done = subprocess.run(["helm", *arguments, "--namespace", NAMESPACE], capture_output=True, text=True, check=False)
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


def start_job(cluster: Cluster, name: str, release: Mapping[str, str], *command: str) -> None:
    """`mmst COMMAND…` in a pod as the stages are: their image, service account, volume and Secrets."""
    reached = {k: release[k] for k in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}
    container = {
        "name": "stage",
        "image": f"mmst/pipeline:{__version__}",
        "imagePullPolicy": "IfNotPresent",
        "args": list(command),
        "env": [{"name": k, "value": v} for k, v in {**reached, "MMST_SCRATCH": str(SCRATCH)}.items()],
        "envFrom": [{"secretRef": {"name": "mmst-s3"}}],
        "volumeMounts": [{"name": "scratch", "mountPath": str(SCRATCH)}],
        "securityContext": pod_parts.confined(),
    }
    pod = {
        "serviceAccountName": "mmst-stage",
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": "mmst-scratch"}}],
    }
    template = {"metadata": {"labels": {**MANAGED, COMPONENT: "stage"}}, "spec": pod}
    cluster.create(JOB, {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}})


def until_ended(cluster: Cluster, jobs: Collection[str], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for Jobs, looking `meanwhile` at each change, and every few seconds; a failed one's log is the error."""
    for state, _ in cluster.follow(POD, {COMPONENT: "stage"}):
        meanwhile()
        ended = [p for p in state.values() if p["metadata"]["labels"].get(OF_JOB) in jobs and pods.finished(p)]
        for pod in ended:
            assert pods.phase(pod) == "Succeeded", log_of(cluster, pod)
        if len(ended) == len(jobs):
            return


def log_of(cluster: Cluster, pod: Object) -> str:
    return (cluster.log(pod["metadata"]["name"]) or b"").decode()
