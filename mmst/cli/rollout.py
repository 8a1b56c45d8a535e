"""`mmst rollout`: serve the champion in a cluster."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from mmst.cli.options import ClusterNamespace, Settings, released
from mmst.core.errors import PlatformError, SetupError
from mmst.observe.terminal import say

EVERY = 30
"""Seconds between two checks of the registry."""


def rollout(
    cluster: ClusterNamespace,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="The registered model: promote.name of its recipes.")
    ],
    settings: Settings,
    once: Annotated[bool, typer.Option("--once", help="End when there is nothing more to do.")] = False,
) -> None:
    """Serve the champion: start it beside the current server, test it on real problems, switch, record it.

    A version that cannot be loaded, or does not solve what it is known to solve, is not served. The previous version
    goes on serving, and the tag serving.failed says why. Remove that tag to have the version tried again.

    Examples:

      mmst rollout --cluster mmst --model mmst-demo

      mmst rollout --cluster mmst --model mmst-demo --once
    """
    from mmst.stages.champion import check_name
    from mmst.wiring import connect

    check_name(model, "--model")
    roll = connect(released(cluster, settings)).rollout(model, say)
    said = ""
    while True:
        try:
            step, seen = roll.settle()
            line = f"{step}: " + (f"champion is version {seen.champion.version}" if seen.champion else "no champion")
        except (PlatformError, SetupError) as e:
            if once:
                raise
            line = f"trouble, tried again in {EVERY} s: {e}"
        if line != said:
            say(line)
        if once:
            return
        said = line
        time.sleep(EVERY)
