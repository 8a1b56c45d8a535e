"""`mmst preflight`: check that a cluster has what a recipe needs."""

from __future__ import annotations

from typing import Annotated

import typer

from mmst.cli.machine import report_findings
from mmst.cli.options import Json, Settings, configured, released
from mmst.cli.submit import Endpoint


def preflight(
    settings: Settings,
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAMESPACE", help="Namespace of the installed release.")],
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Also check what this recipe needs.")
    ] = "",
    only: Annotated[
        str,
        typer.Option(
            "--only",
            metavar="NAME,…",
            help="Parts: api, permissions, gvisor, walls, storage, mlflow, kserve, quota, images, kfp.",
            show_default="all",
        ),
    ] = "",
    endpoint: Endpoint = "",
    json: Json = False,
) -> None:
    """Check that a cluster has what runs need, by trying each part; exit code 3 if something is missing.

    It starts small pods (gVisor, images) and deletes them again.

    Examples:

      mmst preflight --cluster mmst --recipe demo

      mmst preflight --cluster mmst --only api,permissions,quota --json
    """
    from mmst.preflight import cluster as preflight_cluster

    parts = [name.strip() for name in only.split(",") if name.strip()]
    preflight_cluster.check_parts(parts, endpoint)
    config = configured(recipe, settings, cluster=cluster) if recipe else released(cluster, settings)
    report_findings(preflight_cluster.examine(config, parts, endpoint), json, "in this cluster")
