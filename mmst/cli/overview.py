"""`mmst --help`: all commands in panels, shown without loading what they do."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping

from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from mmst.observe.console import Console

Rows = Iterable[tuple[str, str]]
"""A name and what it is, in markup."""


def show(usage: str, about: str, options: Rows, panels: Mapping[str, Rows], epilog: str) -> None:
    """Print the help of the whole command line, in the form of typer's help of single commands."""
    out = Console(highlight=False)
    out.print(Padding(f"[bold yellow]Usage:[/] [bold]{usage}[/]", 1))
    first, _, rest = inspect.cleandoc(about).partition("\n")
    out.print(Padding(f"{first}\n[dim]{rest}[/]", (0, 1, 1, 1)))
    for title, rows in {"Options": options, **panels}.items():
        out.print(_panel(title, rows))
    out.print(Padding(epilog, 1))


def summary(doc: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(doc or "").partition("\n\n")[0].split())


def _panel(title: str, rows: Rows) -> Panel:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold cyan", no_wrap=True)
    table.add_column(ratio=1)
    for name, what in rows:
        table.add_row(name, what)
    return Panel(table, title=title, title_align="left", border_style="dim")
