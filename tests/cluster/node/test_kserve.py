"""Model servers under the real KServe controller: the samples are those of the model in process, trouble has a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmst import wiring
from mmst.core.config import ClusterConfig, parse
from mmst.core.errors import ModelError, SamplerError
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.inference.providers import kserve
from mmst.inference.providers.kserve_objects import model_name, sampling_service
from mmst.inference.providers.openai import OpenAIServer
from mmst.inference.providers.transformers import LocalModel
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import INFERENCE_SERVICE, POD, RUN, Object
from mmst.wiring import open_store
from tests.cluster.node.conftest import namespace
from tests.cluster.node.serving import ACCOUNT, gone, resolve_services, s3_for_pods, settings, stored
from tests.support.s3_server import CREDENTIALS
from tests.support.serving import request_of
from tests.support.tiny_models import tiny_model


@pytest.fixture(scope="module")
def here() -> Iterator[Cluster]:
    with namespace("serve-test") as cluster:
        cluster.create(ACCOUNT, {"metadata": {"name": "mmst-server"}})
        yield cluster


@pytest.fixture(scope="module")
def s3(here: Cluster) -> Iterator[str]:
    with s3_for_pods(here) as url:
        yield url


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "m", "llama")


@pytest.fixture
def store(s3: str, here: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3, "XDG_CACHE_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    boto3 = pytest.importorskip("boto3")
    boto3.client("s3").create_bucket(Bucket="mmst")
    resolve_services(here, monkeypatch)
    return open_store("s3://mmst/run")


@pytest.fixture
def checkpoint(store: Store, model: Path) -> Manifest:
    return stored(store, model, "good")


@pytest.fixture
def cluster_config(here: Cluster, s3: str) -> ClusterConfig:
    return settings(here, s3)


def service(checkpoint: Manifest, config: ClusterConfig) -> Object:
    return sampling_service(checkpoint, store="s3://mmst/run", dtype="float32", cluster=config, run="test")


def in_process(model: Path, asked: int) -> object:
    with LocalModel(model, dtype="float32", batch=64, trust_remote_code=False) as local:
        return local.sample([request_of(i) for i in range(asked)])


def test_samples_through_a_service_are_those_in_process_and_nothing_is_left(
    here: Cluster, store: Store, checkpoint: Manifest, cluster_config: ClusterConfig, model: Path
) -> None:
    config = dataclasses.replace(
        parse({"out": "s3://mmst/run", "sampling": {"backend": "kserve", "deadline": 60.0}}), cluster=cluster_config
    )
    with wiring.connect(config).sampler(checkpoint) as sampler:
        assert sampler.sample([request_of(i) for i in range(24)]) == in_process(model, 24)
        assert len(list(here.list(INFERENCE_SERVICE))) == 1
    assert not [s for s in here.list(INFERENCE_SERVICE) if "deletionTimestamp" not in s["metadata"]]


def test_pods_of_one_checkpoint_share_a_service_and_the_last_one_ends_it(
    here: Cluster, checkpoint: Manifest, cluster_config: ClusterConfig
) -> None:
    holders = [kserve.reference(holding_pod(here, f"stage-{n}")) for n in range(2)]
    made = service(checkpoint, cluster_config)
    name = made["metadata"]["name"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda holder: kserve.join(here, made, holder), holders))
    owners = {o["name"] for o in (here.get(INFERENCE_SERVICE, name) or {})["metadata"]["ownerReferences"]}
    assert owners == {"stage-0", "stage-1"}
    kserve.leave(here, name, holders[0])
    assert here.get(INFERENCE_SERVICE, name) is not None
    kserve.leave(here, name, holders[1])
    kserve.leave(here, name, holders[1])
    left = here.get(INFERENCE_SERVICE, name)
    assert left is None or "deletionTimestamp" in left["metadata"]


def test_a_service_whose_stages_were_killed_goes_with_their_pods(
    here: Cluster, checkpoint: Manifest, cluster_config: ClusterConfig
) -> None:
    made = service(checkpoint, dataclasses.replace(cluster_config, server_memory="1100Mi"))
    kserve.join(here, made, kserve.reference(holding_pod(here, "killed")))
    here.delete(POD, "killed")
    name = made["metadata"]["name"]
    gone(here, INFERENCE_SERVICE, name)


def test_the_end_of_a_run_leaves_a_service_that_a_stage_of_another_run_uses(
    here: Cluster, checkpoint: Manifest, cluster_config: ClusterConfig
) -> None:
    made = service(checkpoint, dataclasses.replace(cluster_config, server_memory="1200Mi"))
    for run in ("test", "other"):
        kserve.join(here, made, kserve.reference(holding_pod(here, f"of-{run}", {RUN: run})))
    name = made["metadata"]["name"]
    kserve.end(here, "test")
    assert "deletionTimestamp" not in (here.get(INFERENCE_SERVICE, name) or {})["metadata"]
    here.delete(POD, "of-other")
    gone(here, POD, "of-other")
    kserve.end(here, "test")
    left = here.get(INFERENCE_SERVICE, name)
    assert left is None or "deletionTimestamp" in left["metadata"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"server_image": "mmst/no-such-image:1", "pull_policy": "Never"}, "image"),
        ({"server_memory": "40Mi"}, "out of memory"),
        ({"server_cpu": "900", "start_timeout": 5.0}, "unschedulable"),
        ({"env": (), "secrets": (), "start_timeout": 240.0}, "crash"),  # its starts took more than 120 s on a busy node
    ],
)
def test_a_server_that_cannot_start_is_a_named_error_with_a_remedy(
    here: Cluster, checkpoint: Manifest, cluster_config: ClusterConfig, changes: dict[str, object], named: str
) -> None:
    config = dataclasses.replace(cluster_config, **changes)  # type: ignore[arg-type]
    with (
        pytest.raises(SamplerError, match=rf"cannot start: {named}.*Remedy"),
        kserve.hosted(here, service(checkpoint, config), start_timeout=config.start_timeout, holder=None),
    ):
        pass


def test_a_checkpoint_that_does_not_load_is_named_by_the_servers_own_words(
    here: Cluster, store: Store, model: Path, tmp_path: Path, cluster_config: ClusterConfig
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "config.json").write_text('{"model_type": "no-such-model"}')
    damaged = stored(store, broken, "damaged")
    with (
        pytest.raises(ModelError, match="no-such-model"),
        kserve.hosted(here, service(damaged, cluster_config), start_timeout=120.0, holder=None),
    ):
        pass


def test_a_service_of_another_checkpoint_is_refused(
    here: Cluster, store: Store, checkpoint: Manifest, cluster_config: ClusterConfig, tmp_path: Path
) -> None:
    with (
        kserve.hosted(here, service(checkpoint, cluster_config), start_timeout=120.0, holder=None) as url,
        pytest.raises(SamplerError, match="another checkpoint"),
        OpenAIServer(url, model_name(checkpoint), concurrency=1, deadline=30.0, checkpoint="sha256:another"),
    ):
        pass


def holding_pod(cluster: Cluster, name: str, labels: dict[str, str] | None = None) -> Object:
    container = {"name": "stage", "image": "local/pause:1", "imagePullPolicy": "IfNotPresent"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    body = {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}
    made, _ = cluster.create(POD, body)
    return made
