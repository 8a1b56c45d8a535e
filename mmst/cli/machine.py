"""`mmst doctor` and `mmst serve`: check this machine, serve a model from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, Json, StoreOut, emit
from mmst.core.errors import ConfigError, SetupError
from mmst.core.extras import needed

DTYPES = ("float32", "bfloat16", "float16")

if TYPE_CHECKING:
    from mmst.core.diagnostic import Diagnostic


def doctor(out: StoreOut = DEFAULT_OUT, json: Json = False) -> None:
    """Check that this machine has what MMST needs; exit code 3 if something required is missing.

    Example:

      mmst doctor --out /data/runs
    """
    from mmst.preflight import machine as doctors

    report_findings(doctors.examine(out), json, "on this machine")


def report_findings(found: Iterable[Diagnostic], json: bool, where: str) -> None:
    """Print findings as a table; `SetupError` if something required is missing."""
    from rich.table import Table

    from mmst.observe.console import escape

    findings = list(found)
    table = Table("", "what", "found", "why, and what to do", box=None, header_style="bold", pad_edge=False)
    for f in findings:
        mark = "[green]✓[/]" if f.ok else "[red]✗[/]" if f.needed else "[yellow]–[/]"
        advice = escape(f.why) if f.ok else f"{escape(f.why)}\n[bold]{escape(f.remedy)}[/]"
        table.add_row(mark, escape(f.what), escape(f.found), advice)
    emit(findings, json, table)
    missing = [f for f in findings if f.needed and not f.ok]
    if missing:
        names = ", ".join(f.what for f in missing)
        raise SetupError(f"missing {where}: {names}", why=missing[0].found, remedy=missing[0].remedy)


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="mmst:tiny (shipped), a Hugging Face folder, a .gguf file, or hub:OWNER/NAME@REVISION.",
            show_default="mmst:tiny",
        ),
    ] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The HTTP port.")] = 8080,
    name: Annotated[str, typer.Option(help="The model's name in requests.", show_default="the folder's")] = "",
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines connect.")
    ] = "127.0.0.1",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    store: Annotated[str, typer.Option(metavar="URI", help="Serve a checkpoint of this store instead.")] = "",
    checkpoint: Annotated[
        str, typer.Option(metavar="REF", help="With --store: the checkpoint, stages/train/KEY.")
    ] = "",
    cache: Annotated[Path, typer.Option(help="Folder for a checkpoint downloaded from a bucket.")] = Path("mmst-cache"),
) -> None:
    """Serve a model over the OpenAI completions protocol (KServe), until Ctrl-C.

    Examples:

      mmst serve mmst:tiny --port 8080

      mmst serve --store s3://bucket/runs --checkpoint stages/train/3fa94c1b2d5e6f70 --cache /tmp/model

      mmst run -r demo -s sampling.backend=openai -s sampling.url=http://127.0.0.1:8080/openai/v1
    """
    from mmst.core.process import stop_on_signals
    from mmst.core.stored import load
    from mmst.core.weights import checkpoint_folder
    from mmst.models import model_folder, whole
    from mmst.models.sources import model_files
    from mmst.wiring import open_store

    stop_on_signals("nothing is served")
    if bool(store) != bool(checkpoint) or (model and store):
        raise ConfigError(
            "give either a model, or --store with --checkpoint",
            value=[v for v in (model, store, checkpoint) if v],
            remedy="mmst serve mmst:tiny, or mmst serve --store URI --checkpoint stages/train/KEY",
        )
    if dtype not in DTYPES:
        raise ConfigError(f"--dtype must be one of {', '.join(DTYPES)}", value=dtype, remedy="--dtype float32")
    with needed("serve", "the server cannot be loaded"):
        from mmst.inference.server.app import serve as start
    digest = ""
    if store:
        opened = open_store(store)
        manifest = load(opened, checkpoint)
        folder, digest = model_folder(str(checkpoint_folder(opened, manifest, cache / manifest.key))), manifest.digest
    else:
        folder = model_files(model or "mmst:tiny").folder
        whole.check(folder)
    start(str(folder), name=name or folder.name, port=port, host=host, dtype=dtype, checkpoint=digest)
