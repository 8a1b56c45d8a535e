"""`mmst view`: a store in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, StoreOut, there


def view(
    out: StoreOut = DEFAULT_OUT,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The HTTP port.")] = 8765,
    host: Annotated[
        str, typer.Option(help="The address to listen on; any but a loopback one asks for a ticket, which is printed.")
    ] = "127.0.0.1",
) -> None:
    """Show runs, samples and comparisons of a store in a browser, until Ctrl-C. Nothing in the store is changed.

    Samples can be filtered by verdict, method, arm, round, family or text, and downloaded. A page of a run that is
    under way comes anew by itself.

    Examples:

      mmst view

      mmst view --out s3://bucket/runs --port 9000
    """
    from mmst.cli.run import logs_folder
    from mmst.core.extras import needed
    from mmst.core.process import stop_on_signals
    from mmst.wiring import open_store

    stop_on_signals("nothing is shown any more")
    with needed("view", "the web application cannot be loaded"):
        from mmst.view import server
    there(out)
    store = open_store(out)
    server.serve(store, lambda run: logs_folder(store.uri, run), host=host, port=port)
