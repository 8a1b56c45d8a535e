"""Translation: correct solutions of one method, rewritten by the model into every other method.

This is what makes the training *multi*-method (arXiv 2307.10633, section 3): a problem that one
method solves yields an example for the others. A translation is not trusted: the verify stage
runs on it as on any sample.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mmst.core import plugin_keys
from mmst.core.config import Config, identity
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Completion, Engines, Request
from mmst.core.records import CheckedSample, Problem, Translation, seed_of, short_id
from mmst.core.stage import Stage, records, sharded
from mmst.methods import method
from mmst.methods.prompts import Render, prompt_identity, solve_prompt, stop_strings, translate_prompt
from mmst.stages.generation import draw, drawn

VERSION = 3


@dataclass(frozen=True, slots=True)
class Job:
    """One correct solution to be rewritten into one method, with the request that asks for it."""

    source: CheckedSample
    target: str
    target_prompt: str
    request: Request


def run(engines: Engines, place: Place, problems: Manifest, checked: Manifest, checkpoint: Manifest) -> Manifest:
    """Translate the correct solutions in `checked` with the model `checkpoint`.

    Shards hold `Translation` records; counts: `sources` (solutions translated), `translations`,
    `failed` (those whose requests failed for good), `tokens`, and one `SOURCE→TARGET` per direction.
    """
    config, store = engines.config, engines.store
    stage = Stage.open(
        store,
        "translate",
        version=VERSION,
        config=config_slice(config),
        place=place,
        inputs={"problems": problems, "checked": checked, "checkpoint": checkpoint},
    )
    if stage.manifest is not None:
        return stage.manifest
    started = time.monotonic()
    render = engines.renderer(checkpoint) if config.prompt.style == "chat" else None
    questions = {p.id: p.question for p in records(store, problems, Problem, "train-")}

    def parts() -> Iterator[tuple[str, list[Job]]]:
        return sharded(
            requests(records(store, checked, CheckedSample), questions, config, render), config.sampling.shard
        )

    def record(job: Job, index: int, completion: Completion) -> Translation:
        return translated(job, index, completion, checkpoint.digest)

    shards, counts = [], Counter({"failed": 0})
    for shard, part in parts():
        shards.append(shard)
        counts["sources"] += len({job.source.sample.id for job in part})
        for job in part:
            counts[f"{job.source.sample.method}→{job.target}"] += job.request.n
    draw(engines, stage, checkpoint, parts, record, unit="translations")
    for shard in shards:
        for translation in stage.read_records(shard, Translation):
            counts["failed" if translation.failed else "translations"] += 1
            counts["tokens"] += translation.tokens
    seconds = time.monotonic() - started
    return stage.finish(shards=shards, counts=counts, timing={"seconds": seconds, "tokens": counts["tokens"]})


def config_slice(config: Config) -> dict[str, object]:
    """The settings that a translation depends on."""
    sampling = config.sampling
    return {
        "translate": identity(config.translate),
        "methods": list(config.methods),
        "prompt": prompt_identity(config.prompt),
        "sampling": [sampling.seed, sampling.max_tokens, sampling.top_p, sampling.shard],
        "dtype": config.model.dtype,
        **plugin_keys.in_key(plugin_keys.of_samples(config)),
    }


def requests(
    checked: Iterable[CheckedSample], questions: Mapping[str, str], config: Config, render: Render | None
) -> Iterator[Job]:
    """What is to be translated, in the order of `checked` (the samples of a problem stand together).

    Per problem and method, the first `translate.sources` correct solutions that differ by more
    than layout; each into every other method.
    """
    p, t = config.prompt, config.translate
    for problem_id, group in itertools.groupby(checked, key=lambda c: c.sample.problem_id):
        question = questions[problem_id]
        for source in distinct(group, t.sources):
            own = method(source.sample.method)
            for target in config.methods:
                if target == own.name:
                    continue
                into = method(target)
                yield Job(
                    source=source,
                    target=target,
                    target_prompt=solve_prompt(into, question, p.style, p.shots, render, p.phrasing),
                    request=Request(
                        id=f"{source.sample.id}→{target}",
                        prompt=translate_prompt(
                            own, into, question, source.solution, p.style, p.shots, render, p.phrasing
                        ),
                        n=t.n,
                        seed=seed_of(config.sampling.seed, "translate", source.sample.id, target),
                        temperature=t.temperature,
                        top_p=config.sampling.top_p,
                        max_tokens=config.sampling.max_tokens,
                        stop=stop_strings(p.style, p.stop),
                        problem_id=problem_id,
                        question=question,
                        method=target,
                    ),
                )


def distinct(checked: Iterable[CheckedSample], most: int) -> Iterator[CheckedSample]:
    """The first `most` correct solutions per method that are not the same but for layout."""
    seen: dict[str, set[str]] = {}
    for c in checked:
        found = seen.setdefault(c.sample.method, set())
        if c.teaches and len(found) < most and (form := method(c.sample.method).canonical(c.solution)) not in found:
            found.add(form)
            yield c


def translated(job: Job, index: int, completion: Completion, model: str) -> Translation:
    """The record of one completion, with its lineage."""
    source = job.source.sample
    return Translation(
        id=short_id("t", model, source.id, job.target, index, job.request.seed),
        index=index,
        model=model,
        source_sample=source.id,
        source_method=source.method,
        target_prompt=job.target_prompt,
        **drawn(job.request, completion),
    )
