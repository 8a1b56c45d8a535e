"""The examples in every --help, run as they are printed: what is heavy in them is replaced, the words are not."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mmst import models, wiring
from mmst.cli import app, rollout, submit
from mmst.cli import run as run_command
from mmst.core import stored
from mmst.core.errors import Stopped
from mmst.core.manifest import Manifest
from mmst.retrain.trigger import Triggered
from mmst.runner import run_stage
from mmst.runs import problem_history
from mmst.sandbox.providers.subprocess import SubprocessSandbox
from tests.support import runs
from tests.support.runs import Made


def printed() -> Iterator[tuple[str, str]]:
    """(command, example), as a terminal that is wide enough shows them."""
    commands: dict[str, Any] = get_command(app.app).commands  # type: ignore[attr-defined]
    names = [
        [name, *sub] for name, c in commands.items() for sub in ([[s] for s in getattr(c, "commands", {})] or [[]])
    ]
    for words in [[], *names]:
        wide = {"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"}
        text = CliRunner(env=wide).invoke(app.app, [*words, "--help"]).output
        for line in re.sub(r" \\\s*\n\s*", " ", text).splitlines():
            if found := re.match(r"\s*(?:\w+=\S+ )*(mmst .*?)(?:\s*│)?\s*$", line):
                yield " ".join(words) or "mmst", found[1]


EXAMPLES = list(printed())


def test_every_command_has_an_example_that_is_run() -> None:
    assert len({command for command, _ in EXAMPLES}) >= 30


@pytest.mark.parametrize(("command", "example"), EXAMPLES, ids=[e for _, e in EXAMPLES])
def test_an_example_is_taken_as_it_is_printed(
    command: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    surroundings(tmp_path, monkeypatch)
    if command == "experiment":
        (tmp_path / "my.yaml").write_text("{recipe: demo, vary: {sampling.seed: 1}, arms: {base: {}}}")
    line, _, _ = example.partition(" | ")
    line, _, _ = line.partition(" > ")
    arguments = shlex.split(line.partition("#")[0])[1:]
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123
    code = app.main(arguments)
    said = capsys.readouterr()
    # The one that goes on until it is stopped is.
    assert code == (130 if arguments[0] == "rollout" and "--once" not in arguments else 0), said.err + said.out


def surroundings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples speak of, and nothing that takes seconds, a cluster or a bucket."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    files(folder)
    monkeypatch.setenv("MMST_DATA", str(folder))
    monkeypatch.setitem(runs.CONFIG, "name", "demo")
    made = Made(folder / "store")
    made.whole()
    any_stage = Manifest(stage="train", key="k", inputs={}, files=(), counts={"samples": 3})
    monkeypatch.setattr(wiring, "open_store", lambda uri: made.store)
    monkeypatch.setattr(wiring, "release_settings", lambda namespace: "out: s3://bucket/runs")
    monkeypatch.setattr(wiring, "in_cluster", lambda *_: [])
    monkeypatch.setattr(wiring, "failures", lambda *_: [])
    monkeypatch.setattr(wiring, "records", lambda namespace: SimpleNamespace(read=lambda name: None))
    monkeypatch.setattr(wiring.Wired, "rollout", lambda self, model, tell: Settled())
    monkeypatch.setattr(wiring, "sandbox", lambda *_: SubprocessSandbox(1))
    monkeypatch.setattr(stored, "load", lambda *_: any_stage)
    monkeypatch.setattr(run_stage, "run", lambda *_, **__: any_stage)
    monkeypatch.setattr(run_command, "run_here", lambda config: None)
    monkeypatch.setattr("mmst.experiments.outcomes.measured", lambda states, arms: arms)
    monkeypatch.setattr("mmst.experiments.results.write", lambda *_: WRITTEN)
    monkeypatch.setattr("mmst.pipelines.compile.compile_to", lambda *_, **__: None)
    monkeypatch.setattr(submit, "reached", lambda *_: Submitted())
    monkeypatch.setattr(rollout, "EVERY", 0)
    monkeypatch.setattr(submit, "watch", lambda *_, **__: "SUCCEEDED")
    monkeypatch.setattr("mmst.preflight.recipe.for_cluster", lambda config: None)
    for how in ("ensure", "attach"):
        done = Triggered(name="retrain-1", run="1", state="", made=True)
        monkeypatch.setattr(f"mmst.retrain.trigger.{how}", lambda *_, done=done, **__: done)
    monkeypatch.setattr("mmst.preflight.cluster.examine", lambda *_: [])
    monkeypatch.setattr("mmst.preflight.machine.examine", lambda out: [])
    monkeypatch.setattr("mmst.core.weights.checkpoint_folder", lambda *_: folder)
    monkeypatch.setattr("mmst.inference.server.app.serve", lambda *_, **__: None)
    monkeypatch.setattr("mmst.view.server.serve", lambda *_, **__: None)
    shipped = models.model_folder("mmst:tiny")
    monkeypatch.setattr(models, "model_folder", lambda model: shipped)
    monkeypatch.setattr("mmst.models.hub.snapshot", lambda model: (shipped, "me/small", "0" * 40))
    monkeypatch.setattr("mmst.models.gguf.convert", lambda *_: None)
    told = problem_history.story
    monkeypatch.setattr(problem_history, "story", lambda opened, name, problem, index: told(opened, name, "", None))
    found = problem_history.find_sample
    monkeypatch.setattr(problem_history, "find_sample", lambda opened, name, sample: found(opened, name, "s-p-1-code"))


def files(folder: Path) -> None:
    """The files that the examples name."""
    rows = {
        "solutions.jsonl": {"id": 1, "program": "print(1)", "solution": "The answer is 1."},
        "verdicts.jsonl": {"id": 1, "verdict": "ok", "stdout": "1\n"},
        "pairs.jsonl": {"id": 1, "gold": "1", "answer": "1"},
        "gsm8k/test.jsonl": {"question": "What is 1 + 2?", "answer": "It is 3.\n#### 3"},
    }
    for name, row in rows.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(row) + "\n")
    lines = (
        json.dumps({"question": f"What is {n} + 5?", "answer": f"It is {n + 5}.\n#### {n + 5}"}) for n in range(99)
    )
    (folder / "gsm8k/train.jsonl").write_text("\n".join(lines))
    svamp = {
        "ID": "c-1",
        "Body": "Ann has 1.",
        "Question": "How many?",
        "Equation": "1",
        "Answer": 1.0,
        "Type": "",
    }
    (folder / "svamp").mkdir()
    for name in ("SVAMP.json", "svamp/SVAMP.json"):
        (folder / name).write_text(json.dumps([svamp]))
    for name in ("my.yaml", "retrain.yaml"):
        (folder / name).write_text("title: x")


WRITTEN = SimpleNamespace(data={}, outcomes=SimpleNamespace(seeds=[1]), levels=[], findings=[], prefix="experiments/x")


class Settled:
    """A rollout with nothing to do, stopped when it has looked twice."""

    looked = 0

    def settle(self) -> tuple[str, Any]:
        self.looked += 1
        if self.looked > 2:
            raise Stopped("stopped")
        return "idle", SimpleNamespace(champion=None)


class Submitted:
    """Kubeflow Pipelines, which has no run yet."""

    def publish(self) -> tuple[str, str]:
        return "p", "v"

    def named(self, name: str) -> list[Any]:
        return []

    def create(self, name: str) -> str:
        return "1"

    def link(self, run: str) -> str:
        return f"http://kubeflow/{run}"
