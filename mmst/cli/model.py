"""`mmst model`: a model's files made a folder that recipes take, and what they say of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mmst.cli.options import Json, emit

model = typer.Typer(no_args_is_help=True, help="Models: make a folder of a GGUF file, or show what one is.")


@model.command("import")
def import_model(
    file: Annotated[Path, typer.Argument(help="The GGUF file.")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder to write; it must not exist yet.")],
    json: Json = False,
) -> None:
    """Write a GGUF file as a Hugging Face folder (safetensors, bfloat16), which model.base takes.

    Recipes take the GGUF file itself too (model.base=FILE.gguf): then the folder is kept in the user's cache.

    Example:

      mmst model import qwen2.5-0.5b-q4_k_m.gguf --to qwen
    """
    from mmst.models.gguf import convert
    from mmst.observe.console import escape

    convert(file.expanduser(), to.expanduser())
    emit({"folder": str(to)}, json, escape(f"written to {to}; try `mmst model show {to}`"))


@model.command("show")
def show_model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A folder, a .gguf file, hub:OWNER/NAME@REVISION (fetched first), or mmst:tiny."
        ),
    ],
    json: Json = False,
) -> None:
    """Show a model's architecture, parameters, context, chat template, and licence where its files state it.

    Examples:

      mmst model show mmst:tiny

      mmst model show hub:Qwen/Qwen2.5-0.5B@main
    """
    from rich.table import Table

    from mmst.models.sources import describe
    from mmst.observe.console import escape

    found, origin = describe(name)
    table = Table(box=None, show_header=False)
    for key, value in (
        ("name", found.name),
        ("architecture", found.architecture),
        ("parameters", f"{found.parameters:,}"),
        ("stored as", ", ".join(found.dtypes)),
        ("context", f"{found.context:,} tokens" if found.context else "not stated"),
        ("chat template", "yes" if found.chat_template else "no (prompt.style=chat needs one)"),
        ("licence", found.licence or "not stated"),
        *((key, value) for key, value in origin.items()),
    ):
        table.add_row(key, escape(value))
    emit(asdict(found) | {"origin": dict(origin)}, json, table)
