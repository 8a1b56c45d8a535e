"""What may go from a store, and how it goes: `mmst clean`.

Used is what a run points at, what its recipe or base model refers to, and what promotions on record name: checkpoint,
promotion, evaluation. All else that stages have made may go. A run may go with what it alone uses, unless it made a
champion that stands.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmst import stages
from mmst.core import disk, locks, stage_folder
from mmst.core.errors import StoreError, UserError
from mmst.core.ports import Progress, Store
from mmst.core.stored import made, pointers
from mmst.runs.summary import runs
from mmst.stages import champion

_REF = re.compile(r"stages/[a-z_]+/[0-9a-f]{16}")
AT_WORK = "a process is at it"


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

    def without(self, refs: Iterable[str]) -> Plan:
        """The same, but that these stages stay."""
        return replace(self, unused=tuple(u for u in self.unused if u.ref not in set(refs)))


def refuse(store: Store, run: str) -> None:
    """`UserError` for what is no run, is under way on this machine, or made a champion that stands."""
    found, folder = _pointed(store, run), store.folder(f"runs/{run}")
    if not found and store.read(_recipe(run)) is None:
        raise UserError("this is no run of MMST", value=f"runs/{run}", remedy="`mmst status` lists the runs")
    if folder and disk.linked(folder, folder.parents[1]):
        raise UserError("a link leads to this run", value=str(folder), remedy="delete the link by hand")
    for ref in found:
        if stage_folder.is_worked_at(store, ref):
            raise UserError(
                "this run is under way", value=run, remedy=f"stop it first; a process of this machine is at {ref}"
            )
    for name in champion.names(store):
        if (record := champion.read(store, name)) and record[-1].by in found:
            raise UserError(
                f"this run made the champion of '{name}' (version {record[-1].champion.version}), which later "
                "challengers and the rollout are compared with",
                value=run,
                remedy="it may go when another run's model is champion",
            )


def plan(store: Store, give_up: Sequence[str] = ()) -> Plan:
    """What may go if these runs are given up. Changes nothing."""
    gone = tuple(sorted(set(give_up)))
    uses = {run: _used_by(store, run) for run in runs(store) if run not in gone}
    always = set(_promoted(store))
    users = Counter(ref for refs in uses.values() for ref in refs - always)
    found = dict(_sizes(store))
    return Plan(
        gone=gone,
        unused=tuple(u for ref, u in sorted(found.items()) if ref not in users and ref not in always),
        kept=tuple(
            RunSize(
                run=run,
                stages=len(here := [found[ref] for ref in refs if ref in found]),
                bytes=sum(u.bytes for u in here),
                alone=sum(u.bytes for u in here if users[u.ref] == 1),
            )
            for run, refs in uses.items()
        ),
    )


def clean(store: Store, planned: Plan, progress: Progress) -> Mapping[str, str]:
    """Delete what was planned; returns the stages that stay after all, with the reason.

    First all manifests, and those of stages that a run has come to use meanwhile come back; a run points at a stage
    before it reads it. Killed on the way and called again, it goes on.
    """
    stay, found = dict[str, str](), dict[str, bytes]()
    lock = store.scratch("clean") / "lock"
    with contextlib.ExitStack() as held:
        task = held.enter_context(progress.task("clean", 2 * len(planned.unused), "steps"))
        held.enter_context(locks.held(lock, lambda holder: task.advance(0, f"waiting for another clean ({holder})")))
        for unused in planned.unused:
            try:
                name = _manifest(unused.ref)
                if stage_folder.is_worked_at(store, unused.ref):
                    stay[unused.ref] = AT_WORK
                elif (data := store.read(name)) is not None:
                    store.delete([name])
                    found[unused.ref] = data
            except StoreError as e:
                stay[unused.ref] = str(e)
            task.advance(note=unused.ref)
        users = (_used_by(store, run) for run in runs(store) if run not in planned.gone)
        wanted = set(_promoted(store)).union(*users)
        for ref in wanted & found.keys():
            store.write(_manifest(ref), found[ref])
        stay |= {u.ref: "a run uses it now" for u in planned.unused if u.ref in wanted}
        for unused in planned.unused:
            if unused.ref not in stay and (why := _removed(store, unused.ref)):
                stay[unused.ref] = why
            task.advance(note=unused.ref)
        dangling = (name for name, ref in _reports(store) if _REF.fullmatch(ref) and not store.read(_manifest(ref)))
        store.delete(list(dangling))
        for run in planned.gone:  # last what makes it a run, so that a call that was killed can be made again
            names = [name for name in store.names(f"runs/{run}/") if name != _recipe(run)]
            store.delete([name for name in names if not name.endswith(".json")])
            store.delete([name for name in names if name.endswith(".json")])
            store.delete([_recipe(run)])
    return stay


def by_stage(unused: Iterable[Unused]) -> dict[str, tuple[int, int, int]]:
    """{stage: (stages, files, bytes)}, the largest first."""
    found = dict[str, tuple[int, int, int]]()
    for u in unused:
        count, files, size = found.get(u.stage, (0, 0, 0))
        found[u.stage] = (count + 1, files + u.files, size + u.bytes)
    return dict(sorted(found.items(), key=lambda item: -item[1][2]))


def _removed(store: Store, ref: str) -> str:
    """Remove a stage; why it stays if it does."""
    try:
        return "" if stage_folder.remove(store, ref) else AT_WORK
    except StoreError as e:
        return str(e)


def _recipe(run: str) -> str:
    return f"runs/{run}/config.json"


def _manifest(ref: str) -> str:
    return f"{ref}/manifest.json"


def _used_by(store: Store, run: str) -> set[str]:
    """The stages that a run points at, and those whose files its recipe or its base model refers to."""
    found = set[str]()
    for place, ref, inputs in pointers(store, run):
        found |= {ref, *inputs.values()}
        if place.step == "base_model" and (base := made(store, ref)):
            found |= set(_referred(store, base.location))
    recipe = (store.read(_recipe(run)) or b"").decode("utf-8", "replace")
    try:
        texts = list(_texts(json.loads(recipe)))
    except ValueError:
        texts = [recipe]
    return found.union(*(_referred(store, text) for text in texts))


def _texts(data: Any) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        yield from itertools.chain.from_iterable(map(_texts, data.values()))
    elif isinstance(data, Sequence):
        yield from itertools.chain.from_iterable(map(_texts, data))


def _referred(store: Store, text: str) -> Iterator[str]:
    """The stages that a text names, also as a path of another spelling, or by a link."""
    yield from _REF.findall(text)
    root = store.folder("")
    if root is not None and "\0" not in text:
        inside = os.path.relpath(os.path.realpath(os.path.expanduser(text)), os.path.realpath(root))  # noqa: PTH111
        yield from _REF.findall(inside)[:1]


def _pointed(store: Store, run: str) -> set[str]:
    """The stages that the files of a run name, also where one is damaged: it is to go."""
    files = (store.read(name) or b"" for name in store.names(f"runs/{run}/") if name.endswith(".json"))
    return {ref for data in files for ref in _REF.findall(data.decode("utf-8", "replace"))}


def _promoted(store: Store) -> Iterator[str]:
    """What promotions on record name: checkpoints, the promotions themselves, and how each was measured."""
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
    listed = list(store.sizes("stages/"))
    for name, size in (*listed, *(_in_progress(store) if listed else ())):
        if found := _REF.match(name):
            files[found[0]] += 1
            sizes[found[0]] += size
    for ref in files:
        if (stage := ref.split("/")[1]) in ours:
            yield ref, Unused(stage=stage, ref=ref, files=files[ref], bytes=sizes[ref])


def _in_progress(store: Store) -> Iterator[tuple[str, int]]:
    scratch = store.scratch("stages")
    for path in scratch.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(scratch.parent).as_posix(), path.stat().st_size
