"""A whole round in a cluster: check Jobs, a training job and model servers, S3 and MLflow, from the installed chart.

The graph runs in a pod of the pipeline image with the rights of a stage (`kfp.local` orders it, as
on one machine), and once more on this machine with the samples that the cluster drew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mmst import recipes
from mmst.core.config import run_id
from mmst.core.ports import Store
from mmst.core.stored import load, pointers
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, INFERENCE_SERVICE, JOB, PYTORCH_JOB
from mmst.stages.champion import standing
from mmst.wiring import open_store
from tests.cluster.node.installation import NAMESPACE, SCRATCH, helm, start_job, until_ended

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]
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
def there(release: dict[str, str], recipe: Path) -> tuple[Store, str]:
    """The round in the cluster: its store and its name."""
    cluster, seen, job = Cluster.connect(NAMESPACE), SCRATCH / recipe.name, f"round-{recipe.stem}"
    seen.write_text(recipe.read_text())
    seen.chmod(0o644)
    began = time.monotonic()
    start_job(cluster, job, release, "run", "--recipe", str(seen), "--cluster", NAMESPACE)
    until_ended(cluster, {job})
    print(f"the round in the cluster: {time.monotonic() - began:.0f} s")
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
    cluster = Cluster.connect(NAMESPACE)
    left = [o for kind in (INFERENCE_SERVICE, PYTORCH_JOB) for o in cluster.list(kind, mine)]
    left += [o for kind in (JOB, CONFIG_MAP) for o in cluster.beside("mmst-sandbox").list(kind, mine)]
    assert [o["metadata"]["name"] for o in left if "deletionTimestamp" not in o["metadata"]] == []
