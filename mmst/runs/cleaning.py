"""What may go from a store, and how it goes: `mmst clean`.

Used is what a run points at, what a recipe of a run names, and what the record of a champion needs: its checkpoint, its
promotion, and how it was measured. All else that stages have made may go. A run may go with what it alone uses.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmst import stages
from mmst.core import stage_folder
from mmst.core.ports import Progress, Store
from mmst.core.stored import pointers
from mmst.runs.summary import runs
from mmst.stages import champion

_REF = re.compile(r"stages/[a-z_]+/[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """A stage that nobody uses: of `stage` under `ref`, its files and bytes, its work in progress included."""

    stage: str
    ref: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSize:
    """A run: the bytes of all its stages, and of those that would go with it."""

    run: str
    stages: int
    bytes: int
    alone: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go (`unused`, and the files of `gone`, the runs that are given up), and the runs that stay."""

    gone: tuple[str, ...]
    unused: tuple[Unused, ...]
    kept: tuple[RunSize, ...]

    @property
    def bytes(self) -> int:
        """How much becomes free."""
        return sum(u.bytes for u in self.unused)


def plan(store: Store, give_up: Sequence[str] = ()) -> Plan:
    """What may go if these runs are given up."""
    uses = {run: _used_by(store, run) for run in runs(store)}
    gone = tuple(sorted(set(give_up)))
    always = set(_champions(store))
    used = always.union(*(refs for run, refs in uses.items() if run not in gone))
    users = Counter(ref for run, refs in uses.items() if run not in gone for ref in refs - always)
    found = dict(_sizes(store))
    return Plan(
        gone=gone,
        unused=tuple(u for ref, u in sorted(found.items()) if ref not in used),
        kept=tuple(
            RunSize(
                run=run,
                stages=len(here := [found[ref] for ref in refs if ref in found]),
                bytes=sum(u.bytes for u in here),
                alone=sum(u.bytes for u in here if users[u.ref] == 1),
            )
            for run, refs in uses.items()
            if run not in gone
        ),
    )


def clean(store: Store, planned: Plan, progress: Progress) -> list[str]:
    """Delete what was planned; returns the stages that stay, since somebody has come to use them.

    Killed on the way and called again, it goes on: what is left of a run are stages that nobody uses.
    """
    for run in planned.gone:
        store.delete(list(store.names(f"runs/{run}/")))
    manifests = {u.ref: f"{u.ref}/manifest.json" for u in planned.unused}
    found = {ref: data for ref, name in manifests.items() if (data := store.read(name)) is not None}
    store.delete(manifests[ref] for ref in found)
    wanted = set(_champions(store)).union(*(_used_by(store, run) for run in runs(store)))
    for ref in wanted & found.keys():
        store.write(manifests[ref], found[ref])
    stay = sorted(wanted & manifests.keys())
    with progress.task("clean", len(planned.unused), "stages") as task:
        for unused in planned.unused:
            if unused.ref not in wanted and not stage_folder.remove(store, unused.ref):
                stay.append(unused.ref)
            task.advance(note=unused.ref)
    store.delete(name for name, ref in _reports(store) if ref in manifests and ref not in stay)
    return stay


def by_stage(unused: Iterable[Unused]) -> dict[str, tuple[int, int, int]]:
    """{stage: (stages, files, bytes)}, the largest first."""
    found: dict[str, list[Unused]] = defaultdict(list)
    for u in unused:
        found[u.stage].append(u)
    totals = {stage: (len(us), sum(u.files for u in us), sum(u.bytes for u in us)) for stage, us in found.items()}
    return dict(sorted(totals.items(), key=lambda item: -item[1][2]))


def _used_by(store: Store, run: str) -> set[str]:
    """The stages that a run points at, and those whose files its recipe or its base model names."""
    found = set[str]()
    for _, ref, inputs in pointers(store, run):
        found |= {ref, *inputs.values()}
    recipe = store.read(f"runs/{run}/config.json") or b""
    return found | set(_REF.findall(recipe.decode("utf-8", "replace")))


def _champions(store: Store) -> Iterator[str]:
    """What the records of champions need: checkpoints, promotions, and how each was measured."""
    checkpoints = set[str]()
    for name in champion.names(store):
        for reign in champion.read(store, name):
            yield from (reign.champion.ref, reign.by)
            checkpoints.add(champion.report_file(reign.champion.checkpoint))
    yield from (ref for name, ref in _reports(store) if name.rpartition("/")[2] in checkpoints)


def _reports(store: Store) -> Iterator[tuple[str, str]]:
    """Where each checkpoint was measured: (the file that says so, the evaluate stage)."""
    for name in store.names(champion.REPORTS):
        yield name, (store.read(name) or b"").decode("ascii", "replace")


def _sizes(store: Store) -> Iterator[tuple[str, Unused]]:
    """Every stage that has a file in the store, or work in progress on this machine."""
    ours = {(s := stages.stage(step)).stored or s.name for step in stages.STEPS}
    files, sizes = Counter[str](), Counter[str]()
    scratch = store.scratch("stages")
    here = ((p.relative_to(scratch.parent).as_posix(), p.stat().st_size) for p in scratch.rglob("*") if p.is_file())
    for name, size in (*store.sizes("stages/"), *here):
        if found := _REF.match(name):
            files[found[0]] += 1
            sizes[found[0]] += size
    for ref in files:
        if (stage := ref.split("/")[1]) in ours:
            yield ref, Unused(stage=stage, ref=ref, files=files[ref], bytes=sizes[ref])
