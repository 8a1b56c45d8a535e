"""`mmst clean`: what may go from a store, and its deletion."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit, there

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.core.ports import Store
    from mmst.runs.cleaning import Plan


def clean(
    given_up: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN]…",
            default_factory=list,
            show_default=False,
            help="Runs to give up: a run's name, or its recipe's where only one run has that.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete it.")] = False,
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Show what may go from a store and how much that is; with --yes, delete it.

    Stages that no run uses may go; with RUN, also that run, its page and logs, and the stages that it alone uses. What
    promotions on record name stays, and a run that made a standing champion is refused. MLflow is left as it is.
    `mmst run` can make a run again that was given up in error.

    Examples:

      mmst clean

      mmst clean demo --yes
    """
    from mmst.cli.run import lock_of, logs_folder
    from mmst.core import locks
    from mmst.core.errors import UserError
    from mmst.core.records import to_data
    from mmst.observe import progress
    from mmst.runs import cleaning
    from mmst.wiring import open_store

    there(out)
    store = open_store(out)
    names = list(dict.fromkeys(_named(store, name) for name in given_up))
    with contextlib.ExitStack() as held:
        for name in names:
            lock = lock_of(store, name)
            free = held.enter_context(locks.held_now(lock)) if yes else not locks.is_held(lock)
            if not free:
                raise UserError("this run is under way", value=name, remedy="stop it first (Ctrl-C, or SIGTERM)")
            cleaning.refuse(store, name)
        planned, stay = cleaning.plan(store, names), dict[str, str]()
        if yes:
            for name in names if store.folder("logs") else ():
                _forget(logs_folder(store.uri, name))
            stay.update(cleaning.clean(store, planned, progress.from_environment()))
            planned = planned.without(stay)
    shown = to_data(planned) | {"bytes": planned.bytes, "deleted": yes, "stay": stay}
    emit(shown, json, *_rendered(planned, yes, stay))


def _named(store: Store, name: str) -> str:
    """The run of this name, or of this recipe's name; the mere beginning of one is not enough to delete it."""
    from mmst.core.errors import UserError
    from mmst.runs.summary import find_run

    if not name:
        raise UserError("the name of a run is empty", remedy="`mmst status` lists the runs")
    found = find_run(store, name)
    if name not in (found, found.rpartition("-")[0]):
        raise UserError("this is only the beginning of a run's name", value=name, remedy=f"mmst clean {found}")
    return found


def _forget(logs: Path) -> None:
    """Delete a run's logs (`<store>/logs/<run>`), but not the lock, which somebody may be waiting for."""
    from mmst.core import disk, locks

    for path in logs.iterdir() if logs.is_dir() and not disk.linked(logs, logs.parents[1]) else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != locks.RUN:
            path.unlink(missing_ok=True)


def _rendered(planned: Plan, deleted: bool, stay: Mapping[str, str]) -> Iterator[RenderableType]:
    from rich.filesize import decimal
    from rich.table import Table

    from mmst.observe.console import escape
    from mmst.runs.cleaning import by_stage

    verb = "Deleted" if deleted else "May go"
    if planned.unused:
        table = Table("stages", "", "files", "size", box=None, header_style="bold")
        for stage, (count, files, size) in by_stage(planned.unused).items():
            table.add_row(stage, f"{count:,}", f"{files:,}", decimal(size))
        yield table
    runs = f"{', '.join(map(escape, planned.gone))}, and " if planned.gone else ""
    yield f"[bold]{verb}:[/] {runs}{len(planned.unused):,} stages that no run uses, {decimal(planned.bytes)}."
    for ref, why in stay.items():
        yield f"[bold]Stays:[/] {escape(ref)}: {escape(why)}."
    if planned.kept:
        table = Table("run", "stages", "size", "of it alone", box=None, header_style="bold")
        for run in planned.kept:
            table.add_row(escape(run.run), f"{run.stages:,}", decimal(run.bytes), decimal(run.alone))
        yield table
    if not deleted and (planned.unused or planned.gone):
        yield "Nothing was deleted; the same command with --yes does it."
