"""The training set: which verified solutions, and which annotated ones, the model learns from.

Multi-method self-training (arXiv 2307.10633, section 3) trains every method on its own correct
solutions and on the other methods' solutions rewritten into it. The controls leave parts out:

    mmst            own correct samples and translations, of every method
    no-translation  own correct samples of every method
    own-METHOD      own correct samples of that method alone: single-method self-training
    METHOD-to-OTHER as mmst, but only translations of that direction: which teaches which
    equal-data      as mmst, cut per method to the count that no-translation has
    equal-total     as mmst, cut in all to at most the count of the largest own-METHOD
    unverified      as mmst, and translations that failed their check too
    solved-by-one   as mmst, but only problems that one method alone solved
    solved-by-all   as mmst, but only problems that every method solved; these two are cut to the same counts
    annotated-only  nothing new; the same number of steps on the annotated examples

Every correct solution ends in one count: `nondeterministic` (its output depends on time or chance),
`unused` (the arm leaves it out), `duplicate`, `capped`, `cut` (balance, or equal counts) or `new`;
these add up to `passed` + `translated_passed`, and `unverified` where wrong translations are taken too.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from mmst.core import plugin_keys
from mmst.core.config import Config, PromptConfig, arms, identity
from mmst.core.errors import ConfigError, LeakError
from mmst.core.manifest import Place
from mmst.core.records import CheckedSample, Example, Problem, Sample
from mmst.core.results import Trainset, TrainsetCounts
from mmst.core.stage import Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.methods import method
from mmst.methods.prompts import Render, solve_prompt, translate_prompt
from mmst.stages.reads import Checkpoint, Problems, Translated, Written

SHARD = 4096
UNVERIFIED = "unverified"
BY_SOLVERS = ("solved-by-one", "solved-by-all")
TRANSLATED = ("mmst", "equal-data", "equal-total", UNVERIFIED, *BY_SOLVERS)
"""The arms with translations in every direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a training set depends on. `prompt`: the values of that section, as the keys have them from the first."""

    arm: str
    methods: tuple[str, ...]
    cap: int
    balance: bool
    prompt: tuple[Any, ...]

    @property
    def asking(self) -> PromptConfig:
        """How a problem is put to the model. Stop strings are not asked for here."""
        style, shots, *rest = self.prompt
        phrasing = next((v for v in rest if isinstance(v, int)), PromptConfig().phrasing)
        return PromptConfig(style=style, shots=shots, phrasing=phrasing)


class Candidate(NamedTuple):
    """A correct solution, as small as choosing needs it; `form` hashes what it says.

    `origin` is the method that it was translated from; empty of a sample as it was drawn. It is of another solution
    if not `passed`. `writer` is the teacher that wrote it; empty of the model itself.
    """

    id: str
    problem_id: str
    method: str
    origin: str
    form: bytes
    passed: bool = True
    writer: str = ""

    @property
    def rank(self) -> bytes:
        """Its place in every choice: as good as random, the same each time."""
        return hashlib.sha256(self.id.encode()).digest()


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
        if place.arm not in arms(config.methods):
            raise ConfigError("unknown arm", value=place.arm, remedy=f"arms: {', '.join(arms(config.methods))}")
        return Settings(
            arm=place.arm,
            methods=config.methods,
            cap=config.trainset.cap,
            balance=config.trainset.balance,
            prompt=tuple(identity(config.prompt).values()),
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
        prompt = settings.asking
        render = ports.renderer(checkpoint) if prompt.style == "chat" else None
        counts, methods = Counter[str](), Counter[tuple[str, str]]()
        taught = any({*checked, *translated})

        def samples() -> Iterator[CheckedSample]:
            for writer in sorted({*checked, *translated}):
                for made in (checked.get(writer), translated.get(writer)):
                    yield from records(ports.store, made, CheckedSample) if made else ()

        total = sum(e.records for made in (*checked.values(), *translated.values()) for e in made.files)
        with ports.progress.task("training set", total, "samples") as task:
            pool = list(candidates(samples(), counts, task.advance, unverified=settings.arm == UNVERIFIED))
        chosen, fates = select(pool, settings.methods, settings.arm, settings.cap, settings.balance)
        questions = {p.id: p.question for p in records(ports.store, problems, Problem, "train-")} if taught else {}

        def asked(s: Sample) -> str:
            """How the model itself is asked; that is how it learns what a teacher wrote, however this was asked."""
            return solve_prompt(
                method(s.method), questions[s.problem_id], prompt.style, prompt.shots, render, prompt.phrasing
            )

        new = (example(c, asked) for c in samples() if c.sample.id in chosen)
        solved = records(ports.store, problems, Problem, "annotated-")
        annotated = (e for p in solved for e in annotated_examples(p, settings.methods, prompt, render))
        shards = []
        for prefix, examples in (("new", new), ("annotated", annotated)):
            for shard, part in sharded(examples, SHARD, prefix):
                refuse_leaks(part, heldout)
                shards.append(shard)
                job.folder.write_records(shard, part)
                counts.update("new" if prefix == "new" else e.origin for e in part)
                methods.update((e.method, e.origin) for e in part if prefix == "new")
        writers = Counter(c.writer for c in pool if c.id in chosen and c.writer)
        found = TrainsetCounts(**counts, **fates, methods=methods, writers=writers)
        return Made(shards=shards, counts=found, result=Trainset(arm=settings.arm))


def candidates(
    samples: Iterable[CheckedSample],
    counts: Counter[str],
    advance: Callable[[int], None] = lambda n: None,
    *,
    unverified: bool = False,
) -> Iterator[Candidate]:
    """The correct ones among the samples, with `unverified` all translations; counts what goes by."""
    for c in samples:
        s = c.sample
        counts["translated" if s.source_sample else "asked"] += 1
        advance(1)
        if c.passed:
            counts["translated_passed" if s.source_sample else "passed"] += 1
        elif unverified and s.source_sample and c.solution.strip():
            counts["unverified"] += 1
        else:
            continue
        if c.nondeterministic:
            counts["nondeterministic"] += 1
            continue
        form = hashlib.sha256(method(s.method).canonical(c.solution).encode("utf-8", "surrogatepass")).digest()
        yield Candidate(s.id, s.problem_id, s.method, s.source_method, form, c.passed, s.writer)


def select(
    pool: Sequence[Candidate], methods: Sequence[str], arm: str, cap: int, balance: bool
) -> tuple[frozenset[str], dict[str, int]]:
    """The ids that an arm trains on, and the fate of the others as counts. Pure; order-free.

    Of solutions that say the same, an own sample is kept before a translation. The cap takes own
    samples and translations in turn, so that a problem's examples differ in where they come from.
    """
    usable = [c for c in _of_problems(arm, methods, pool) if _uses(arm, methods, c)]
    distinct = _distinct(usable)
    capped = _capped(distinct, cap)
    sizes = Counter(c.method for c in capped)
    if arm == "equal-data":
        single, _ = select(pool, methods, "no-translation", cap, balance)
        sizes = Counter(c.method for c in pool if c.id in single)
    elif arm in BY_SOLVERS:
        (other,) = (a for a in BY_SOLVERS if a != arm)
        sizes &= Counter(c.method for c in _capped(_distinct(_of_problems(other, methods, pool)), cap))
    kept = _cut(capped, sizes if arm == "equal-data" or not balance else _balanced(sizes))
    if arm == "equal-total":
        most = max(len(select(pool, methods, f"own-{name}", cap, balance)[0]) for name in methods)
        kept = sorted(kept, key=lambda c: c.rank)[:most]
    fates = {
        "unused": len(pool) - len(usable),
        "duplicate": len(usable) - len(distinct),
        "capped": len(distinct) - len(capped),
        "cut": len(capped) - len(kept),
    }
    return frozenset(c.id for c in kept), fates


def _of_problems(arm: str, methods: Sequence[str], pool: Sequence[Candidate]) -> Sequence[Candidate]:
    """The candidates of the problems that the arm is about."""
    if arm not in BY_SOLVERS:
        return pool
    solvers: dict[str, set[str]] = defaultdict(set)
    for c in pool:
        if not c.origin and c.method in methods:
            solvers[c.problem_id].add(c.method)
    wanted = 1 if arm == "solved-by-one" else len(methods)
    return [c for c in pool if c.method in methods and len(solvers[c.problem_id]) == wanted]


def _uses(arm: str, methods: Sequence[str], c: Candidate) -> bool:
    if c.method not in methods:
        return False
    if c.origin:
        return arm in TRANSLATED or arm == f"{c.origin}-to-{c.method}"
    return arm == f"own-{c.method}" or not arm.startswith(("own-", "annotated-only"))


def _distinct(usable: Iterable[Candidate]) -> Sequence[Candidate]:
    """Of candidates that say the same, the best: an own sample, then a verified translation."""
    found: dict[tuple[str, str, bytes], Candidate] = {}
    for c in sorted(usable, key=lambda c: (c.origin != "", not c.passed, c.rank)):
        found.setdefault((c.problem_id, c.method, c.form), c)
    return list(found.values())


def _balanced(sizes: Mapping[str, int]) -> Mapping[str, int]:
    """No method with more than twice the examples of the smallest."""
    return {name: min(n, 2 * min(sizes.values())) for name, n in sizes.items()}


def _capped(distinct: Iterable[Candidate], cap: int) -> list[Candidate]:
    groups: dict[tuple[str, str], dict[bool, list[Candidate]]] = defaultdict(lambda: {True: [], False: []})
    for c in distinct:
        groups[c.problem_id, c.method][not c.origin].append(c)
    kept: list[Candidate] = []
    for group in groups.values():
        in_turn = itertools.zip_longest(*(sorted(cs, key=lambda c: c.rank) for cs in group.values()))
        kept += [c for pair in in_turn for c in pair if c is not None][:cap]
    return kept


def _cut(examples: Iterable[Candidate], limits: Mapping[str, int]) -> list[Candidate]:
    by_method: dict[str, list[Candidate]] = defaultdict(list)
    for c in sorted(examples, key=lambda c: c.rank):
        by_method[c.method].append(c)
    return [c for name, cs in by_method.items() for c in cs[: limits.get(name, 0)]]


def example(c: CheckedSample, asked: Callable[[Sample], str] | None = None) -> Example:
    """What is learnt from a correct sample: to solve the problem directly, also by a translation.

    What a teacher wrote is learnt under the prompt that `asked` gives.
    """
    s = c.sample
    translated = bool(s.source_sample)
    return Example(
        problem_id=s.problem_id,
        method=s.method,
        prompt=asked(s) if asked and s.writer else s.target_prompt if translated else s.prompt,
        completion=c.solution,
        origin="translation" if translated else "own",
        lineage=(s.id, s.source_sample) if translated else (s.id,),
    )


def annotated_examples(
    problem: Problem, methods: Sequence[str], p: PromptConfig, render: Render | None = None
) -> Iterator[Example]:
    """An annotated problem's examples: each solution, and each ordered pair as a translation."""
    solutions = {name: problem.solutions[name] for name in methods if name in problem.solutions}
    for name, solution in solutions.items():
        prompt = solve_prompt(method(name), problem.question, p.style, p.shots, render, p.phrasing)
        yield Example(problem_id=problem.id, method=name, prompt=prompt, completion=solution, origin="annotated")
    for (source, given), (target, wanted) in itertools.permutations(solutions.items(), 2):
        prompt = translate_prompt(
            method(source), method(target), problem.question, given, p.style, p.shots, render, p.phrasing
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
