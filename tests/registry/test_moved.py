"""A store with its database in it, moved or copied to another folder."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mlflow

from mmst.registry import moved
from mmst.registry.mlflow import MlflowRegistry


def registered(folder: Path) -> str:
    """The address of a registry in the folder, with a champion."""
    registry = MlflowRegistry(f"sqlite:///{folder}/mlflow.db")
    weights = folder / "weights"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    version = registry.register(
        "mmst", weights, run="r", checkpoint="sha256:1", ref="", about="", tags={}, answering={"methods": ["text"]}
    )
    registry.point("mmst", version)
    return version


def test_the_champion_of_a_moved_store_is_found_once_the_store_was_used(tmp_path: Path) -> None:
    version = registered(tmp_path / "here")
    there = tmp_path / "with space" / "there"
    shutil.move(tmp_path / "here", there)
    registry = MlflowRegistry(f"sqlite:///{there}/mlflow.db")
    registry.point("mmst", version)
    got = Path(mlflow.artifacts.download_artifacts("models:/mmst@champion", dst_path=str(tmp_path / "got")))
    assert (got / "checkpoint" / "model.safetensors").read_bytes() == b"weights"
    # Another run: of the one above, MLflow remembers the place as long as this process lives.
    nothing: dict[str, Any] = {"params": {}, "metrics": {}, "curves": {}, "data": [], "tags": {}}
    registry.log_round("other", 1, about="", artifacts={"a": b"new"}, **nothing)
    assert [p.read_bytes() for p in there.rglob("round-01/a")] == [b"new"]
    assert not (tmp_path / "here").exists()


def test_paths_that_lead_elsewhere_stay(tmp_path: Path) -> None:
    kept = ["s3://bucket/mlflow-artifacts/1", "mlflow-artifacts:/1", "/runs/mlruns/0", None]
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        db.execute("CREATE TABLE experiments (artifact_location TEXT)")
        for table, column in (("runs", "artifact_uri"), ("logged_models", "artifact_location")):
            db.execute(f"CREATE TABLE {table} ({column} TEXT)")
        db.execute("CREATE TABLE model_versions (storage_location TEXT)")
        db.executemany(
            "INSERT INTO experiments VALUES (?)", [(path,) for path in [*kept, "file:///a/mlflow-artifacts/x"]]
        )
    moved.follow(tmp_path / "mlflow.db")
    found = [path for (path,) in db.execute("SELECT artifact_location FROM experiments")]
    assert found == [*kept, f"{tmp_path.as_uri()}/mlflow-artifacts/x"]


def test_a_database_of_another_form_is_left_alone(tmp_path: Path) -> None:
    for content in (b"", b"no database"):
        (tmp_path / "mlflow.db").write_bytes(content)
        moved.follow(tmp_path / "mlflow.db")
        assert (tmp_path / "mlflow.db").read_bytes() == content
