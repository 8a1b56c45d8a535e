"""A made-up run in a real store: what each stage would have written, without any model."""

from pathlib import Path
from typing import Any

from mmst.core.config import Config, parse, run_id
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Store
from mmst.core.records import (
    CheckedSample,
    Decision,
    Example,
    Problem,
    Report,
    Sample,
    Score,
    Split,
    Translation,
    Verdict,
    to_data,
)
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.runs.summary import record_config
from mmst.storage.folder import FolderStore

CONFIG: dict[str, Any] = {
    "name": "made",
    "title": "A made-up run",
    "problems": {"train": [{"format": "generated", "count": 2}], "test": [{"format": "generated", "count": 2}]},
    "loop": {"controls": ["annotated-only"]},
}
PROBLEMS = [
    Problem(id=f"p-{i}", question=f"What is {i} [red] and {i}?", answer=str(2 * i), source="made", split=Split.TRAIN)
    for i in range(3)
]


def made_config(out: Path, style: str = "plain", **sections: Any) -> Config:
    """The recipe of the made-up run."""
    return parse(CONFIG | {"out": str(out), "prompt": {"style": style}, **sections})


def sample_of(problem: Problem, method: str, completion: str) -> Sample:
    """A sample of a problem."""
    return Sample(
        id=f"s-{problem.id}-{method}",
        problem_id=problem.id,
        method=method,
        index=0,
        prompt=f"Question: {problem.question}\n{method}:\n",
        completion=completion,
        finish="stop",
        prompt_tokens=9,
        tokens=4,
        seed=1,
        model="sha256:base",
    )


def report_of(round: int, arm: str, rate: float) -> Report:
    """A report in which every method has the same accuracy."""
    scores = tuple(
        Score(task=task, method=method, n=200, pass_at_1=rate, low=rate - 0.05, high=rate + 0.05)
        for task in ("main", "related")
        for method in ("text", "code", "*")
    )
    return Report(checkpoint=f"sha256:{round}{arm}", heldout="sha256:h", round=round, arm=arm, scores=scores)


class Made:
    """Writes stages as part of the run."""

    def __init__(self, out: Path, *, style: str = "plain", **sections: Any) -> None:
        self.config = made_config(out, style, **sections)
        self.run = run_id(self.config)
        self.store: Store = FolderStore(out)
        record_config(self.store, self.config)

    def stage(
        self,
        round: int,
        arm: str,
        step: str,
        shards: dict[str, list[Any]] | None = None,
        finish: bool = True,
        inputs: dict[str, Manifest | None] | None = None,
        **result: Any,
    ) -> Manifest | None:
        """One stage with these shards, made of `inputs`, complete unless `finish` is false."""
        stage = StageFolder.open(
            self.store,
            step.split("-")[0],
            version=1,
            config=[round, arm, step],
            inputs={name: m for name, m in (inputs or {}).items() if m is not None},
            place=Place(run=self.run, round=round, arm=arm, step=step),
        )
        for name, content in (shards or {}).items():
            stage.write_records(name, content)
        return stage.finish(shards=list(shards or {}), **result) if finish else None

    def whole(self) -> str:
        """A base model and one round with a control; returns the run's name."""
        problems = self.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS}, counts={"train": 3})
        base = {"report": to_data(report_of(0, "base", 0.4)), "families": {"main/text/add": [8, 20]}}
        self.stage(0, "base", "evaluate", facts=base, timing={"seconds": 1.0})
        right, wrong = sample_of(PROBLEMS[1], "code", "print(1 + 1)"), sample_of(PROBLEMS[1], "text", "1 + 1 = 3")
        checked = [
            CheckedSample(sample=right, verdict=Verdict.PASSED, solution="print(1 + 1)", answer="2"),
            CheckedSample(sample=wrong, verdict=Verdict.WRONG, solution="1 + 1 = 3", answer="3", detail="gold 2"),
        ]
        counts = {"asked": 2, "passed": 1, "wrong": 1, "code.asked": 1, "code.passed": 1, "text.asked": 1}
        self.stage(1, "mmst", "sample", {shard_name(0): [right, wrong]}, counts={"asked": 2})
        own = self.stage(1, "mmst", "verify", {shard_name(0): checked}, counts=counts, timing={"seconds": 2.0})
        fields = to_data(sample_of(PROBLEMS[1], "text", "1 + 1 = 2")) | {"id": "t-1", "source_sample": right.id}
        translation = Translation(**fields | {"source_method": "code"})
        again = CheckedSample(sample=translation, verdict=Verdict.PASSED, solution="1 + 1 = 2", answer="2")
        counts = {"asked": 1, "passed": 1, "text.asked": 1, "text.passed": 1}
        others = self.stage(1, "mmst", "verify-translations", {shard_name(0): [again]}, counts=counts)
        example = Example(
            problem_id="p-1",
            method="text",
            prompt="Question: …\nText:\n",
            completion="1 + 1 = 2",
            origin="translation",
            lineage=("t-1", right.id),
        )
        counts = {"new": 1, "new.text.translation": 1}
        made_of = {"problems": problems, "checked": own, "translated": others}
        self.stage(1, "mmst", "build_trainset", {"new-00000.jsonl": [example]}, counts=counts, inputs=made_of)
        self.stage(1, "mmst", "evaluate", facts={"report": to_data(report_of(1, "mmst", 0.5)), "families": {}})
        self.stage(1, "annotated-only", "train", timing={"seconds": 3.0})
        self.stage(1, "annotated-only", "evaluate", facts={"report": to_data(report_of(1, "annotated-only", 0.45))})
        decision = Decision(
            promote=True,
            challenger="sha256:1mmst",
            champion="sha256:0base",
            round=1,
            reason="better by 10.0 points",
            gain=0.1,
            p_value=0.01,
        )
        self.stage(1, "mmst", "promote", facts={"decision": to_data(decision)})
        self.stage(1, "mmst", "report", {shard_name(0): []}, finish=False)
        return self.run
