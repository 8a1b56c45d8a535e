"""What promotion asks of a registry, on SQLite and on a real MLflow server; and what a consumer does with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst.backends.mlflow_registry import MlflowRegistry, reach
from mmst.backends.mlflow_serving import ServingVersions
from mmst.errors import RegistryError

from .tiny_models import tiny_model

CHECKPOINT, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ANSWERING = {"methods": ["text", "code"], "sampling": {"max_tokens": 8}, "check": {"timeout": 2.0}}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow server` with its artifacts behind it; its database is made by a registry first."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, *stores],
            env=env,
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.server)])
def uri(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue("database" if request.param == "sqlite" else "server")
    return found


@pytest.fixture
def registry(uri: str, request: pytest.FixtureRequest) -> MlflowRegistry:
    """A registry with an experiment of the test's own."""
    return MlflowRegistry(uri, experiment=request.node.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    (folder / "below").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "below" / "config.json").write_bytes(b"{}")
    return folder


def register(registry: MlflowRegistry, name: str, source: Path | str, checkpoint: str = CHECKPOINT, **tags: str) -> str:
    return registry.register(
        name, source, run="run-1", checkpoint=checkpoint, ref="stages/train/1", tags=tags, answering=ANSWERING
    )


def log(registry: MlflowRegistry, round: int, **metrics: float) -> str:
    return registry.log_round(
        "run-1",
        round,
        params={"sampling.k": "4", "long": "x" * 9000},
        metrics=metrics,
        artifacts={"report.json": json.dumps(metrics).encode()},
        tags={"mmst.recipe": "demo"},
    )


def client(registry: MlflowRegistry) -> Any:
    return registry._client


def test_a_round_is_logged_at_its_step_with_parameters_artifacts_and_tags(registry: MlflowRegistry) -> None:
    run_id = log(registry, 1, **{"main.code.pass_at_1": 0.5})
    run = client(registry).get_run(run_id)
    (point,) = client(registry).get_metric_history(run_id, "main.code.pass_at_1")
    assert (point.step, point.value) == (1, 0.5)
    assert run.data.params["sampling.k"] == "4"
    assert run.data.tags["mmst.recipe"] == "demo"
    assert [f.path for f in client(registry).list_artifacts(run_id, "round-01")] == ["round-01/report.json"]


def test_a_round_that_is_logged_twice_stands_there_once(registry: MlflowRegistry) -> None:
    first = log(registry, 1, m=0.5)
    assert log(registry, 1, m=0.5) == first
    assert len(client(registry).get_metric_history(first, "m")) == 1


def test_the_rounds_of_a_run_share_one_mlflow_run_also_from_another_process(registry: MlflowRegistry) -> None:
    first = log(registry, 0, m=0.4)
    again = MlflowRegistry(registry.uri, registry.experiment)
    assert log(again, 1, m=0.6) == first
    history = client(registry).get_metric_history(first, "m")
    assert sorted((p.step, p.value) for p in history) == [(0, 0.4), (1, 0.6)]


def test_more_than_a_batch_of_metrics_arrives_whole(registry: MlflowRegistry) -> None:
    run_id = log(registry, 1, **{f"m{i}": float(i) for i in range(250)})
    assert len(client(registry).get_run(run_id).data.metrics) == 250


def test_a_checkpoint_has_one_version_however_often_it_is_registered(registry: MlflowRegistry, folder: Path) -> None:
    name = registry.experiment
    first = register(registry, name, folder)
    assert register(MlflowRegistry(registry.uri, name), name, folder) == first
    assert register(registry, name, folder, OTHER) != first
    assert len(client(registry).search_model_versions(f"name = '{name}'")) == 2


def test_registering_again_sets_the_tags_anew(registry: MlflowRegistry, folder: Path) -> None:
    name = registry.experiment
    version = register(registry, name, folder, decision="pending", recipe="demo")
    register(registry, name, folder, decision="promoted")
    tags = client(registry).get_model_version(name, version).tags
    assert (tags["decision"], tags["recipe"], tags["mmst.checkpoint"]) == ("promoted", "demo", CHECKPOINT)


def test_the_alias_follows_and_its_files_are_those_of_the_checkpoint(
    registry: MlflowRegistry, folder: Path, tmp_path: Path
) -> None:
    import mlflow

    name = registry.experiment
    one, two = register(registry, name, folder), register(registry, name, folder, OTHER)
    for version in (two, one, one):
        registry.point(name, version)
        assert str(client(registry).get_model_version_by_alias(name, "champion").version) == version
    got = Path(mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=str(tmp_path / "got")))
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    copied = got / "checkpoint"
    assert {p.relative_to(copied).as_posix(): p.read_bytes() for p in copied.rglob("*") if p.is_file()} == files


def test_a_checkpoint_by_reference_is_not_copied(registry: MlflowRegistry) -> None:
    name = registry.experiment
    version = register(registry, name, "s3://bucket/stages/train/1")
    assert client(registry).get_model_version(name, version).source == "s3://bucket/stages/train/1"


def test_an_alias_to_a_version_that_is_not_there_is_a_registry_error(registry: MlflowRegistry, folder: Path) -> None:
    register(registry, registry.experiment, folder)
    with pytest.raises(RegistryError, match="version 77 must have been registered"):
        registry.point(registry.experiment, "77")


def test_names_with_quotes_are_found_again(registry: MlflowRegistry) -> None:
    def logged() -> str:
        return registry.log_round("it's", 1, params={}, metrics={"m": 1.0}, artifacts={}, tags={})

    assert logged() == logged()


def test_a_deleted_experiment_is_a_registry_error_with_a_remedy(registry: MlflowRegistry) -> None:
    log(registry, 1, m=0.5)
    found = client(registry).get_experiment_by_name(registry.experiment)
    client(registry).delete_experiment(found.experiment_id)
    with pytest.raises(RegistryError, match=r"Remedy: .*promote\.experiment"):
        log(MlflowRegistry(registry.uri, registry.experiment), 2, m=0.5)


CONSUMER = """
import json, sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_registry_uri(sys.argv[1])
uri = f"models:/{sys.argv[2]}@champion"
model = mlflow.pyfunc.load_model(uri, model_config={"check": {"sandbox": "subprocess"}})
listed = model.predict(["Ann has 3 apples. How many?", "How many apples?"])
table = model.predict(pandas.DataFrame({"question": ["How many apples?"], "method": ["code"]}))
folder = mlflow.artifacts.download_artifacts(uri) + "/checkpoint"
from transformers import AutoModelForCausalLM, AutoTokenizer
parameters = AutoModelForCausalLM.from_pretrained(folder).num_parameters()
AutoTokenizer.from_pretrained(folder)
print(json.dumps([list(listed.columns), listed.values.tolist(), table.values.tolist(), parameters]))
"""


def test_the_champion_answers_questions_in_a_clean_process(registry: MlflowRegistry, tmp_path: Path) -> None:
    name = registry.experiment
    registry.point(name, register(registry, name, tiny_model(tmp_path / "model")))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, registry.uri, name],
        cwd=tmp_path,
        env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    columns, listed, table, parameters = json.loads(done.stdout.splitlines()[-1])
    assert columns == ["question", "method", "solution", "answer", "reason"]
    assert [row[:2] for row in listed] == [
        [q, m] for q in ("Ann has 3 apples. How many?", "How many apples?") for m in ("text", "code")
    ]
    assert table == [listed[3]], "greedy answers don't depend on what else was asked"
    assert all((row[3] is None) == bool(row[4]) for row in listed)
    assert parameters > 1000


def test_processes_that_start_at_once_on_no_database_all_succeed(tmp_path: Path) -> None:
    code = (
        "import sys; from mmst.backends.mlflow_registry import MlflowRegistry as R;"
        "print(R(sys.argv[1]).log_round('run-1', 1, params={}, metrics={'m': 1.0}, artifacts={}, tags={}))"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/new.db"]
    started = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [(p.communicate(timeout=200), p.returncode) for p in started]
    assert [code for _, code in results] == [0, 0, 0], results
    assert len({out for (out, _), _ in results}) == 1, "one MLflow run for the one run"
    assert {err for (_, err), _ in results} == {""}, "nothing is printed that a user did not ask for"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mlflow-artifacts", "new.db", "new.db.lock"]


def test_an_absent_server_is_a_registry_error_within_seconds() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{s.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(RegistryError, match=r"no MLflow server answers .* Remedy"):
        log(MlflowRegistry(uri), 1, m=1.0)
    assert time.monotonic() - started < 12


def test_a_server_that_accepts_and_never_answers_is_a_registry_error_within_seconds() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        started = time.monotonic()
        with pytest.raises(RegistryError, match="no MLflow server answers"):
            reach(f"http://127.0.0.1:{s.getsockname()[1]}")
    assert time.monotonic() - started < 12


def test_a_folder_that_cannot_hold_the_database_is_a_registry_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RegistryError, match="cannot use"):
        log(MlflowRegistry(f"sqlite:///{tmp_path}/file/mlflow.db"), 1, m=1.0)


def test_what_serves_is_told_by_tags_that_come_and_go(registry: MlflowRegistry) -> None:
    name = f"serving-{uuid.uuid4().hex[:8]}"
    versions = ServingVersions(registry, name)
    assert versions.champion() is None, "no such model"
    one = register(registry, name, "s3://b/1", CHECKPOINT, **{"mmst.evaluation": "stages/evaluate/1"})
    two = register(registry, name, "s3://b/2", CHECKPOINT[:-1] + "0")
    assert versions.champion() is None, "no alias yet"
    registry.point(name, one)
    found = versions.champion()
    assert found is not None
    assert (found.version, found.checkpoint, found.ref) == (one, CHECKPOINT, "stages/train/1")
    assert (found.run, found.evaluation) == ("run-1", "stages/evaluate/1")
    versions.tag(one, {"serving": "ns/champion", "serving.failed": None})
    versions.tag(two, {"serving": "other/champion"})
    assert [v.version for v in versions.tagged("serving", "ns/champion")] == [one]
    versions.tag(one, {"serving": None})
    assert list(versions.tagged("serving", "ns/champion")) == []
