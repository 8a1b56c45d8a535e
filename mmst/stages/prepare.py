"""The first stage: the problems of a run, cleaned of duplicates and of what would leak.

Shards `train-…`, `heldout-…` (test and related problems), `annotated-…` and `unlabelled-…`. Training and held-out
problems lose their annotated solutions; only annotated ones keep them. Of unlabelled problems nothing is kept but the
question: the same run with and without hidden answers has the same problems.

- An unlabelled question that stands among the training problems counts as a duplicate: there its answer is known.
- A question twice in one role counts once (`duplicates`); where its answers differ, the first counts, and all of them
  are reported with their places (`contradictions`).
- A training, annotated or unlabelled problem that stands in the test set stops the run (`LeakError`).
- One that nearly does (word 5-grams, `problems.near_duplicate`) is left out and reported.
- A worked example of a method file that stands there, or nearly does, stops the run as well: it would be shown, solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from mmst.core import plugin_keys
from mmst.core.config import Config, Source
from mmst.core.errors import LeakError, UserError
from mmst.core.manifest import Place
from mmst.core.records import Problem
from mmst.core.results import NearDuplicate, PrepareCounts, Prepared
from mmst.core.sections import ROLES
from mmst.core.stage import QUIET, Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.datasets import found, problem_id
from mmst.datasets.importing import Imported, Repeats, as_data
from mmst.datasets.near import NearIndex
from mmst.stages.content import Content, question

SHARD = 1024
EXAMPLES = 20
UNLABELLED = "unlabelled"
SETS = ("train", "heldout", "annotated", UNLABELLED)
"""What is written, each in shards of its own."""
TO_TRAIN_ON = ("train", "annotated", UNLABELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """From which share of common word 5-grams on two questions are near duplicates."""

    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the problems of a run depend on."""

    train: tuple[Content, ...]
    test: tuple[Content, ...]
    related: tuple[Content, ...]
    annotated: tuple[Content, ...]
    unlabelled: tuple[Content, ...] = field(default=(), metadata=QUIET)
    near_duplicate: tuple[Near]
    """Alone in a list, as the keys have it from the first."""
    shown: tuple[str, ...] = field(default=(), metadata=QUIET)
    """The questions of the worked examples of method files, where prompts show such."""


class Prepare(Stage[Settings]):
    """Import or generate the recipe's problems; find duplicates and overlaps.

    Example:

      mmst prepare --recipe demo
    """

    name, version = "prepare", 1
    writes: ClassVar = dict.fromkeys(SETS, Problem)

    def settings(self, config: Config, place: Place) -> Settings:
        """The content of the sources."""
        by_role = {UNLABELLED: Content.of_questions}
        sources = {role: tuple(map(by_role.get(role, Content.of), getattr(config.problems, role))) for role in ROLES}
        shown = tuple(q for file in config.filed for q, _ in file.shots) if _shows_examples(config) else ()
        return Settings(**sources, near_duplicate=(Near(share=config.problems.near_duplicate),), shown=shown)

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of problem formats."""
        return plugin_keys.of_problems(config)

    def work(self, job: Job[Settings]) -> Made:
        """The problems of the sources; `UserError` when they cannot be used."""
        with job.ports.progress.task("problems", len(ROLES), "sets") as task:
            items = {}
            for role in ROLES:
                items[role] = collect(role, getattr(job.settings, role))
                task.advance(note=f"{len(items[role])} {role}")
        loaded = {role: [item.problem for item in found] for role, found in items.items()}
        sets, near = clean(loaded, job.settings.near_duplicate[0].share)
        refuse_shown(job.settings.shown, sets["heldout"], job.settings.near_duplicate[0].share)
        reported = noticed(items)
        shards = []
        for role, problems in sets.items():
            for shard, part in sharded(problems, SHARD, role):
                shards.append(shard)
                job.folder.write_records(shard, part)
        return Made(
            shards=shards,
            counts=PrepareCounts(
                **{role: len(problems) for role, problems in sets.items()},
                related=sum(p.task != "main" for p in sets["heldout"]),
                duplicates=sum(map(len, loaded.values())) - sum(map(len, sets.values())) - len(near),
                near_duplicates=len(near),
                **{name: len(what) for name, what in reported.items()},
            ),
            result=Prepared(
                near_duplicates=tuple(near[:EXAMPLES]),
                **{name: tuple(what[:EXAMPLES]) for name, what in reported.items()},
            ),
        )


def read(role: str, sources: Sequence[Source]) -> list[Problem]:
    """The problems of a role, in order; a role with sources but without problems is an error.

    Of unlabelled ones there is nothing but the question.
    """
    return [item.problem for item in collect(role, sources)]


def collect(role: str, sources: Sequence[Source]) -> list[Imported]:
    """As `read`, each with its place: the role, the number of the source, and where it stands in that."""
    items = [
        replace(item, problem=_put(role, source, item.problem), place=f"{role}.{number}, {item.place}")
        for number, source in enumerate(sources)
        for item in found(source, unlabelled=role == UNLABELLED)
    ]
    if not items and (sources or role == "test"):
        raise _nothing(role, sources)
    if role == UNLABELLED:  # a note may quote the answer
        return [replace(item, problem=question(item.problem), notes=()) for item in items]
    return items


def _nothing(role: str, sources: Sequence[Source]) -> UserError:
    named = ", ".join(f"{s.format} {s.path} split={s.split}".replace("  ", " ") for s in sources)
    return UserError(
        f"problems.{role} holds no problem" + (f" ({named})" if named else ""),
        remedy=f"name a source in problems.{role}, or widen its split or limit",
    )


def _put(role: str, source: Source, problem: Problem) -> Problem:
    """The problem with what the recipe says of it: by which methods it is measured, and as which task."""
    if source.methods:
        problem = replace(problem, methods=source.methods)
    return replace(problem, task=source.name or "related") if role == "related" else problem


def noticed(items: Mapping[str, Sequence[Imported]]) -> dict[str, list[Any]]:
    """What the user should know of the problems read, by kind: answers that contradict, and notes of the importers."""
    repeats = Repeats()
    for item in (item for role in ROLES if role != UNLABELLED for item in items[role]):
        repeats.first(item)
    notes = [f"{item.place}: {note}" for role in ROLES for item in items[role] for note in item.notes]
    return {k: v for k, v in (("contradictions", as_data(repeats.contradictions())), ("notes", notes)) if v}


def clean(
    loaded: Mapping[str, Sequence[Problem]], near_duplicate: float
) -> tuple[dict[str, list[Problem]], list[NearDuplicate]]:
    """The sets to write (`SETS`), and the near duplicates that were taken out of them."""
    if not loaded["train"] and not loaded[UNLABELLED]:
        raise _nothing("train", ())
    heldout = unique(
        [replace(p, task="main", solutions={}) for p in loaded["test"]]
        + [replace(p, solutions={}) for p in loaded["related"]]
    )
    train = unique(replace(p, solutions={}) for p in loaded["train"])
    answered = {p.id for p in train}
    unlabelled = [p for p in unique(loaded[UNLABELLED]) if p.id not in answered]
    sets = dict(zip(SETS, (train, heldout, unique(loaded["annotated"]), unlabelled), strict=True))
    refuse_overlap(sets)
    near = drop_near(sets, near_duplicate)
    if not sets["train"] and not sets[UNLABELLED]:
        raise UserError(
            "every training problem is a near duplicate of a held-out one",
            remedy="hold out another file or split; or raise problems.near_duplicate",
        )
    return sets, near


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each question."""
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.id, problem)
    return list(found.values())


def refuse_overlap(sets: dict[str, list[Problem]]) -> None:
    """`LeakError` when a problem to train on stands in the held-out set."""
    heldout = {p.id for p in sets["heldout"]}
    leaked = [f"{role}: {p.question}" for role in TO_TRAIN_ON for p in sets[role] if p.id in heldout]
    if leaked:
        shown = "; ".join(q if len(q) <= 100 else q[:100] + "…" for q in leaked[:3])
        named = ", ".join(f"problems.{role}" for role in TO_TRAIN_ON)
        raise LeakError(
            f"{len(leaked)} problems to train on stand in the held-out set ({shown})",
            remedy=f"set `split: train` on the sources of {named} and `split: test` on "
            "those held out, or hold out another file",
        )


def refuse_shown(questions: Iterable[str], heldout: Sequence[Problem], threshold: float) -> None:
    """`LeakError` when a question that prompts show with its solution is a held-out one, or nearly is."""
    index = NearIndex(threshold)
    index.add(p.question for p in heldout)
    ids = {p.id for p in heldout}
    for asked in questions:
        if problem_id(asked) in ids or index.nearest(asked) is not None:
            raise LeakError(
                "a worked example of a method file is of a held-out problem, and would be shown with its solution",
                value=asked if len(asked) <= 100 else asked[:100] + "…",
                remedy="put another problem in its place in the method file, or hold out another file",
            )


def _shows_examples(config: Config) -> bool:
    prompts = [config.prompt, *(t.prompt for t in config.teachers.values() if t.prompt)]
    return "few-shot" in {*config.trainset.prompts, *(p.style for p in prompts)}


def drop_near(sets: dict[str, list[Problem]], threshold: float) -> list[NearDuplicate]:
    """Take the near duplicates of held-out questions out of what is trained on; returns what was taken."""
    index = NearIndex(threshold)
    index.add(p.question for p in sets["heldout"])
    dropped = []
    for role in TO_TRAIN_ON:
        kept = []
        for problem in sets[role]:
            if (found := index.nearest(problem.question)) is None:
                kept.append(problem)
            else:
                like, share = found
                what = {"role": role, "question": problem.question, "heldout": like}
                dropped.append(NearDuplicate(**what, share=round(share, 3)))
        sets[role] = kept
    return dropped
