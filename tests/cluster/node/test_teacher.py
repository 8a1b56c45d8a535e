"""Teachers on KServe: each writer of a round has a server of its own, all at once, and writes what it writes here.

Each writer's stage runs in a pod of its own, as Kubeflow runs them: two teachers with models of their own (one of
another family, asked through its chat template), a teacher that is one of these models asked otherwise, and the
student.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch")

from mmst import recipes
from mmst.core.config import Config, parse, run_id
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import Sample
from mmst.core.stored import load, pointers, records
from mmst.core.teachers import SELF, place_of
from mmst.inference.providers.kserve_objects import CHECKPOINT
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import INFERENCE_SERVICE, RUN
from mmst.models import model_folder
from mmst.runner import run_stage
from mmst.wiring import open_store, release_settings
from tests.cluster.node.installation import NAMESPACE, SCRATCH, start_job, until_ended
from tests.support.tiny_models import tiny_model

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MODELS = SCRATCH / "teachers"
RECIPE: dict[str, Any] = {
    "name": "taught",
    "problems": {
        "train": [{"format": "generated", "count": 60, "seed": 5, "split": "train", "limit": 6}],
        "test": [{"format": "generated", "count": 60, "seed": 5, "split": "test", "limit": 2}],
    },
    "model": {"base": "mmst:tiny"},
    "sampling": {"k": 2, "max_tokens": 40, "shard": 4},
    "translate": {"n": 1, "sources": 1},
    "check": {"timeout": 5.0},
    "teachers": {
        "big": {"base": str(MODELS / "big"), "k": 3},
        "again": {"base": str(MODELS / "big"), "temperature": 0.3},
        "odd": {"base": str(MODELS / "odd"), "prompt": {"style": "chat"}},
    },
}
HERE = {"check": {"sandbox": "subprocess"}, "sampling": {"backend": "local"}}
THREE_AT_ONCE = "cluster: {server_cpu: 400m, server_memory: 1500Mi, start_timeout: 900.0}"
"""Model servers of which a node with two cores has room for three."""
WRITERS = (SELF, *RECIPE["teachers"])
TRANSLATING = (SELF, "big")


def place(config: Config, writer: str) -> dict[str, Any]:
    """Where the stages of a writer stand in the first round."""
    return {"round": 1, "arm": place_of(writer) if writer else config.loop.arm}


def stage(config: Config, name: str, writer: str, step: str = "", **refs: str) -> str:
    """Run a stage in this process; its reference."""
    return run_stage.run(name, config, **place(config, writer), step=step, refs=refs, beside={}).ref


@pytest.fixture(scope="module")
def models() -> Iterator[None]:
    """The teachers' models: the shipped one with a tensor changed, and one of another family and tokenizer."""
    from safetensors.torch import load_file, save_file

    shutil.rmtree(MODELS, ignore_errors=True)
    shutil.copytree(model_folder("mmst:tiny"), MODELS / "big")
    weights = load_file(MODELS / "big/model.safetensors")
    weights["model.norm.weight"] *= 1.25
    save_file(weights, MODELS / "big/model.safetensors", metadata={"format": "pt"})
    tiny_model(MODELS / "odd", "bloom", chat=True)
    yield
    shutil.rmtree(MODELS)


@dataclass
class Round:
    """What the writers of a round made, where, and which model servers were seen meanwhile."""

    store: Store
    run: str
    servers: dict[str, str] = field(default_factory=dict)
    """Names of InferenceServices, each with the digest of the checkpoint that it served."""

    def made(self) -> dict[str, Manifest]:
        """The manifest of every stage, by arm and step."""
        return {f"{p.arm}.{p.step}": load(self.store, ref) for p, ref, _ in pointers(self.store, self.run)}

    def files(self) -> dict[str, bytes | None]:
        """The bytes of all that was sampled and translated."""
        drawn = {k: m for k, m in self.made().items() if m.stage in ("sample", "translate")}
        return {f"{k}/{f.name}": self.store.read(f"{m.ref}/{f.name}") for k, m in drawn.items() for f in m.files}


@pytest.fixture(scope="module")
def here(models: None, tmp_path_factory: pytest.TempPathFactory) -> Round:
    """The writers' stages in this process, one after the other."""
    config = parse(recipes.lay_over(RECIPE, yaml.safe_dump({**HERE, "out": str(tmp_path_factory.mktemp("here"))})))
    problems = stage(config, "prepare", SELF)
    for writer in WRITERS:
        base = stage(config, "base_model", writer)
        drawn = stage(config, "sample", writer, problems=problems, checkpoint=base)
        if writer in TRANSLATING:
            checked = stage(config, "verify", writer, problems=problems, samples=drawn)
            stage(config, "translate", writer, problems=problems, checked=checked, checkpoint=base)
    return Round(open_store(config.out), run_id(config))


@pytest.fixture(scope="module")
def there(release: dict[str, str], models: None) -> Iterator[Round]:
    """The same, each stage that asks a model in a pod of its own, those of all writers at once."""
    cluster = Cluster.connect(NAMESPACE)
    data = recipes.lay_over(RECIPE, release_settings(NAMESPACE))
    data = recipes.lay_over(
        data, "cluster: {server_cpu: 400m, server_memory: 1500Mi}"
    )  # for three at once on two cores
    file = SCRATCH / "taught.yaml"
    file.write_text(yaml.safe_dump(data))
    config = parse(data)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in release.items():
            patch.setenv(name, value)
        done = Round(open_store(config.out), run_id(config))
        at_once = Pods(cluster, release, config, file, done)
        problems = stage(config, "prepare", SELF)
        bases = {writer: stage(config, "base_model", writer) for writer in WRITERS}
        at_once.run("sample", {w: {"problems": problems, "checkpoint": bases[w]} for w in WRITERS})
        made, beside = done.made(), replace(config, check=replace(config.check, sandbox="subprocess"))
        given = {}
        for w in TRANSLATING:
            drawn = made[f"{place(config, w)['arm']}.sample"].ref
            checked = stage(beside, "verify", w, problems=problems, samples=drawn)
            given[w] = {"problems": problems, "checked": checked, "checkpoint": bases[w]}
        at_once.run("translate", given)
        yield done


@dataclass
class Pods:
    """Stages of several writers at once, each in a pod of its own."""

    cluster: Cluster
    release: dict[str, str]
    config: Config
    file: Path
    round: Round

    def run(self, name: str, given: dict[str, dict[str, str]]) -> None:
        """A stage of each writer on its inputs, until all have ended."""
        jobs = set()
        for writer, refs in given.items():
            options = [f"--{key}={ref}" for key, ref in refs.items()]
            options += [f"--arm={place(self.config, writer)['arm']}", "--round=1"]
            jobs.add(job := f"{name}-{writer or 'itself'}")
            start_job(self.cluster, job, self.release, name, f"--recipe={self.file}", *options)
        until_ended(self.cluster, jobs, self.look)

    def look(self) -> None:
        """Remember which model servers there are."""
        for service in self.cluster.list(INFERENCE_SERVICE, {RUN: self.round.run}):
            meta = service["metadata"]
            self.round.servers[meta["name"]] = meta["annotations"][CHECKPOINT]


def test_teachers_and_student_write_through_services_what_they_write_here(there: Round, here: Round) -> None:
    """Samples and translations, byte for byte, and the manifest's digest of every stage."""
    assert there.run == here.run
    assert {k: m.digest for k, m in there.made().items()} == {k: m.digest for k, m in here.made().items()}
    assert there.files() == here.files()


def test_every_writer_wrote_in_its_own_name_with_its_own_model(there: Round) -> None:
    made = there.made()
    for arm in {key.partition(".")[0] for key in made if key.endswith(".sample")}:
        samples = list(records(there.store, made[f"{arm}.sample"], Sample))
        wrote = {(place_of(s.writer) if s.writer else arm, s.model) for s in samples}
        assert wrote == {(arm, made[f"{arm}.base_model"].digest)}


def test_every_model_had_a_server_of_its_own(there: Round) -> None:
    """Writers of one model share its server; no other does."""
    bases = {m.digest for k, m in there.made().items() if k.endswith(".base_model")}
    assert len(bases) == 3
    assert sorted(there.servers.values()) == sorted(bases)


def test_no_server_is_left(there: Round) -> None:
    left = Cluster.connect(NAMESPACE).list(INFERENCE_SERVICE, {RUN: there.run})
    assert [s["metadata"]["name"] for s in left if "deletionTimestamp" not in s["metadata"]] == []
