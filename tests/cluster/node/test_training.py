"""Two training pods under the real training-operator, DeepSpeed ZeRO-3 over gloo, on a volume that they share."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmst.core import private
from mmst.core.config import ClusterConfig
from mmst.core.errors import SetupError, TrainingError, UserError
from mmst.core.ports import TrainSpec
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import POD, PYTORCH_JOB
from mmst.training.providers.kubernetes_job import TrainingJobs
from mmst.training.providers.torchrun import Torchrun
from tests.support.training import task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
SETTINGS = ClusterConfig(trainer_nodes=2, trainer_cpu="300m", trainer_memory="3Gi", start_timeout=120.0, shm_gib=0.25)
TWO: dict[str, Any] = {"steps": 12, "batch_tokens": 256, "ranks": 2, "zero": 3, "checkpoint_every": 3}


@pytest.fixture(autouse=True)
def for_the_pods_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a release stages and training run as one user; this process is another than the pods', and both read."""
    monkeypatch.setattr(private, "FILE", 0o666)
    monkeypatch.setattr(private, "FOLDER", 0o777)


def trainer(where: tuple[Cluster, Path], **changes: object) -> TrainingJobs:
    cluster, folder = where
    settings = replace(SETTINGS, mount=str(folder), **changes)  # type: ignore[arg-type]
    return TrainingJobs(cluster, settings, form="pytorchjob", ranks=2, run="test")


def shared(spec: TrainSpec) -> TrainSpec:
    """The task, as another user may read and write it."""
    for folder, _, files in os.walk(Path(spec.model).parent):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            path.chmod(0o777)
    Path(spec.scratch).mkdir(parents=True, exist_ok=True)
    for path in (Path(spec.scratch), Path(spec.out).parent):
        path.chmod(0o777)
    return spec


def weights(folder: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(f"{folder}/model.safetensors")


def furthest(one: str, other: str) -> float:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.fixture(scope="module")
def undisturbed(run_namespace: tuple[Cluster, Path]) -> TrainSpec:
    """The same training on this machine."""
    spec = task(run_namespace[1] / "train", "here", **TWO)
    os.environ["OMP_NUM_THREADS"] = "1"
    Torchrun(2).train(spec)
    return spec


def test_two_pods_train_what_two_processes_train(run_namespace: tuple[Cluster, Path], undisturbed: TrainSpec) -> None:
    spec, steps = shared(task(run_namespace[1] / "train", "there", **TWO)), []
    figures = trainer(run_namespace).train(spec, lambda step, loss: steps.append(step))
    assert figures["steps"] == 12
    assert steps == sorted(set(steps))
    assert furthest(spec.out, undisturbed.out) < 1e-5
    again = trainer(run_namespace).train(spec, lambda step, loss: pytest.fail("trained again"))
    assert again == figures


def test_a_pod_that_is_killed_costs_the_steps_since_the_last_checkpoint(
    run_namespace: tuple[Cluster, Path], undisturbed: TrainSpec
) -> None:
    cluster, folder = run_namespace
    spec, killed = shared(task(folder / "train", "killed", **{**TWO, "steps": 13})), list[str]()

    def kill(step: int, loss: float) -> None:
        if step >= 4 and not killed:
            [worker] = [n for n in names(cluster) if n.endswith("worker-0")]
            killed.append(worker)
            cluster.delete(POD, worker)

    def names(cluster: Cluster) -> list[str]:
        return [p["metadata"]["name"] for p in cluster.list(POD) if "train-" in p["metadata"]["name"]]

    slow = replace(spec, settings={**spec.settings, "steps": 40})
    figures = trainer(run_namespace).train(slow, kill)
    assert killed, "it was over before a pod could be killed"
    assert figures["steps"] == 40
    whole = task(folder / "train", "whole", **{**TWO, "steps": 40})
    Torchrun(2).train(whole)
    assert furthest(slow.out, whole.out) < 1e-5


def test_the_failing_ranks_log_is_in_the_error(run_namespace: tuple[Cluster, Path]) -> None:
    spec = shared(task(run_namespace[1] / "bad", "bad", **TWO))
    (Path(spec.model) / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises((TrainingError, UserError), match=r"rank [01](.|\n)*SafetensorError"):
        trainer(run_namespace).train(spec)
    assert list(run_namespace[0].list(PYTORCH_JOB, {"mmst.dev/run": "test"})) == []


def test_an_image_that_is_missing_is_named(run_namespace: tuple[Cluster, Path]) -> None:
    spec = shared(task(run_namespace[1] / "train", "none", **TWO))
    with pytest.raises(TrainingError, match=r"image: mmst/none:1 .*check that the image exists"):
        trainer(run_namespace, trainer_image="mmst/none:1", pull_policy="Never").train(spec)


def test_pods_that_the_namespace_forbids_are_named(
    strict_namespace: Cluster, run_namespace: tuple[Cluster, Path]
) -> None:
    spec = shared(task(run_namespace[1] / "train", "forbidden", **TWO))
    with pytest.raises(TrainingError, match=r"of 2 pods after .*violates PodSecurity"):
        trainer((strict_namespace, run_namespace[1])).train(spec)


def test_paths_that_the_pods_cannot_see_are_refused(run_namespace: tuple[Cluster, Path], tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"not on the volume of the training pods.*MMST_SCRATCH"):
        trainer(run_namespace).train(task(tmp_path, **TWO))
