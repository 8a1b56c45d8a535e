"""The training set: which verified solutions, and which annotated ones, the model learns from.

Multi-method self-training (arXiv 2307.10633, section 3) trains every method on its own correct
solutions and on the other methods' solutions rewritten into it. The controls leave parts out; what an arm is
stands in `mmst.core.arms`, and nothing here knows an arm by its name.

Every correct solution ends in one count: `nondeterministic` (its output depends on time or chance),
`unused` (the arm leaves it out), `duplicate`, `capped`, `cut` (balance, or equal counts) or `new`;
these add up to `passed` + `translated_passed`, and `unverified` where wrong translations are taken too.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mmst.core import arms, plugin_keys
from mmst.core.arms import Arm
from mmst.core.config import Config, PromptConfig, PromptStyle, identity
from mmst.core.errors import ConfigError, LeakError
from mmst.core.manifest import Place
from mmst.core.method_files import MethodFile
from mmst.core.records import CheckedSample, Example, Problem
from mmst.core.results import Trainset, TrainsetCounts
from mmst.core.stage import QUIET, WHERE, Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.methods import method
from mmst.methods.prompts import Render, solve_prompt, translate_prompt
from mmst.stages import demonstrations
from mmst.stages.demonstrations import Demonstrations
from mmst.stages.reads import CHECKED, LEARNT, Checkpoint, Problems, Translated, Written
from mmst.stages.selection import Candidate, candidates, looser, select

SHARD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a training set depends on.

    `prompt`: the values of the section `asking`, as the keys have them from the first. `added`: of the arm and those
    that it is cut to, the recipe's own. `prompts`: the styles under which examples are learned, where these are not the
    prompts that were asked with.
    """

    arm: str
    methods: tuple[str, ...]
    cap: int
    balance: bool
    prompt: tuple[Any, ...]
    asking: PromptConfig = field(metadata=WHERE)
    added: Mapping[str, Arm] = field(default_factory=dict, metadata=QUIET)
    prompts: tuple[PromptStyle, ...] = field(default=(), metadata=QUIET)
    method_files: tuple[MethodFile, ...] = field(default=(), metadata=QUIET)
    near: float | None = field(default=None, metadata=QUIET)

    @property
    def known(self) -> Mapping[str, Arm]:
        """The arms that may be named."""
        return {**arms.built_in(self.methods), **self.added}


def _learned_under(config: Config) -> tuple[PromptStyle, ...]:
    """The styles of `Settings.prompts`: what was recorded, and teachers, were not asked as the model will be."""
    style = config.prompt.style
    others = bool(config.teachers) or (config.sampling.backend == "recorded" and style != "plain")
    return config.trainset.prompts or ((style,) if others else ())


class BuildTrainset(Stage[Settings]):
    """Choose the training examples from verified solutions and translations.

    Example:

      mmst build-trainset -r demo --arm own-text --problems stages/prepare/3f… --checked stages/verify/c1… \\
      --translated stages/verify/d2… --checkpoint stages/base/9a…
    """

    name, version = "build_trainset", 2
    writes: ClassVar = {"new": Example, "annotated": Example}

    def settings(self, config: Config, place: Place) -> Settings:
        """Those of the arm at which the stage stands in the run."""
        known = arms.of(config)
        if place.arm not in known:
            raise ConfigError("unknown arm", value=place.arm, remedy=f"arms: {', '.join(known)}")
        return Settings(
            arm=place.arm,
            methods=config.methods,
            cap=config.trainset.cap,
            balance=config.trainset.balance,
            prompt=tuple(identity(config.prompt).values()),
            asking=config.prompt,
            added={n: config.arms[n] for n in (place.arm, *known[place.arm].equal_to) if n in config.arms},
            prompts=_learned_under(config),
            method_files=config.filed,
            near=config.near,
        )

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of methods."""
        return plugin_keys.of_methods(config)

    def work(
        self,
        job: Job[Settings],
        problems: Problems,
        checked: Written,
        translated: Translated,
        checkpoint: Checkpoint,
    ) -> Made:
        """Choose the examples of one arm from own samples (`checked`) and checked translations, of all who wrote.

        `LeakError` when an example is held out. Samples are streamed twice; each correct one costs about 400
        bytes of memory in between.
        """
        settings, ports = job.settings, job.ports
        heldout = {p.id for p in records(ports.store, problems, Problem, "heldout-")}
        prompts = [replace(settings.asking, style=style) for style in settings.prompts] or [settings.asking]
        render = ports.renderer(checkpoint) if any(p.style == "chat" for p in prompts) else None
        filed = settings.method_files
        shown = demonstrations.stored(ports.store, problems, settings.asking, settings.near, settings.methods)
        counts, methods = Counter[str](), Counter[tuple[str, str]]()
        arm = settings.known[settings.arm]
        rivals = [settings.known[name] for name in arm.equal_to]
        sound = any(a.sound for a in (arm, *rivals))
        sources = [m for w in sorted({*checked, *translated}) for m in (checked.get(w), translated.get(w)) if m]

        def samples() -> Iterator[CheckedSample]:
            for source in sources:
                yield from records(ports.store, source, CheckedSample, CHECKED)

        total = sum(e.records for source in sources for e in source.files if e.name.startswith(CHECKED))
        with ports.progress.task("training set", total, "samples") as task:
            pool = list(candidates(samples(), counts, task.advance, keep=arm.keep, sound=sound, files=filed))
        theirs: Sequence[Candidate] = ()
        if keep := looser(arm, rivals):
            theirs = list(candidates(samples(), Counter(), keep=keep, sound=sound, files=filed))
        chosen, fates = select(pool, arm, rivals, settings.methods, settings.cap, settings.balance, theirs)
        new: Iterable[Example] = (example(c) for c in samples() if c.sample.id in chosen)
        if settings.prompts:
            new = under(new, records(ports.store, problems, Problem, LEARNT), prompts, render, filed, shown)
        solved = zip(records(ports.store, problems, Problem, "annotated-"), itertools.cycle(prompts), strict=False)
        annotated = (
            e for p, asking in solved for e in annotated_examples(p, settings.methods, asking, render, filed, shown)
        )
        shards = []
        for prefix, examples in (("new", new), ("annotated", annotated)):
            for shard, part in sharded(examples, SHARD, prefix):
                refuse_leaks(part, heldout)
                shards.append(shard)
                job.folder.write_records(shard, part)
                counts.update("new" if prefix == "new" else e.origin for e in part)
                methods.update((e.method, e.origin) for e in part if prefix == "new")
        replay = arm.annotated if settings.arm in settings.added and arm.annotated != "replay" else ""
        writers = Counter(c.writer for c in pool if c.id in chosen and c.writer)
        return Made(
            shards=shards,
            counts=TrainsetCounts(**counts, **fates, methods=methods, writers=writers),
            result=Trainset(arm=settings.arm, annotated=replay),
        )


def example(c: CheckedSample) -> Example:
    """What is learnt from a correct sample: to solve the problem directly, also by a translation."""
    s = c.sample
    translated = bool(s.source_sample)
    return Example(
        problem_id=s.problem_id,
        method=s.method,
        prompt=s.target_prompt if translated else s.prompt,
        completion=c.solution,
        origin="translation" if translated else "own",
        lineage=(s.id, s.source_sample) if translated else (s.id,),
    )


def under(
    examples: Iterable[Example],
    problems: Iterable[Problem],
    prompts: Sequence[PromptConfig],
    render: Render | None,
    files: Sequence[MethodFile] = (),
    shown: Demonstrations | None = None,
) -> Iterator[Example]:
    """The examples under these prompts, in turn, instead of those that their writers were asked with."""
    questions = {p.id: p.question for p in problems}
    for e, p in zip(examples, itertools.cycle(prompts), strict=False):
        question = questions[e.problem_id]
        worked = None if shown is None else shown.of(e.problem_id, question, e.method)
        by = method(e.method, files)
        yield replace(e, prompt=solve_prompt(by, question, p.style, p.shots, render, p.phrasing, worked))


def annotated_examples(
    problem: Problem,
    methods: Sequence[str],
    p: PromptConfig,
    render: Render | None = None,
    files: Sequence[MethodFile] = (),
    shown: Demonstrations | None = None,
) -> Iterator[Example]:
    """An annotated problem's examples: each solution, and each ordered pair as a translation."""
    solutions = {name: problem.solutions[name] for name in methods if name in problem.solutions}
    by = {name: method(name, files) for name in solutions}
    for name, solution in solutions.items():
        worked = shown.of(problem.id, problem.question, name) if shown else None
        prompt = solve_prompt(by[name], problem.question, p.style, p.shots, render, p.phrasing, worked)
        yield Example(problem_id=problem.id, method=name, prompt=prompt, completion=solution, origin="annotated")
    for (source, given), (target, wanted) in itertools.permutations(solutions.items(), 2):
        worked = shown.of(problem.id, problem.question, source, target) if shown else None
        prompt = translate_prompt(
            by[source], by[target], problem.question, given, p.style, p.shots, render, p.phrasing, worked
        )
        yield Example(problem_id=problem.id, method=target, prompt=prompt, completion=wanted, origin="pair")


def refuse_leaks(examples: Iterable[Example], heldout: set[str]) -> None:
    """`LeakError` when an example's problem is held out."""
    for e in examples:
        if e.problem_id in heldout:
            raise LeakError(
                f"a {e.origin} example is of a problem in this run's own test set",
                value=e.problem_id,
                remedy="take the problem out of problems.train and problems.annotated, or out of the test sets",
            )
