"""`mmst compare`: two runs, or two arms, problem by problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.runs.compare import Comparison

_WHICH = "A run or the beginning of its name; RUN/ARM for another arm than its own."


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN[/ARM]", help=_WHICH)],
    second: Annotated[str, typer.Argument(metavar="RUN[/ARM]", help="The same, of what is compared with it.")],
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Compare two runs, or two arms: recipe keys that differ, and who solves which held-out problems.

    Only problems that both were measured on count. p is of McNemar's exact paired test. --json lists the problems that
    only one of them solves; `mmst show RUN --problem ID` shows one.

    Examples:

      mmst compare demo/base demo

      mmst compare demo demo/annotated-only --json
    """
    from mmst.runs import compare as comparing
    from mmst.wiring import open_store

    found = comparing.compare(open_store(out), first, second)
    emit(found, json, *_rendered(found))


def _rendered(found: Comparison) -> Iterator[RenderableType]:
    from rich.table import Table

    from mmst.observe.console import escape

    names = [f"{s.run}, round {s.round}, {s.arm}" for s in (found.first, found.second)]
    yield "\n".join(f"[bold]{word}[/]  {escape(name)}" for word, name in zip(("first ", "second"), names, strict=True))
    if found.recipe:
        keys = Table("key", "first", "second", box=None, header_style="bold")
        for d in found.recipe:
            keys.add_row(escape(d.key), escape(str(d.first)), escape(str(d.second)))
        yield keys
    if not found.paired:
        yield "They were measured on no common problem."
        return
    table = Table("task", "method", "problems", "first", "second", "only first", "only second", "p", box=None)
    table.header_style = "bold"
    for p in found.paired:
        cells = (p.n, p.first, p.second, len(p.lost), len(p.gained), f"{p.p:.2g}")
        table.add_row(escape(p.task), escape(p.method), *map(str, cells))
    yield table
