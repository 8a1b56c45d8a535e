"""A run with a training set of given samples, as `mmst export` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmst.core.records import CheckedSample, Example, Label, Problem, Split, Translation, Verdict, from_data, to_data
from mmst.core.stage_folder import shard_name
from tests.support.runs import Made, sample_of

PROBLEMS = [
    Problem(id=f"p-{i}", question=f"What is {i} and {i}?", answer=str(2 * i), source="made", split=Split.TRAIN)
    for i in range(6)
]


def checked(problem: Problem, method: str, n: int, verdict: Verdict, **more: Any) -> CheckedSample:
    """The n-th sample of a problem, which says something of its own."""
    said = f"print({n})" if method == "code" else f"It is {n} .\nThe answer is {n}"
    fields = to_data(sample_of(problem, method, said)) | {"id": f"s-{problem.id}-{method}-{n}", "index": n}
    sample = from_data(type(sample_of(problem, method, said)), fields)
    return CheckedSample(sample=sample, verdict=verdict, solution=said, answer=str(n), **more)


def translated(source: CheckedSample, problem: Problem, verdict: Verdict = Verdict.PASSED) -> CheckedSample:
    """Its translation into text."""
    fields = to_data(sample_of(problem, "text", f"Say {source.answer}")) | {"id": f"t-{source.sample.id}"}
    prompt = sample_of(problem, "text", "").prompt
    fields |= {"source_sample": source.sample.id, "source_method": "code", "target_prompt": prompt, "prompt": "Rewrite"}
    made = from_data(Translation, fields)
    return CheckedSample(sample=made, verdict=verdict, solution=made.completion, answer=source.answer)


def example(c: CheckedSample) -> Example:
    s = c.sample
    lineage = (s.id, s.source_sample) if s.source_sample else (s.id,)
    prompt, origin = (s.target_prompt, "translation") if s.source_sample else (s.prompt, "own")
    return Example(
        problem_id=s.problem_id, method=s.method, prompt=prompt, completion=c.solution, origin=origin, lineage=lineage
    )


def run(
    folder: Path, own: Sequence[CheckedSample], others: Sequence[CheckedSample] = (), *, chosen: Any = None,
    heldout: Sequence[Problem] = (), labels: Sequence[Label] = (), style: str = "plain", **sections: Any,
) -> Made:  # fmt: skip
    made = Made(folder / "store", style=style, **sections)
    sets = {"train-00000.jsonl": PROBLEMS, "heldout-00000.jsonl": list(heldout)}
    inputs = {
        "problems": made.stage(0, "base", "prepare", sets),
        "checked": made.stage(1, "mmst", "verify", {shard_name(0): list(own), "label-00000.jsonl": list(labels)}),
        "translated": made.stage(1, "mmst", "verify-translations", {shard_name(0): list(others)}),
    }
    taught = chosen if chosen is not None else [c for c in (*own, *others) if c.passed]
    made.stage(1, "mmst", "build_trainset", {"new-00000.jsonl": [example(c) for c in taught]}, inputs=inputs)
    return made


RIGHT = checked(PROBLEMS[1], "code", 2, Verdict.PASSED)
WRONG = [checked(PROBLEMS[1], "code", n, Verdict.WRONG) for n in (3, 4)]
