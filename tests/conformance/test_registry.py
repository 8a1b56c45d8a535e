"""What promotion asks of a registry, on SQLite and on a real MLflow server; and what a consumer does with it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst.core import checkout
from mmst.core.errors import RegistryError
from mmst.core.ports import Champion, DataSet
from mmst.registry.mlflow import MlflowRegistry
from mmst.registry.mlflow_calls import reach
from mmst.serving.registry_versions import ServingVersions
from mmst.stages import champion as champions
from mmst.stages.champion import Reign
from mmst.storage.folder import FolderStore
from mmst.version import __version__
from tests.support.mlflow_server import mlflow_server
from tests.support.promotion import checkpoint as stored
from tests.support.s3_server import free_port, proxy
from tests.support.tiny_models import tiny_model

CHECKPOINT, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DATA = DataSet(name="train", digest=OTHER, source="s3://b/stages/prepare/1", context="training", records=7)
NOTHING: dict[str, Any] = {
    "about": "",
    "params": {},
    "metrics": {},
    "curves": {},
    "data": [],
    "artifacts": {},
    "tags": {},
}
ANSWERING = {"methods": ["text", "code"], "sampling": {"max_tokens": 8}, "check": {"timeout": 2.0}}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real `mlflow server` with its artifacts behind it."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow-server")) as uri:
        yield uri


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
        name,
        source,
        run="run-1",
        checkpoint=checkpoint,
        ref="stages/train/1",
        about="Round 1: promoted",
        tags=tags,
        answering=ANSWERING,
    )


def log(registry: MlflowRegistry, round: int, **metrics: float) -> str:
    return registry.log_round(
        "run-1",
        round,
        about="A title\n\nRound 1: promoted",
        params={"sampling.k": "4", "long": "x" * 9000},
        metrics=metrics,
        curves={},
        data=[DATA],
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


def test_a_run_shows_its_program_its_description_and_its_data_sets_once(registry: MlflowRegistry) -> None:
    for round in (1, 2):
        run = client(registry).get_run(log(registry, round, m=0.5))
    assert run.data.tags["mlflow.note.content"] == "A title\n\nRound 1: promoted"
    assert run.data.tags["mlflow.source.name"] == f"mmst {__version__}"
    assert run.data.tags.get("mlflow.source.git.commit", "") == checkout.commit()
    (given,) = run.inputs.dataset_inputs
    found = given.dataset
    assert (found.name, found.digest, found.source_type) == ("train", "b" * 36, "s3")
    assert (json.loads(found.source), json.loads(found.profile)) == ({"uri": DATA.source}, {"num_rows": 7})
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_a_curve_is_logged_by_its_own_steps(registry: MlflowRegistry) -> None:
    curve = {step: 1 / step for step in range(1, 251)}
    curves = {"mmst.round-01.loss": curve}
    run_id = registry.log_round("run-1", 1, **NOTHING | {"curves": curves})
    history = client(registry).get_metric_history(run_id, "mmst.round-01.loss")
    assert {point.step: point.value for point in history} == curve


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


def test_registering_again_sets_tags_and_description_anew(registry: MlflowRegistry, folder: Path) -> None:
    name = registry.experiment
    version = register(registry, name, folder, decision="pending", recipe="demo")
    register(registry, name, folder, decision="promoted")
    found = client(registry).get_model_version(name, version)
    assert found.description == "Round 1: promoted"
    tags = found.tags
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


@pytest.mark.parametrize("source", ["s3://bucket/stages/train/1", "/somewhere/stages/train/1", "/with spaces/ä/1"])
def test_a_checkpoint_by_reference_is_not_copied(registry: MlflowRegistry, source: str) -> None:
    name = f"ref-{uuid.uuid4().hex[:8]}"
    version = client(registry).get_model_version(name, register(registry, name, source))
    assert version.source.startswith("runs:/"), "the one kind of source that every server accepts"
    assert version.tags["mmst.source"] == source
    listed = client(registry).list_artifacts(version.run_id, f"candidates/{CHECKPOINT[7:23]}")
    names = {Path(f.path).name for f in listed}
    assert {"MLmodel", "checkpoint.json"} <= names
    assert not any(f.is_dir for f in listed)


def test_an_alias_to_a_version_that_is_not_there_is_a_registry_error(registry: MlflowRegistry, folder: Path) -> None:
    register(registry, registry.experiment, folder)
    with pytest.raises(RegistryError, match="version 77 must have been registered"):
        registry.point(registry.experiment, "77")


def test_names_with_quotes_are_found_again(registry: MlflowRegistry) -> None:
    def logged() -> str:
        return registry.log_round("it's", 1, **NOTHING)

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
listed = model.predict({"question": ["Ann has 3 apples. How many?", "How many apples?"]})
table = model.predict(pandas.DataFrame({"question": ["How many apples?"], "method": ["code"]}))
from mmst import pyfunc
folder = pyfunc.folder(mlflow.artifacts.download_artifacts(uri))
from transformers import AutoModelForCausalLM, AutoTokenizer
parameters = AutoModelForCausalLM.from_pretrained(folder).num_parameters()
AutoTokenizer.from_pretrained(folder)
print(json.dumps([list(listed.columns), listed.values.tolist(), table.values.tolist(), parameters]))
"""


@pytest.mark.parametrize("how", ["copied", "referred to"])
def test_the_champion_answers_questions_in_a_clean_process(registry: MlflowRegistry, tmp_path: Path, how: str) -> None:
    name = f"clean-{uuid.uuid4().hex[:8]}"
    model = tiny_model(tmp_path / "model")
    if how == "copied":
        version = register(registry, name, model)
    else:
        store = FolderStore(tmp_path / "store")
        made = stored(store, "tiny", {p.name: p.read_bytes() for p in model.iterdir()})
        version = registry.register(
            name,
            f"{store.uri}/{made.ref}",
            run="r",
            checkpoint=made.digest,
            ref=made.ref,
            about="",
            tags={},
            answering=ANSWERING,
        )
    registry.point(name, version)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST"))}
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, registry.uri, name],
        cwd=tmp_path / "elsewhere",
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
        "import sys; from mmst.registry.mlflow import MlflowRegistry as R;"
        f"print(R(sys.argv[1]).log_round('run-1', 1, **{NOTHING}))"
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


def test_an_absent_server_is_a_registry_error_when_patience_ends() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(RegistryError, match=r"no MLflow server answers .* for 4 s .*Remedy"):
        log(MlflowRegistry(uri, patience=4.0), 1, m=1.0)
    assert 2 < time.monotonic() - started < 12


def test_an_address_that_never_answers_is_an_error_when_patience_ends() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(8)
        started = time.monotonic()
        with pytest.raises(RegistryError, match="no MLflow server answers"):
            log(MlflowRegistry(f"http://127.0.0.1:{s.getsockname()[1]}", patience=4.0), 1, m=1.0)
    assert time.monotonic() - started < 12


@pytest.mark.server
def test_a_server_that_stumbles_at_every_third_request_loses_and_doubles_nothing(server: str, folder: Path) -> None:
    name = f"stumbles-{uuid.uuid4().hex[:8]}"
    plan = ["pass", "503", "pass", "lose", "cut", "pass", "pass", "503", "lose"] * 3
    with proxy(server, plan) as uri:
        registry = MlflowRegistry(uri, experiment=name)
        version = register(registry, name, folder)
        registry.point(name, version)
        run_id = log(registry, 1, m=0.5)
    assert len(plan) < 20, "trouble was met"
    calm = MlflowRegistry(server, experiment=name)
    assert [str(v.version) for v in client(calm).search_model_versions(f"name = '{name}'")] == [version]
    assert str(client(calm).get_registered_model(name).aliases["champion"]) == version
    experiment = client(calm).get_experiment_by_name(name)
    assert [r.info.run_id for r in client(calm).search_runs([experiment.experiment_id])] == [run_id]
    assert [p.value for p in client(calm).get_metric_history(run_id, "m")] == [0.5]


@pytest.mark.server
def test_a_server_that_comes_up_later_is_waited_for(tmp_path: Path, folder: Path) -> None:
    port, made = free_port(), []
    registry = MlflowRegistry(f"http://127.0.0.1:{port}", patience=120.0)
    waits = threading.Thread(target=lambda: made.append(register(registry, "later", folder)))
    waits.start()
    time.sleep(2)
    assert not made
    with mlflow_server(tmp_path, port=port):
        waits.join(120)
    assert made == ["1"]


def test_what_promotion_needs_is_tried_at_the_start(registry: MlflowRegistry) -> None:
    name = f"start-{uuid.uuid4().hex[:8]}"
    registry.rehearse(name, "run-1")
    registry.rehearse(name, "run-1")
    (run,) = client(registry).search_runs([registry._experiment])
    assert run.data.tags["mmst.run"] == "run-1"
    assert not client(registry).search_model_versions(f"name = '{name}'")
    found = client(registry).get_experiment_by_name(registry.experiment)
    client(registry).delete_experiment(found.experiment_id)
    with pytest.raises(RegistryError, match=r"was deleted.*Remedy"):
        MlflowRegistry(registry.uri, registry.experiment).rehearse(name, "run-2")


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


def test_the_record_is_followed_and_an_alias_that_says_otherwise_is_set_right(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    name, store, told = f"record-{uuid.uuid4().hex[:8]}", FolderStore(tmp_path / "store"), list[str]()
    one = register(registry, name, "s3://b/1", CHECKPOINT)
    two = register(registry, name, "s3://b/2", OTHER)
    versions = ServingVersions(registry, name, store, told.append)
    registry.point(name, one)
    assert versioned(versions) == one, "nothing on record: the alias"
    crowned = [Champion(checkpoint=c, ref="stages/train/1", version=v) for c, v in ((CHECKPOINT, one), (OTHER, two))]
    record: champions.Record = ()
    for champion in crowned:
        reign = Reign(champion=champion, by=f"stages/promote/{champion.version}")
        assert champions.crown(store, name, record, reign)
        record = (*record, reign)
    for set_back in (one, two, None):
        if set_back is None:
            client(registry).delete_registered_model_alias(name, "champion")
        else:
            registry.point(name, set_back)
        assert versioned(versions) == two
        assert str(client(registry).get_model_version_by_alias(name, "champion").version) == two
    assert told[0].endswith("the registry's alias 'champion' is followed")
    assert "on record in" in told[1]
    assert sum("set right" in line for line in told) == 2


def test_a_registry_that_holds_something_else_under_the_number_on_record_is_not_followed(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    name, store = f"other-{uuid.uuid4().hex[:8]}", FolderStore(tmp_path / "store")
    one = register(registry, name, "s3://b/1", CHECKPOINT)
    registry.point(name, one)
    for version, message in ((one, "on record it is sha256:b"), ("77", "is not registered here")):
        record = champions.read(store, name)
        crowned = Champion(checkpoint=OTHER, ref="stages/train/1", version=version)
        assert champions.crown(store, name, record, Reign(champion=crowned, by=f"stages/promote/{version}"))
        with pytest.raises(RegistryError, match=message):
            ServingVersions(registry, name, store).champion()
    assert str(client(registry).get_model_version_by_alias(name, "champion").version) == one


def versioned(versions: ServingVersions) -> str:
    found = versions.champion()
    assert found is not None
    return found.version
