"""Every tracking server, store and size: a candidate is registered, and a process elsewhere gets its files."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst.core.hashes import file_entries
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.stage_folder import StageFolder
from mmst.registry.mlflow import MlflowRegistry
from mmst.stages import promote
from mmst.wiring import open_store
from tests.support.mlflow_server import mlflow_server
from tests.support.promotion import checked, engines, evaluated, place, prepared, problem, promotion
from tests.support.s3_server import CREDENTIALS, s3_server

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1200)]
PROBLEMS = [problem(n) for n in range(8)]
GIB = 1 << 30
CONSUMER = """
import json, sys, mlflow
from mmst import pyfunc
from mmst.core.hashes import file_sha256
mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])
found = {}
for name in sys.argv[2:]:
    folder = pyfunc.folder(mlflow.artifacts.download_artifacts(f"models:/{name}@champion"))
    path = folder / "model.safetensors"
    found[name] = [str(folder), path.stat().st_size, file_sha256(path) if path.stat().st_size < 1 << 20 else ""]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    import boto3

    with pytest.MonkeyPatch.context() as patch, s3_server() as address:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        boto3.client("s3").create_bucket(Bucket="models")
        yield address


@pytest.fixture(
    params=["sqlite", "proxied folder", "proxied s3", "direct folder", "direct s3"], ids=lambda p: p.replace(" ", "-")
)
def tracking(request: pytest.FixtureRequest, s3: str, tmp_path: Path) -> Iterator[str]:
    """The address; the server is one that takes artifacts itself, or one that only says where they go."""
    how = request.param
    if how == "sqlite":
        yield f"sqlite:///{tmp_path}/mlflow.db"
        return
    folder = tmp_path / "server"
    folder.mkdir()
    root = "s3://models/artifacts" if how.endswith("s3") else str(folder / "files")
    flags = {
        "proxied": ["--serve-artifacts", "--artifacts-destination", root],
        "direct": ["--no-serve-artifacts", "--default-artifact-root", root],
    }[how.split()[0]]
    with mlflow_server(folder, *flags) as uri:
        yield uri


def made(store: Store, folder: Path, *, by_reference: bool) -> Manifest:
    """A checkpoint of the files in a folder, copied into the store or used where it is."""
    entries = file_entries(folder)
    stage = StageFolder.open(store, "base", version=1, config=[e.sha256 for e in entries] + [by_reference], inputs={})
    if not by_reference:
        for entry in entries:
            stage.put_file(entry.name, folder / entry.name)
    return stage.finish(files=entries, location=str(folder) if by_reference else "")


def promoted(store: Store, tmp_path: Path, registry: MlflowRegistry, name: str, model: Manifest) -> None:
    world: Any = engines(tmp_path / "unused", registry, promote__name=name)
    world.store, world.run = store, name
    results = checked(store, PROBLEMS, model, lambda p, m, i: True, world.config.methods)
    at = dataclasses.replace(place("promote", 0, "base"), run=name)
    evaluation = evaluated(world, prepared(store, heldout=PROBLEMS), results, model, at)
    promotion(world, evaluation, model, at=at)


def consumed(tmp_path: Path, uri: str, *names: str) -> dict[str, list[Any]]:
    """What another process, in another folder and with a cache of its own, gets."""
    (tmp_path / "elsewhere").mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, uri, *names],
        cwd=tmp_path / "elsewhere",
        env={**environment, "XDG_CACHE_HOME": str(tmp_path / "elsewhere" / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def model_of(folder: Path, size: int) -> Path:
    """A folder with weights of a size; large ones are a hole in the file."""
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    with (folder / "model.safetensors").open("wb") as f:
        f.write(f"weights of {folder.name}".encode())
        f.truncate(size)
    return folder


def test_every_store_and_size_is_registered_and_got_elsewhere(
    tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = MlflowRegistry(tracking, experiment="all")
    stores = {"folder": open_store(str(tmp_path / "store")), "s3": open_store(f"s3://models/{tmp_path.name}")}
    expected = {}
    for store_name, store in stores.items():
        for how in ("copied", "referred", "by-location"):
            name = f"{store_name}-{how}"
            folder = model_of(tmp_path / name, 5000)
            monkeypatch.setattr(promote, "COPY_BELOW", (2 << 30) if how == "copied" else 0)
            model = made(store, folder, by_reference=how == "by-location")
            promoted(store, tmp_path, registry, name, model)
            expected[name] = next(e.sha256 for e in model.files if e.name == "model.safetensors")
    found = consumed(tmp_path, tracking, *expected)
    assert {name: sha for name, (_, _, sha) in found.items()} == expected


def test_weights_of_more_than_2_gib_are_registered_and_found_elsewhere(tracking: str, tmp_path: Path) -> None:
    registry, size = MlflowRegistry(tracking, experiment="large"), int(2.2 * GIB)
    folder = model_of(tmp_path / "large", size)
    for name, store in {"in-a-folder": str(tmp_path / "store"), "in-s3": f"s3://models/{tmp_path.name}"}.items():
        opened = open_store(store)
        promoted(opened, tmp_path, registry, name, made(opened, folder, by_reference=True))
    for where, got, _ in consumed(tmp_path, tracking, "in-a-folder", "in-s3").values():
        assert (Path(where).samefile(folder), got) == (True, size)
