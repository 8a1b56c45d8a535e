"""Sampling: solutions of every problem by every method, drawn from one checkpoint.

What is drawn depends on the `purpose`:

    train     `sampling.k` solutions at `sampling.temperature` of each training problem, labelled or not
    heldout   one greedy solution (index 0, for pass@1) of each held-out problem, and
              `evaluate.k` at `evaluate.temperature` (index 1 …, for pass@k and the vote)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from mmst.core import plugin_keys
from mmst.core.config import Config, PromptConfig
from mmst.core.manifest import Manifest, Place
from mmst.core.method_files import MethodFile
from mmst.core.ports import Completion, Engines, Request
from mmst.core.records import Problem, Sample, seed_of, short_id
from mmst.core.results import SampleCounts
from mmst.core.served import Served, asked_by, recorded_sha256, served
from mmst.core.stage import QUIET, Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.methods import method
from mmst.methods.prompts import Render, asked, solve_head, solve_messages, solve_prompt, stop_strings
from mmst.models import trusted
from mmst.stages import demonstrations
from mmst.stages.demonstrations import Demonstrations
from mmst.stages.generation import draw, drawn
from mmst.stages.reads import LEARNT, Checkpoint, Problems

PREFIXES: Mapping[str, str | tuple[str, ...]] = {"train": LEARNT, "heldout": "heldout-"}
"""Purpose → the shards of the problem set that are sampled."""


class Draws(NamedTuple):
    """How solutions are drawn: `k` of each problem and method."""

    k: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


class Recorded(NamedTuple):
    """Completions of a file, `k` at most of each problem and method. Nobody draws them."""

    sha256: str
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the samples of a purpose depend on: how they are drawn, or which were recorded."""

    purpose: str
    methods: tuple[str, ...]
    prompt: PromptConfig
    shard: int
    drawn: Draws | None = field(default=None, metadata=QUIET)
    dtype: str = field(default="", metadata=QUIET)
    trust_remote_code: str = field(default="", metadata=QUIET)
    recorded: Recorded | None = field(default=None, metadata=QUIET)
    served: Served | None = field(default=None, metadata=QUIET)
    method_files: tuple[MethodFile, ...] = field(default=(), metadata=QUIET)
    near: float | None = field(default=None, metadata=QUIET)
    writer: str = field(default="", metadata=QUIET)
    protocol: str = field(default="", metadata=QUIET)

    @classmethod
    def of(cls, config: Config, purpose: str) -> Settings:
        """Those of a recipe."""
        s, e, p = config.sampling, config.evaluate, config.prompt
        if purpose == "train" and s.backend == "recorded":
            return cls(
                purpose=purpose,
                methods=config.methods,
                prompt=PromptConfig(phrasing=p.phrasing),
                shard=s.shard,
                recorded=Recorded(recorded_sha256(s), s.k),
                method_files=config.filed,
                writer=config.writer,
            )
        k, temperature = (s.k, s.temperature) if purpose == "train" else (e.k, e.temperature)
        return cls(
            purpose=purpose,
            methods=config.methods,
            prompt=asked(p),
            shard=s.shard,
            drawn=Draws(k, temperature, s.top_p, s.max_tokens, s.seed),
            dtype=config.model.dtype,
            trust_remote_code=trusted(config.model),
            method_files=config.filed,
            near=config.near,
            writer=config.writer,
            protocol=asked_by(config),
        )

    @property
    def how(self) -> Draws:
        """As `drawn`; of what is recorded, nothing but how many."""
        return self.drawn or Draws(self.recorded.k if self.recorded else 0, 0.0, 1.0, 1, 0)


class Sampling(Stage[Settings]):
    """Draw solutions of the problems from a model, by every method.

    Example:

      mmst sample -r demo --problems stages/prepare/3f… --checkpoint stages/base/9a… --step sample-heldout
    """

    name, version = "sample", 2
    steps: ClassVar = {
        "sample": "of the problems to train on",
        "sample-heldout": "of those held out: greedy, to evaluate",
    }
    writes: ClassVar = {"shard": Sample}

    def settings(self, config: Config, place: Place) -> Settings:
        """By the step: to train on, or held out. `ConfigError` for an unknown method."""
        for name in config.methods:
            method(name, config.method_files)
        return Settings.of(config, "heldout" if place.step == "sample-heldout" else "train")

    def seen(self, settings: Settings, engines: Engines, inputs: Mapping[str, Manifest]) -> Settings:
        """Who answers in the checkpoint's place."""
        return settings if settings.recorded else replace(settings, served=served(engines.config, inputs["checkpoint"]))

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of methods and sampler."""
        return plugin_keys.of_samples(config)

    def work(self, job: Job[Settings], problems: Problems, checkpoint: Checkpoint) -> Made:
        """Sample the problems; a restart makes only the shards that are missing.

        Shards hold the samples of a problem together. Raises `DataError` or `ModelError` before anything is
        sampled, `SamplerError` when the model or too many requests fail.
        """
        settings, store = job.settings, job.ports.store
        render = job.ports.renderer(checkpoint) if settings.prompt.style == "chat" else None
        shown = demonstrations.stored(store, problems, settings.prompt, settings.near, settings.methods)
        counts, methods = Counter[str](), Counter(dict.fromkeys(settings.methods, 0))

        def parts() -> Iterator[tuple[str, list[Ask]]]:
            found = records(store, problems, Problem, PREFIXES[settings.purpose])
            for shard, part in sharded(found, settings.shard):
                yield shard, list(requests(part, settings, render, shown))

        def ask(part: Sequence[Ask]) -> None:
            counts["problems"] += len({ask.request.problem_id for ask in part})
            counts["asked"] += sum(ask.request.n for ask in part)

        def answer(sample: Sample) -> None:
            counts["failed" if sample.failed else "samples"] += 1
            if not sample.failed:
                counts["tokens"] += sample.tokens
                methods[sample.method] += 1

        def record(ask: Ask, i: int, completion: Completion) -> Sample:
            return sampled(ask, ask.first + i, completion, who, settings.writer)

        recorded = settings.recorded is not None
        who = "recorded" if recorded else str(settings.served or checkpoint.digest)
        shards = draw(job, checkpoint, parts, record, asked=ask, answered=answer, unit="samples", recorded=recorded)
        made = SampleCounts(**counts, methods=methods)
        return Made(shards=shards, counts=made, result=settings.served, measured={"tokens": counts["tokens"]})


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, and the index that its first completion has among the problem's samples."""

    request: Request
    first: int


def requests(
    problems: Iterable[Problem], settings: Settings, render: Render | None, shown: Demonstrations | None = None
) -> Iterator[Ask]:
    """What is asked of the model about each problem, method by method, with the worked examples `shown`.

    A request's seed follows from the run's seed, problem, method and purpose, so it doesn't
    depend on which other problems there are.
    """
    p, how = settings.prompt, settings.how
    draws = [(0, how.k, how.temperature)]
    if settings.purpose == "heldout":
        draws = [(0, 1, 0.0), (1, how.k, how.temperature)]
    methods = {name: method(name, settings.method_files) for name in settings.methods}
    common = None if shown is None else ()  # examples of a problem's own are shared with no other
    shared = {name: len(solve_head(m, p.style, p.shots, p.phrasing, common)) for name, m in methods.items()}
    for problem in problems:
        for name in problem.by(settings.methods):
            m, worked = methods[name], None if shown is None else shown.of(problem.id, problem.question, name)
            prompt = solve_prompt(m, problem.question, p.style, p.shots, render, p.phrasing, worked)
            messages = solve_messages(m, problem.question, p.phrasing) if p.style == "chat" else ()
            seed = seed_of(how.seed, problem.id, name, settings.purpose) if settings.drawn else 0
            for first, n, temperature in draws:
                if n:
                    request = Request(
                        id=f"{problem.id}/{name}/{first}",
                        prompt=prompt,
                        n=n,
                        seed=seed,
                        temperature=temperature,
                        top_p=how.top_p,
                        max_tokens=how.max_tokens,
                        stop=stop_strings(p.style, p.stop),
                        problem_id=problem.id,
                        question=problem.question,
                        method=name,
                        shared=shared[name],
                        messages=messages,
                    )
                    yield Ask(request, first)


def sampled(ask: Ask, index: int, completion: Completion, model: str, writer: str = "") -> Sample:
    """The record of one completion."""
    r = ask.request
    name = short_id("s", model, r.problem_id, r.method, index, r.seed, r.temperature, *filter(None, [writer]))
    return Sample(id=name, index=index, model=model, writer=writer, **drawn(r, completion))
