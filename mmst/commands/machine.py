"""`mmst doctor` and `mmst serve`: the machine itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.commands.options import DEFAULT_OUT, Json, StoreOut, emit
from mmst.errors import SetupError

if TYPE_CHECKING:
    from mmst.finding import Finding


def doctor(out: StoreOut = DEFAULT_OUT, json: Json = False) -> None:
    """Check that this machine has what MMST needs; exit code 3 when something needed is missing.

    Example:

      mmst doctor --out /data/runs
    """
    from mmst import doctor as doctors

    report_findings(doctors.examine(out), json, "on this machine")


def report_findings(found: Iterable[Finding], json: bool, where: str) -> None:
    """Print findings as a table; `SetupError` when something needed is missing."""
    from rich.markup import escape
    from rich.table import Table

    findings = list(found)
    table = Table("", "what", "found", "why, and what to do", box=None, header_style="bold", pad_edge=False)
    for f in findings:
        mark = "[green]✓[/]" if f.ok else "[red]✗[/]" if f.needed else "[yellow]–[/]"
        advice = f.why if f.ok else f"{f.why}\n[bold]{escape(f.remedy)}[/]"
        table.add_row(mark, f.what, escape(f.found), advice)
    emit(findings, json, table)
    missing = [f for f in findings if f.needed and not f.ok]
    if missing:
        names = ", ".join(f.what for f in missing)
        raise SetupError(f"missing {where}: {names}", why=missing[0].found, remedy=missing[0].remedy)


def serve(
    model: Annotated[str, typer.Argument(help="mmst:tiny (shipped), or a Hugging Face folder.")] = "mmst:tiny",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The HTTP port.")] = 8080,
    name: Annotated[str, typer.Option(help="The model's name in requests.", show_default="the folder's")] = "",
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
) -> None:
    """Serve a model over the OpenAI completions protocol (KServe), until Ctrl-C.

    Examples:

      mmst serve mmst:tiny --port 8080

      mmst run -r demo -s sampling.backend=openai -s sampling.url=http://127.0.0.1:8080/openai/v1
    """
    from mmst.base import model_folder

    folder = model_folder(model)
    try:
        from mmst.serve import serve as start
    except ImportError as e:
        raise SetupError("the server cannot be loaded", why=str(e), remedy="pip install 'mmst[serve]'") from None
    start(str(folder), name=name or folder.name, port=port, host=host)
