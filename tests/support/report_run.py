"""A made-up run in a store, as the stages would have left it: quick, and with hostile text in it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from mmst.core import sealed, stats
from mmst.core.config import parse, run_id
from mmst.core.manifest import LOSSES, Manifest, Place
from mmst.core.records import (
    CheckedSample,
    Decision,
    Outcome,
    Problem,
    Report,
    Sample,
    Score,
    Split,
    Verdict,
    to_data,
    to_json,
)
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import Losses
from mmst.runs.summary import record_config
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes

FAMILIES = ("add", "share equally", "two steps", "percent")
HOSTILE = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>\u202etxt\x00 &lt;ok&gt;"


def engines(folder: Path, **settings: Any) -> Fakes:
    config = parse(
        {
            "name": "demo",
            "title": "A small model teaches itself arithmetic",
            "out": str(folder),
            "loop": {"rounds": 2, "controls": ["no-translation", "annotated-only"]},
            "problems": {"train": [{"format": "generated", "count": 40}]},
            **settings,
        }
    )
    return Fakes(config=config, store=FolderStore(folder))


def problem(i: int, role: str = "train") -> Problem:
    names = ("Ann", "Ben", "Chidi", "Dara")
    return Problem(
        id=f"p-{role}-{i:05d}",
        question=f"{names[i % 4]} has {i + 3} apples and gets {i % 7 + 2} more from a friend. How many are there now?",
        answer=str(i + 3 + i % 7 + 2),
        source="generated",
        split=Split.TRAIN if role == "train" else Split.TEST,
        task="related" if role == "related" else "main",
        family=FAMILIES[i % len(FAMILIES)],
    )


def make_run(e: Fakes, *, problems: int = 40, heldout: int = 60, rounds: int = 2, seed: int = 3) -> str:
    """Write all stages of a run; returns its name."""
    store, config, run = e.store, e.config, run_id(e.config)
    record_config(store, config)
    luck = random.Random(seed)

    def stage(step: str, round: int, arm: str, name: str = "", **inputs: Manifest) -> StageFolder:
        place = Place(run=run, round=round, arm=arm, step=step)
        return StageFolder.open(store, name or step, version=1, config=[round, arm, step], inputs=inputs, place=place)

    def finish(s: StageFolder, **records: Any) -> Manifest:
        shards, timing = records.pop("shards", {}), {"seconds": luck.uniform(1, 90), "tokens": luck.randrange(10**6)}
        for shard, found in shards.items():
            s.write_records(shard, found)
        return s.finish(shards=sorted(shards), timing=timing, **records)

    train = [problem(i) for i in range(problems)]
    prepared = finish(
        stage("prepare", 0, "base"),
        shards={"train-00000.jsonl": train},
        counts={"train": problems, "heldout": heldout, "annotated": 24},
    )
    base = finish(stage("base_model", 0, "base"))
    held = [problem(i, "test") for i in range(heldout)] + [problem(i, "related") for i in range(heldout // 2)]

    def evaluate(round: int, arm: str, rate: float) -> Manifest:
        found = [
            Outcome(
                problem_id=p.id,
                task=p.task,
                family=p.family,
                method=m,
                passed=luck.random() < rate - 0.1 * (m == "text"),
            )
            for p in held
            for m in config.methods
        ]
        scores: list[Score] = []
        passed, asked = Counter[str](), Counter[str]()
        for o in found:
            asked[f"{o.task}/{o.method}/{o.family}"] += 1
            passed[f"{o.task}/{o.method}/{o.family}"] += bool(o.passed)
        for task in ("main", "related"):
            for m in (*config.methods, "*"):
                here = [o for o in found if o.task == task and m in (o.method, "*")]
                n = len(here) if m != "*" else len(here) // 2
                share = sum(bool(o.passed) for o in here) / len(here)
                low, high = stats.wilson(share, n)
                scores.append(Score(task=task, method=m, n=n, pass_at_1=share, low=low, high=high))
        report = Report(
            checkpoint=f"sha256:{round}{arm}", heldout="sha256:h", round=round, arm=arm, scores=tuple(scores)
        )
        return finish(
            stage("evaluate", round, arm, problems=prepared, checkpoint=base),
            shards={"shard-00000.jsonl": found},
            facts={"report": to_data(report), "families": {k: [passed[k], n] for k, n in asked.items()}},
        )

    evaluate(0, "base", 0.5)
    for round in range(1, rounds + 1):
        checked = [checked_sample(luck, p, m, i) for p in train for m in config.methods for i in range(4)]
        drawn = finish(stage("sample", round, "mmst", problems=prepared), counts=_counts(checked, "samples"))
        check = finish(
            stage("verify", round, "mmst", samples=drawn),
            shards={"shard-00000.jsonl": checked},
            counts=_verdicts(checked),
        )
        sources = [c for c in checked if c.passed][:problems]
        rewritten = [translated(luck, c) for c in sources]
        finish(stage("translate", round, "mmst", checked=check), counts=_counts(rewritten, "translations"))
        finish(
            stage("verify-translations", round, "mmst", name="verify", checked=check),
            shards={"shard-00000.jsonl": rewritten},
            counts=_verdicts(rewritten),
        )
        for arm in ("mmst", *config.loop.controls):
            finish(
                stage("build_trainset", round, arm, checked=check),
                counts={"new": 37, "new.text.own": 20, "new.code.own": 9, "new.code.translation": 8, "annotated": 24},
            )
            trained = finish(stage("train", round, arm, checked=check))
            sealed.write(store, f"{trained.ref}/{LOSSES}", to_json(Losses(steps=(1, 2), losses=(0.9, 0.5))))
            measured = evaluate(round, arm, 0.5 + 0.08 * round if arm == "mmst" else 0.53)
        decision = Decision(
            promote=round == 1,
            challenger="sha256:1",
            champion="sha256:0",
            round=round,
            reason="better by +8.0 points (p = 0.003); nothing worse than tolerance 3.0",
            gain=0.08,
            p_value=0.003,
            checks=(
                "main, all methods: +8.0 points (95 % interval +2.1 to +13.9 points): yes",
                "related, text: -0.4: yes",
            ),
        )
        finish(stage("promote", round, "mmst", evaluation=measured), facts={"decision": to_data(decision)})
    return run


def checked_sample(luck: random.Random, p: Problem, method: str, index: int) -> CheckedSample:
    verdict = luck.choices(list(Verdict), [50, 29, 5, 1, 8, 3, 1, 1, 1, 1, 0])[0]
    if method == "text" and verdict is Verdict.NO_PROGRAM:
        verdict = Verdict.NO_ANSWER
    good = verdict is Verdict.PASSED
    answer = p.answer if good else str(int(p.answer) + 1)
    solution = (
        f"a = {answer} - 2\nprint ( a + 2 )"
        if method == "code"
        else f"{answer} - 0 = {answer} .\nThe answer is {answer}"
    )
    if index == 3 and not good:
        solution = HOSTILE
    return CheckedSample(
        sample=Sample(
            id=f"s-{p.id}-{method}-{index}",
            problem_id=p.id,
            method=method,
            index=index,
            prompt=f"Question: {p.question}\nPython:\n",
            completion=solution,
            finish="stop",
            prompt_tokens=20,
            tokens=12,
            seed=index,
            model="sha256:m",
        ),
        verdict=verdict,
        solution=solution,
        answer=answer if good else None,
        detail="" if good else f"answered {answer}, gold {p.answer}",
    )


def translated(luck: random.Random, source: CheckedSample) -> CheckedSample:
    s, into = source.sample, "text" if source.sample.method == "code" else "code"
    good = luck.random() < 0.6
    return CheckedSample(
        sample=Sample(
            id=f"t-{s.id}",
            problem_id=s.problem_id,
            method=into,
            index=0,
            prompt="…",
            completion="…",
            finish="stop",
            prompt_tokens=30,
            tokens=14,
            seed=1,
            model="sha256:m",
            source_sample=s.id,
            source_method=s.method,
        ),
        verdict=Verdict.PASSED if good else Verdict.WRONG,
        solution=f"x = {source.answer}\nprint ( x )" if into == "code" else f"The answer is {source.answer}",
        answer=source.answer if good else "0",
        detail="" if good else "answered 0",
    )


def _verdicts(checked: list[CheckedSample]) -> dict[str, int]:
    counts = Counter[str]()
    for c in checked:
        counts.update((c.verdict.value, "asked", f"{c.sample.method}.{c.verdict.value}", f"{c.sample.method}.asked"))
    return dict(counts)


def _counts(checked: list[CheckedSample], name: str) -> dict[str, int]:
    return {name: len(checked), **{f"{m}.{name}": n for m, n in Counter(c.sample.method for c in checked).items()}}
