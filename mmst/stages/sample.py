"""Sampling: solutions of every problem by every method, drawn from one checkpoint.

What is drawn depends on the `purpose`:

    train     `sampling.k` solutions at `sampling.temperature` of each training problem
    heldout   one greedy solution (index 0, for pass@1) of each held-out problem, and
              `evaluate.k` at `evaluate.temperature` (index 1 …, for pass@k and the vote)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmst.core import plugin_keys
from mmst.core.config import Config
from mmst.core.errors import ConfigError
from mmst.core.hashes import file_sha256
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Completion, Engines, Request
from mmst.core.records import Problem, Sample, seed_of, short_id
from mmst.core.stage import Stage, records, sharded
from mmst.methods import method
from mmst.methods.prompts import Render, prompt_identity, solve_prompt, stop_strings
from mmst.stages.generation import draw, drawn

VERSION = 2
PREFIXES = {"train": "train-", "heldout": "heldout-"}
"""Purpose → the shards of the problem set that are sampled."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and the index that its first completion has among the problem's samples."""

    request: Request
    first: int


def run(engines: Engines, place: Place, problems: Manifest, checkpoint: Manifest, purpose: str) -> Manifest:
    """Sample the problems for a purpose; a restart makes only the shards that are missing.

    Shards hold `Sample` records, those of a problem together. Counts: `problems`, `asked`
    (completions asked for), `samples` and `METHOD.samples` (those that there are), `failed` (those
    whose requests failed for good), `tokens`. Raises `ConfigError`, `DataError` or `ModelError`
    before anything is sampled, `SamplerError` when the model or too many requests fail.
    """
    config, store = engines.config, engines.store
    if purpose not in PREFIXES:
        raise ConfigError("unknown purpose of sampling", value=purpose, remedy=f"one of {', '.join(PREFIXES)}")
    for name in config.methods:
        method(name)
    recorded = purpose == "train" and config.sampling.backend == "recorded"
    stage = Stage.open(
        store,
        "sample",
        version=VERSION,
        config=config_slice(config, purpose),
        place=place,
        inputs={"problems": problems, "checkpoint": checkpoint},
    )
    if stage.manifest is not None:
        return stage.manifest
    started = time.monotonic()
    render = engines.renderer(checkpoint) if config.prompt.style == "chat" and not recorded else None

    counts = Counter(dict.fromkeys(("problems", "asked", "samples", "failed", "tokens"), 0))
    counts.update({f"{name}.samples": 0 for name in config.methods})

    def parts() -> Iterator[tuple[str, list[Ask]]]:
        for shard, part in sharded(records(store, problems, Problem, PREFIXES[purpose]), config.sampling.shard):
            yield shard, list(requests(part, config, purpose, render))

    def record(ask: Ask, i: int, completion: Completion) -> Sample:
        return sampled(ask, ask.first + i, completion, "recorded" if recorded else checkpoint.digest)

    shards = []
    for shard, asks in parts():
        shards.append(shard)
        counts["problems"] += len({ask.request.problem_id for ask in asks})
        counts["asked"] += sum(ask.request.n for ask in asks)
    draw(engines, stage, checkpoint, parts, record, unit="samples", recorded=recorded)
    for shard in shards:
        for sample in stage.read_records(shard, Sample):
            if sample.failed:
                counts["failed"] += 1
            else:
                counts.update({"samples": 1, f"{sample.method}.samples": 1, "tokens": sample.tokens})
    seconds = time.monotonic() - started
    return stage.finish(shards=shards, counts=counts, timing={"seconds": seconds, "tokens": counts["tokens"]})


def config_slice(config: Config, purpose: str) -> dict[str, object]:
    """The settings that the samples of a purpose depend on."""
    s = config.sampling
    asked = {"methods": list(config.methods), "prompt": prompt_identity(config.prompt)}
    common = {"purpose": purpose, **asked, "shard": s.shard, **plugin_keys.in_key(plugin_keys.of_samples(config))}
    if purpose == "train" and s.backend == "recorded":
        path = Path(s.recorded)
        if not path.is_file():
            raise ConfigError("sampling.recorded is not a file", value=s.recorded, remedy="check the path")
        return {**common, "recorded": file_sha256(path), "k": s.k}
    drawn = [s.k, s.temperature] if purpose == "train" else [config.evaluate.k, config.evaluate.temperature]
    return {**common, "drawn": [*drawn, s.top_p, s.max_tokens, s.seed], "dtype": config.model.dtype}


def requests(problems: Iterable[Problem], config: Config, purpose: str, render: Render | None) -> Iterator[Ask]:
    """What is asked of the model about each problem, method by method.

    A request's seed follows from the run's seed, problem, method and purpose, so it doesn't
    depend on which other problems there are.
    """
    s = config.sampling
    style = "plain" if purpose == "train" and s.backend == "recorded" else config.prompt.style
    if purpose == "train":
        draws = [(0, s.k, s.temperature)]
    else:
        draws = [(0, 1, 0.0), (1, config.evaluate.k, config.evaluate.temperature)]
    for problem in problems:
        for name in config.methods:
            prompt = solve_prompt(
                method(name), problem.question, style, config.prompt.shots, render, config.prompt.phrasing
            )
            for first, n, temperature in draws:
                if n:
                    request = Request(
                        id=f"{problem.id}/{name}/{first}",
                        prompt=prompt,
                        n=n,
                        seed=seed_of(s.seed, problem.id, name, purpose),
                        temperature=temperature,
                        top_p=s.top_p,
                        max_tokens=s.max_tokens,
                        stop=stop_strings(style, config.prompt.stop),
                        problem_id=problem.id,
                        question=problem.question,
                        method=name,
                    )
                    yield Ask(request, first)


def sampled(ask: Ask, index: int, completion: Completion, model: str) -> Sample:
    """The record of one completion."""
    r = ask.request
    name = short_id("s", model, r.problem_id, r.method, index, r.seed, r.temperature)
    return Sample(id=name, index=index, model=model, **drawn(r, completion))
