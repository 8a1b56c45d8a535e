"""The first stage: the problems of a run, cleaned of duplicates and of what would leak.

Shards `train-…`, `heldout-…` (test and related problems) and `annotated-…`. Training and held-out
problems lose their annotated solutions; only annotated ones keep them.

- A question twice in one role counts once (`duplicates`); where its answers differ, the first counts, and all of them
  are reported with their places (`contradictions`).
- A training or annotated problem that stands in the test set stops the run (`LeakError`).
- One that nearly does (word 5-grams, `problems.near_duplicate`) is left out and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmst.core import plugin_keys, plugins
from mmst.core.config import ProblemsConfig, Source, identity
from mmst.core.errors import LeakError, UserError
from mmst.core.hashes import file_sha256
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines
from mmst.core.records import Problem, digest
from mmst.core.stage import Stage, sharded
from mmst.datasets import PUBLISHED, found, load, located
from mmst.datasets import VERSION as READING
from mmst.datasets.files import members
from mmst.datasets.importing import Imported, Repeats, as_data
from mmst.datasets.near import NearIndex

VERSION = 1
SHARD = 1024
EXAMPLES = 20
ROLES = ("train", "test", "related", "annotated")


def run(engines: Engines, place: Place) -> Manifest:
    """The problems that the configuration names; `UserError` when they cannot be used."""
    config = engines.config.problems
    key = {role: [content(s) for s in getattr(config, role)] for role in ROLES}
    key["near_duplicate"] = [{"share": config.near_duplicate}]
    stage = Stage.open(engines.store, "prepare", version=VERSION, config=key, inputs={}, place=place)
    if stage.manifest is not None:
        return stage.manifest
    with engines.progress.task("problems", len(ROLES), "sets") as task:
        items = {}
        for role in ROLES:
            items[role] = collect(role, getattr(config, role))
            task.advance(note=f"{len(items[role])} {role}")
    sets, counts, near = clean({role: [item.problem for item in found] for role, found in items.items()}, config)
    reported = noticed(items)
    counts |= {name: len(what) for name, what in reported.items()}
    facts = {"near_duplicates": near, **{name: what[:EXAMPLES] for name, what in reported.items()}}
    shards = []
    for role, problems in sets.items():
        for shard, part in sharded(problems, SHARD, role):
            shards.append(shard)
            stage.write_records(shard, part)
    return stage.finish(shards=shards, counts=counts, facts=facts)


def content(source: Source) -> dict[str, Any]:
    """What decides which problems a source yields: the file's content, wherever it is, or what is generated."""
    slice_ = identity(source)
    path = slice_.pop("path")
    if source.format == "generated":
        return {**slice_, "sha256": digest(list(load(source)))}
    file = located(path)
    if not file.exists():
        raise UserError(
            f"the {source.format} problem file does not exist",
            value=path,
            remedy=f"correct `path` in the recipe; {PUBLISHED}",
        )
    whose = plugin_keys.in_key(plugin_keys.identity((plugins.DATASETS, source.format)))
    if file.is_dir():
        named = {f.relative_to(file).as_posix(): file_sha256(f) for f in members(file)}
        return {**slice_, **whose, "reading": READING, "sha256": digest(named)}
    return {**slice_, **whose, "reading": READING, "sha256": file_sha256(file)}


def read(role: str, sources: Sequence[Source]) -> list[Problem]:
    """The problems of a role, in order; a role with sources but without problems is an error."""
    return [item.problem for item in collect(role, sources)]


def collect(role: str, sources: Sequence[Source]) -> list[Imported]:
    """As `read`, each with its place: the role, the number of the source, and where it stands in that."""
    items = [
        replace(item, place=f"{role}.{number}, {item.place}")
        for number, source in enumerate(sources)
        for item in found(source)
    ]
    if not items and (sources or role in ("train", "test")):
        named = ", ".join(f"{s.format} {s.path} split={s.split}".replace("  ", " ") for s in sources)
        raise UserError(
            f"problems.{role} holds no problem" + (f" ({named})" if named else ""),
            remedy=f"name a source in problems.{role}, or widen its split or limit",
        )
    return items


def noticed(items: Mapping[str, Sequence[Imported]]) -> dict[str, list[Any]]:
    """What the user should know of the problems read, by kind: answers that contradict, and notes of the importers."""
    repeats = Repeats()
    for item in (item for role in ROLES for item in items[role]):
        repeats.first(item)
    notes = [f"{item.place}: {note}" for role in ROLES for item in items[role] for note in item.notes]
    return {k: v for k, v in (("contradictions", as_data(repeats.contradictions())), ("notes", notes)) if v}


def clean(
    loaded: dict[str, list[Problem]], config: ProblemsConfig
) -> tuple[dict[str, list[Problem]], dict[str, int], list[dict[str, Any]]]:
    """The sets to write by role (train, heldout, annotated), the counts, and examples of near duplicates."""
    heldout = unique(
        [replace(p, task="main", solutions={}) for p in loaded["test"]]
        + [replace(p, task="related", solutions={}) for p in loaded["related"]]
    )
    train = unique(replace(p, solutions={}) for p in loaded["train"])
    sets = {"train": train, "heldout": heldout, "annotated": unique(loaded["annotated"])}
    duplicates = sum(map(len, loaded.values())) - sum(map(len, sets.values()))
    refuse_overlap(sets)
    near = drop_near(sets, config.near_duplicate)
    if not sets["train"]:
        raise UserError(
            "every training problem is a near duplicate of a held-out one",
            remedy="hold out another file or split; or raise problems.near_duplicate",
        )
    counts = {role: len(problems) for role, problems in sets.items()}
    counts["related"] = sum(p.task == "related" for p in sets["heldout"])
    return sets, counts | {"duplicates": duplicates, "near_duplicates": len(near)}, near[:EXAMPLES]


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """The first problem of each question."""
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.id, problem)
    return list(found.values())


def refuse_overlap(sets: dict[str, list[Problem]]) -> None:
    """`LeakError` when a training or annotated problem stands in the held-out set."""
    heldout = {p.id for p in sets["heldout"]}
    leaked = [f"{role}: {p.question}" for role in ("train", "annotated") for p in sets[role] if p.id in heldout]
    if leaked:
        shown = "; ".join(q if len(q) <= 100 else q[:100] + "…" for q in leaked[:3])
        raise LeakError(
            f"{len(leaked)} problems to train on stand in the held-out set ({shown})",
            remedy="set `split: train` on the sources of problems.train and problems.annotated and `split: test` on "
            "those held out, or hold out another file",
        )


def drop_near(sets: dict[str, list[Problem]], threshold: float) -> list[dict[str, Any]]:
    """Take the near duplicates of held-out questions out of train and annotated; returns what was taken."""
    index = NearIndex(threshold)
    index.add(p.question for p in sets["heldout"])
    dropped = []
    for role in ("train", "annotated"):
        kept = []
        for problem in sets[role]:
            if (found := index.nearest(problem.question)) is None:
                kept.append(problem)
            else:
                like, share = found
                dropped.append({"role": role, "question": problem.question, "heldout": like, "share": round(share, 3)})
        sets[role] = kept
    return dropped
