"""The graph on this machine: real sampling, gVisor, training, MLflow; small numbers."""

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mmst import datasets, recipes
from mmst.core.config import Config, Source, parse, run_id
from mmst.core.errors import SamplerError
from mmst.core.manifest import Manifest
from mmst.core.records import CheckedSample, Problem, Sample, to_data
from mmst.core.results import Promoted, Trained
from mmst.core.stored import load, pointers, records
from mmst.pipelines import local
from mmst.planning import hardware
from mmst.planning.inputs import model_and_tokens
from mmst.planning.plan import plan
from mmst.storage.folder import FolderStore
from tests.support.small_run import small_config

pytestmark = [pytest.mark.gvisor, pytest.mark.timeout(600)]


@contextlib.contextmanager
def unseen(events: Path) -> Iterator[None]:
    yield


def manifests(config: Config) -> dict[str, Manifest]:
    store = FolderStore(Path(config.out))
    return {f"{p.round}.{p.arm}.{p.step}": load(store, ref) for p, ref, _ in pointers(store, run_id(config))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, dict[str, Manifest]]:
    folder = tmp_path_factory.mktemp("run")
    config = small_config(folder / "out")
    local.run(config, folder / "log", unseen)
    return config, manifests(config)


def test_the_whole_round_runs_and_ends_in_a_decision(finished: tuple[Config, dict[str, Manifest]]) -> None:
    config, made = finished
    decision = made["1.mmst.promote"].result(Promoted).decision
    assert decision.reason
    assert decision.challenger == made["1.mmst.train"].digest
    page = Path(config.out) / "runs" / run_id(config) / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_counts_add_up_from_problems_to_verdicts(finished: tuple[Config, dict[str, Manifest]]) -> None:
    config, made = finished
    asked = made["0.base.prepare"].counts["train"] * len(config.methods) * config.sampling.k
    verdicts = made["1.mmst.verify"].counts
    assert made["1.mmst.sample"].counts["samples"] == asked
    assert verdicts["asked"] == asked


def test_samples_tokens_and_bytes_are_those_of_the_plan_within_a_tenth(
    finished: tuple[Config, dict[str, Manifest]],
) -> None:
    config, made = finished
    model, count = model_and_tokens(config.model.base)
    planned = plan(config, model, hardware.load("laptop-2-cores"), count)
    stages = {m.ref: m for m in made.values()}.values()
    drawn = [m for m in stages if m.stage in ("sample", "translate")]
    samples = sum(m.counts.get("samples", 0) + m.counts.get("translations", 0) for m in drawn)
    assert planned.value("samples in all") == pytest.approx(samples, rel=0.1)
    assert planned.value("tokens written") == pytest.approx(sum(m.counts["tokens"] for m in drawn), rel=0.1)
    trained = sum(m.result(Trained).tokens for m in stages if m.stage == "train")
    assert planned.value("tokens trained on") == pytest.approx(trained, rel=0.1)
    stored = sum(entry.bytes for m in stages for entry in m.files)
    assert planned.value("in the store") == pytest.approx(stored, rel=0.1)
    # The bytes that are not checkpoints, too, which are most of it.
    records = sum(entry.bytes for m in stages if m.stage not in ("base", "train", "report") for entry in m.files)
    assert planned.value("records") == pytest.approx(records, rel=0.1)


def test_a_second_run_does_nothing_again(finished: tuple[Config, dict[str, Manifest]], tmp_path: Path) -> None:
    config, made = finished
    before = {p: p.stat().st_mtime_ns for p in (Path(config.out) / "stages").rglob("*") if p.is_file()}
    local.run(config, tmp_path, unseen)
    assert manifests(config) == made
    assert {p: p.stat().st_mtime_ns for p in before} == before


STEPS = """
name: steps
answer: stated
phrasings: [{heading: "Text:", instruction: Solve it., translation: Rewrite it.}]
"""


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_method_file_and_the_nearest_examples_go_through_two_rounds(tmp_path: Path) -> None:
    """The components run from the text of the recipe alone: the file is gone by then."""
    (tmp_path / "steps.yaml").write_text(STEPS)
    with (tmp_path / "annotated.jsonl").open("w") as file:
        for p in datasets.load(Source(format="generated", count=60, seed=6, split="train")):
            both = dict(p.solutions) | ({"steps": p.solutions["text"]} if "text" in p.solutions else {})
            file.write(json.dumps({"question": p.question, "answer": p.answer, "solutions": both}) + "\n")
    recipe = to_data(small_config(tmp_path / "out"))
    recipe["problems"]["annotated"] = [{"format": "jsonl", "path": str(tmp_path / "annotated.jsonl")}]
    recipe["problems"]["related"] = []
    recipe["problems"]["train"][0]["limit"], recipe["problems"]["test"][0]["limit"] = 12, 6
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    settings = [
        "methods=[text, code, steps]", f"method_files=[{tmp_path / 'steps.yaml'}]", "train.steps=3",
        "prompt.style=few-shot", "prompt.shots=1", "prompt.demonstrations=nearest",
        "loop.rounds=2", "loop.controls=[]", "loop.plateau=continue", "loop.min_new=0",
    ]  # fmt: skip
    config = recipes.load(str(tmp_path / "recipe.yaml"), settings)
    (tmp_path / "steps.yaml").unlink()
    local.run(config, tmp_path / "log", unseen)
    made, store = manifests(config), FolderStore(Path(config.out))
    drawn = list(records(store, made["2.mmst.sample"], Sample))
    asked = {"text": "Text:", "code": "Python:", "steps": "Text:"}
    assert Counter(s.method for s in drawn) == dict.fromkeys(asked, 24)
    known = {p.question: p for p in records(store, made["0.base.prepare"], Problem, "annotated-")}
    for s in drawn:
        _, shown, last = s.prompt.split("Question: ")
        question, solution = shown.strip().split(f"\n{asked[s.method]}\n")
        assert known[question].solutions[s.method] == solution
        assert not last.startswith(question)
    assert {c.sample.method for c in records(store, made["2.mmst.verify"], CheckedSample)} == asked.keys()
    assert made["2.mmst.promote"].result(Promoted).decision.reason


def test_a_stage_s_own_error_reaches_the_one_who_started_the_run(tmp_path: Path) -> None:
    sampling = {"backend": "openai", "url": "http://127.0.0.1:9/openai/v1", "deadline": 2.0}
    config = small_config(tmp_path / "out", sampling=sampling)
    with pytest.raises(SamplerError, match=r"127\.0\.0\.1:9") as caught:
        local.run(config, tmp_path / "log", unseen)
    assert caught.value.exit_code == 4
    assert "sample-heldout" in str(caught.value)


def test_what_killed_runs_left_beside_the_log_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        returncode = 0

        def communicate(self, given: bytes) -> None:
            """A graph with nothing to do."""

    (tmp_path / "failure-k1lled").mkdir()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Ended())
    local.run(parse({}), tmp_path, unseen)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.jsonl", "kfp", "run.log"]


def test_events_of_every_stage_reach_the_display(finished: tuple[Config, dict[str, Manifest]]) -> None:
    config, _ = finished
    lines = (Path(config.out).parent / "log" / "events.jsonl").read_text().splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_what_is_set_on_this_machine_wins_over_what_pods_would_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMST_DATA", "/here")
    monkeypatch.delenv("MMST_OTHER", raising=False)
    config = parse({"cluster": {"env": ["MMST_DATA=/mnt/data", "MMST_OTHER=a=b"]}})
    assert local.placed(config).cluster.env == ("MMST_OTHER=a=b",)
