"""`mmst clean`: what may go from a store, and its deletion."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit, there

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.runs.cleaning import Plan


def clean(
    given_up: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN]…",
            default_factory=list,
            show_default=False,
            help="Runs to give up, by name or the beginning of it.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete it.")] = False,
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Show what may go from a store and how much that is; with --yes, delete it.

    Stages that no run uses may go; with RUN, also that run, its page and logs, and the stages that it alone uses. What
    a champion needs stays. MLflow is left as it is. `mmst run` can make a run again that was given up in error.

    Examples:

      mmst clean

      mmst clean demo --yes
    """
    from mmst.cli.run import logs_folder
    from mmst.core import locks
    from mmst.core.errors import UserError
    from mmst.core.records import to_data
    from mmst.observe import progress
    from mmst.runs import cleaning
    from mmst.runs.summary import find_run
    from mmst.wiring import open_store

    there(out)
    store = open_store(out)
    names = [find_run(store, name) for name in given_up]
    folders = [logs_folder(store.uri, name) for name in names]
    for name, folder in zip(names, folders, strict=True):
        if locks.is_held(folder / locks.RUN):
            raise UserError("this run is under way", value=name, remedy="stop it first (Ctrl-C, or SIGTERM)")
    planned = cleaning.plan(store, names)
    stay: list[str] = []
    if yes:
        with contextlib.ExitStack() as held:
            for folder in folders:
                if folder.is_dir():
                    held.enter_context(locks.held(folder / locks.RUN))
            stay = cleaning.clean(store, planned, progress.from_environment())
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
    emit(to_data(planned) | {"deleted": yes, "stay": stay}, json, *_rendered(planned, yes, stay))


def _rendered(planned: Plan, deleted: bool, stay: Sequence[str]) -> Iterator[RenderableType]:
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
    for ref in stay:
        yield f"[bold]Stays:[/] {ref}; a run uses it now."
    if planned.kept:
        table = Table("run", "stages", "size", "of it alone", box=None, header_style="bold")
        for run in planned.kept:
            table.add_row(escape(run.run), f"{run.stages:,}", decimal(run.bytes), decimal(run.alone))
        yield table
    if not deleted and (planned.unused or planned.gone):
        yield "Nothing was deleted; the same command with --yes does it."
