"""Rollout under the real KServe controller, with requests flowing: forward, and back from what must not serve.

It has the rights of `mmst-rollout` in a release, and no others.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from mmst import wiring
from mmst.cli import app
from mmst.core.config import Config, parse
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Request
from mmst.core.provenance import Provenance
from mmst.core.records import CheckedSample, Sample, Verdict, to_data
from mmst.core.stage_folder import StageFolder
from mmst.inference.providers import kserve
from mmst.inference.providers.openai import OpenAIServer
from mmst.inference.providers.transformers import LocalModel
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, INFERENCE_SERVICE, POD
from mmst.registry.mlflow import MlflowRegistry
from mmst.serving.registry_versions import ServingVersions
from mmst.serving.rollout import FAILED, NEXT, SERVING, SINCE, STABLE, Rollout, Step
from tests.cluster import cluster as server
from tests.cluster.node.conftest import namespace
from tests.cluster.node.serving import resolve_services, s3_for_pods, settings, stored
from tests.support.s3_server import CREDENTIALS
from tests.support.tiny_models import tiny_model

QUESTIONS = [f"Question: Ann has {i} apples and buys {2 * i}.\nText:\n" for i in range(12)]
DEFAULT = server.CHART / "ci/default-values.yaml"
POLICY = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def here(cluster: server.Cluster) -> Iterator[Cluster]:
    """A namespace with the accounts, roles and admission policy of a release."""
    with namespace("rollout-test") as there:
        rendered = server.render(DEFAULT, "--set", "secrets={s3}", namespace=there.namespace)
        kinds = ("ServiceAccount", "Role", "RoleBinding", *POLICY)
        wanted = [o for o in rendered if o["kind"] in kinds and "namespace" not in o["metadata"]]
        cluster.create_all(wanted, namespace=there.namespace)
        yield there
        cluster.delete(o for o in wanted if o["kind"] in POLICY)


def connect_as(account: str, here: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects from now on is this service account."""
    kubectl = server.Cluster().kubectl
    token = kubectl("create", "token", account, "--namespace", here.namespace).stdout.strip()
    mine = json.loads(kubectl("config", "view", "--raw", "--flatten", "--minify", "--output=json").stdout)
    mine["users"] = [{"name": user["name"], "user": {"token": token}} for user in mine["users"]]
    file = folder / f"{account}.kubeconfig"
    file.write_text(json.dumps(mine))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))


class Release:
    """A store, a registry and a namespace, and models that come out of training."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.engines = wiring.connect(config)
        self.registry = self.engines.registry()
        self.told: list[str] = []

    def model(self, seed: int) -> Path:
        return tiny_model(self.folder / f"model-{seed}", "llama", seed=seed)

    def candidate(self, files: Path, measured: Path) -> str:
        """A version with these files, whose evaluation was made with the model in `measured`; now the champion."""
        checkpoint = stored(self.engines.store, files, str(files))
        evaluation = self.evaluated(checkpoint, measured)
        version = self.registry.register(
            self.config.promote.name,
            f"{self.config.out}/{checkpoint.ref}",
            run="r",
            checkpoint=checkpoint.digest,
            ref=checkpoint.ref,
            about="",
            tags={"mmst.evaluation": evaluation.ref},
            answering=Provenance.of(self.config).answering,
        )
        self.registry.point(self.config.promote.name, version)
        return version

    def evaluated(self, checkpoint: Manifest, measured: Path) -> Manifest:
        requests = [asked(i) for i in range(len(QUESTIONS))]
        with LocalModel(measured, dtype="float32", batch=64, trust_remote_code=False) as local:
            answers = [texts[0] for texts in local.sample(requests)]
        solved = [
            CheckedSample(
                sample=Sample(
                    id=r.id, problem_id=r.id, method="text", index=0, prompt=r.prompt, completion=a.text,
                    finish=a.finish, prompt_tokens=a.prompt_tokens, tokens=a.tokens, seed=0, model=checkpoint.digest,
                ),
                verdict=Verdict.PASSED, solution=a.text, answer=None,
            )
            for r, a in zip(requests, answers, strict=True)
        ]  # fmt: skip
        store = self.engines.store
        check = StageFolder.open(store, "verify", version=1, config={}, inputs={"samples": checkpoint})
        check.write_records("shard-00000.jsonl", solved)
        inputs = {"checked": check.finish(shards=["shard-00000.jsonl"]), "checkpoint": checkpoint}
        place = Place(run="r", round=1, arm=f"a{checkpoint.digest[7:11]}", step="evaluate")
        return StageFolder.open(store, "evaluate", version=1, config={}, inputs=inputs, place=place).finish()

    def rollout(self) -> Rollout:
        return self.engines.rollout(self.config.promote.name, self.told.append)


def asked(i: int) -> Request:
    return Request(
        id=f"q{i}", prompt=QUESTIONS[i], n=1, seed=0, temperature=0.0, top_p=1.0, max_tokens=16, stop=()
    )  # fmt: skip


class Clients:
    """Requests to the stable service, one after the other, until the block ends; `errors` are those given up.

    Each is a client of its own: one that samples wants the same server throughout, and says so when it is replaced.
    """

    def __init__(self, url: str) -> None:
        self.url, self.answered, self.errors = url, 0, list[str]()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Clients:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        self.thread.join(120)

    def _ask(self) -> None:
        while not self.over.is_set():
            try:
                with OpenAIServer(self.url, STABLE, concurrency=1, deadline=60.0) as server:
                    server.sample([asked(self.answered % len(QUESTIONS))])
                self.answered += 1
            except Exception as e:
                if "was replaced by another" not in str(e):  # answered, but not by the one that was there before
                    self.errors.append(str(e))


def install(cluster: Cluster, config: Config) -> None:
    """The settings of a release, as the chart writes them."""
    shown = {name: to_data(getattr(config, name)) for name in ("out", "promote", "sampling", "cluster")}
    meta = {"name": wiring.SETTINGS}
    cluster.create(CONFIG_MAP, {"metadata": meta, "data": {"settings.yaml": yaml.safe_dump(shown)}})


def serving(release: Release) -> Sequence[str]:
    assert isinstance(release.registry, MlflowRegistry)
    versions = ServingVersions(release.registry, release.config.promote.name)
    return [v.version for v in versions.tagged(SERVING, f"{release.config.cluster.namespace}/{STABLE}")]


def test_forward_and_back_with_requests_flowing_and_none_lost(
    here: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    with s3_for_pods(here) as s3:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3, "XDG_CACHE_HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        pytest.importorskip("boto3").client("s3").create_bucket(Bucket="mmst")
        resolve_services(here, monkeypatch)
        promote = {"name": "m", "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
        config = parse({"out": "s3://mmst/run", "promote": promote, "sampling": {"deadline": 60.0}})
        release = Release(dataclasses.replace(config, cluster=settings(here, s3, server_cpu="300m")), tmp_path)
        install(here, release.config)
        connect_as("mmst-rollout", here, tmp_path, monkeypatch)
        first, second, third = (release.model(seed) for seed in (1, 2, 3))
        broken = tmp_path / "broken"
        broken.mkdir()
        for file in first.iterdir():
            (broken / file.name).write_bytes(file.read_bytes())
        (broken / "config.json").write_text('{"model_type": "no-such-model"}')

        one = release.candidate(first, first)
        assert release.rollout().settle()[0] is Step.REST, release.told
        assert serving(release) == [one]
        service = here.get(INFERENCE_SERVICE, STABLE)
        assert service is not None
        with Clients(kserve.address(service)) as clients:
            two = release.candidate(second, second)
            assert release.rollout().settle()[0] is Step.REST, release.told
            assert serving(release) == [two]
            after_two = clients.answered

            release.candidate(broken, first)
            step, seen = release.rollout().settle()
            assert step is Step.HOLD
            assert seen.champion is not None
            assert "no-such-model" in seen.champion.tags[FAILED]

            release.candidate(third, first)  # it answers, but not what it was measured with
            step, seen = release.rollout().settle()
            assert step is Step.HOLD
            assert seen.champion is not None
            assert "known to solve" in seen.champion.tags[FAILED]
            assert serving(release) == [two]
            (still,) = (v for v in seen.serving if v.version == two)
            assert still.tags[SINCE]
        assert clients.errors == []
        assert clients.answered > after_two > 0
        assert all("deletionTimestamp" in p["metadata"] for p in here.list(POD, {kserve.SERVED_BY: NEXT}))
        assert "ownerReferences" not in service["metadata"]

        release.registry.point("m", two)
        capsys.readouterr()
        assert app.main(["rollout", "--cluster", here.namespace, "--model", "m", "--once"]) == 0
        said = capsys.readouterr().out.splitlines()  # before it, that the store knows of no promotion
        assert said[-1] == f"rest: champion is version {two}"
