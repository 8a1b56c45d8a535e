"""Translation: correct solutions of one method, rewritten by the model into every other method.

This is what makes the training *multi*-method (arXiv 2307.10633, section 3): a problem that one
method solves yields an example for the others. A translation is not trusted: the verify stage
runs on it as on any sample.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from mmst.core import plugin_keys
from mmst.core.config import Config, PromptConfig, TranslateConfig
from mmst.core.errors import ConfigError
from mmst.core.manifest import Manifest, Place
from mmst.core.method_files import MethodFile
from mmst.core.ports import Completion, Engines, Request
from mmst.core.records import CheckedSample, Problem, Sample, Translation, seed_of, short_id
from mmst.core.results import TranslateCounts
from mmst.core.served import Served, asked_by, served
from mmst.core.stage import QUIET, Job, Made, Stage, effective
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.methods import method
from mmst.methods.prompts import (
    Render,
    asked,
    solve_prompt,
    stop_strings,
    translate_head,
    translate_messages,
    translate_prompt,
)
from mmst.models import trusted
from mmst.stages import demonstrations
from mmst.stages.demonstrations import Demonstrations
from mmst.stages.generation import draw, drawn
from mmst.stages.reads import CHECKED, Checked, Checkpoint, Problems


class Draws(NamedTuple):
    """How translations are drawn, as samples are."""

    seed: int
    max_tokens: int
    top_p: float
    shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a translation depends on."""

    translate: TranslateConfig
    methods: tuple[str, ...]
    prompt: PromptConfig
    sampling: Draws
    dtype: str
    trust_remote_code: str = field(default="", metadata=QUIET)
    served: Served | None = field(default=None, metadata=QUIET)
    method_files: tuple[MethodFile, ...] = field(default=(), metadata=QUIET)
    near: float | None = field(default=None, metadata=QUIET)
    writer: str = field(default="", metadata=QUIET)
    protocol: str = field(default="", metadata=QUIET)

    @classmethod
    def of(cls, config: Config) -> Settings:
        """Those of a recipe."""
        s = config.sampling
        return cls(
            translate=effective(config.translate),
            methods=config.methods,
            prompt=asked(config.prompt),
            sampling=Draws(s.seed, s.max_tokens, s.top_p, s.shard),
            dtype=config.model.dtype,
            trust_remote_code=trusted(config.model),
            method_files=config.filed,
            near=config.near,
            writer=config.writer,
            protocol=asked_by(config),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One correct solution to be rewritten into one method, with the request that asks for it."""

    source: CheckedSample
    target: str
    target_prompt: str
    request: Request


class Translate(Stage[Settings]):
    """Let the model rewrite correct solutions of one method into the others.

    Example:

      mmst translate -r demo --problems stages/prepare/3f… --checked stages/verify/c1… --checkpoint stages/base/9a…
    """

    name, version = "translate", 3
    writes: ClassVar = {"shard": Translation}

    def settings(self, config: Config, place: Place) -> Settings:
        """See `Settings`; `ConfigError` where who wrote the solutions is a file."""
        if config.writer and config.sampling.backend == "recorded":
            raise ConfigError(
                "a file of completions translates nothing",
                value=config.writer,
                remedy="give its translations as completions of the other method",
            )
        return Settings.of(config)

    def seen(self, settings: Settings, engines: Engines, inputs: Mapping[str, Manifest]) -> Settings:
        """Who answers in the checkpoint's place."""
        return replace(settings, served=served(engines.config, inputs["checkpoint"]))

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of methods and sampler."""
        return plugin_keys.of_samples(config)

    def work(self, job: Job[Settings], problems: Problems, checked: Checked, checkpoint: Checkpoint) -> Made:
        """Translate the correct solutions in `checked` with the model `checkpoint`."""
        settings, store = job.settings, job.ports.store
        render = job.ports.renderer(checkpoint) if settings.prompt.style == "chat" else None
        shown = demonstrations.stored(store, problems, settings.prompt, settings.near, settings.methods)
        questions = {p.id: p.question for p in records(store, problems, Problem, "train-")}
        who = str(settings.served or checkpoint.digest)
        counts, directions = Counter[str](), Counter[tuple[str, str]]()

        def parts() -> Iterator[tuple[str, list[Asked]]]:
            sources = records(store, checked, CheckedSample, CHECKED)
            found = requests(sources, questions, settings, render, shown)
            return sharded(found, settings.sampling.shard)

        def ask(part: Sequence[Asked]) -> None:
            counts["sources"] += len({a.source.sample.id for a in part})
            for a in part:
                directions[a.source.sample.method, a.target] += a.request.n

        def answer(translation: Sample) -> None:
            counts["failed" if translation.failed else "translations"] += 1
            counts["tokens"] += translation.tokens

        def record(a: Asked, index: int, completion: Completion) -> Translation:
            return translated(a, index, completion, who, settings.writer)

        shards = draw(job, checkpoint, parts, record, asked=ask, answered=answer, unit="translations")
        made = TranslateCounts(**counts, directions=directions)
        return Made(shards=shards, counts=made, result=settings.served, measured={"tokens": made.tokens})


def requests(
    checked: Iterable[CheckedSample],
    questions: Mapping[str, str],
    settings: Settings,
    render: Render | None,
    shown: Demonstrations | None = None,
) -> Iterator[Asked]:
    """What is to be translated, in the order of `checked` (the samples of a problem stand together).

    Per problem and method, the first `translate.sources` correct solutions that differ by more
    than layout; each into every other method.
    """
    p, t, s = settings.prompt, settings.translate, settings.sampling
    for problem_id, group in itertools.groupby(checked, key=lambda c: c.sample.problem_id):
        question = questions[problem_id]
        for source in distinct(group, t.sources, settings.method_files):
            own = method(source.sample.method, settings.method_files)
            for target in settings.methods:
                if target == own.name:
                    continue
                into = method(target, settings.method_files)
                messages = translate_messages(own, into, question, source.solution, p.phrasing)
                worked = None if shown is None else shown.of(problem_id, question, target)
                pairs = None if shown is None else shown.of(problem_id, question, own.name, target)
                common = None if pairs is None else ()
                yield Asked(
                    source=source,
                    target=target,
                    target_prompt=solve_prompt(into, question, p.style, p.shots, render, p.phrasing, worked),
                    request=Request(
                        id=f"{source.sample.id}→{target}",
                        prompt=translate_prompt(
                            own, into, question, source.solution, p.style, p.shots, render, p.phrasing, pairs
                        ),
                        n=t.n,
                        seed=seed_of(s.seed, "translate", source.sample.id, target),
                        temperature=t.temperature,
                        top_p=s.top_p,
                        max_tokens=s.max_tokens,
                        stop=stop_strings(p.style, p.stop),
                        problem_id=problem_id,
                        question=question,
                        method=target,
                        shared=len(translate_head(own, into, p.style, p.shots, p.phrasing, common)),
                        messages=messages if p.style == "chat" else (),
                    ),
                )


def distinct(checked: Iterable[CheckedSample], most: int, files: Sequence[MethodFile] = ()) -> Iterator[CheckedSample]:
    """The first `most` correct solutions per method that are not the same but for layout."""
    seen: dict[str, set[str]] = {}
    for c in checked:
        found = seen.setdefault(c.sample.method, set())
        if not c.teaches or len(found) >= most:
            continue
        if (form := method(c.sample.method, files).canonical(c.solution)) not in found:
            found.add(form)
            yield c


def translated(a: Asked, index: int, completion: Completion, model: str, writer: str = "") -> Translation:
    """The record of one completion, with its lineage."""
    source = a.source.sample
    return Translation(
        id=short_id("t", model, source.id, a.target, index, a.request.seed),
        index=index,
        model=model,
        writer=writer,
        source_sample=source.id,
        source_method=source.method,
        target_prompt=a.target_prompt,
        **drawn(a.request, completion),
    )
