"""`mmst plan`: estimate what a recipe needs on some hardware, before anything is launched."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import Json, Settings, between, configured, emit
from mmst.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.planning.plan import Plan


def plan(
    settings: Settings,
    recipe: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped recipe, or a YAML file.")] = "",
    named: Annotated[
        str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="The recipe, named as `mmst run` takes it.")
    ] = "",
    hardware: Annotated[
        str, typer.Option("--hardware", "-H", metavar="NAME|FILE", help="Shipped hardware, or a YAML file like those.")
    ] = "laptop-2-cores",
    model_config: Annotated[
        str,
        typer.Option(
            "--model-config",
            metavar="NAME|FILE",
            help="A config.json to use instead of model.base's: a file, or the name of a shipped one.",
            show_default="model.base's",
        ),
    ] = "",
    price: Annotated[
        float,
        typer.Option(
            help="Price of a node per hour.", show_default="the hardware's, if any", callback=between(0, 10**9)
        ),
    ] = 0.0,
    solved: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of problems that a method solves with at least one sample.",
            show_default="0.75, about the demo's",
            callback=between(0, 1),
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Estimate what a recipe needs: memory, GPUs, samples, tokens, time, bytes, money; with every formula.

    If the recipe cannot fit, the exit code is 2 and the error lists changes that would fit.

    Examples:

      mmst plan demo

      mmst plan paper-176b --hardware 64xA100-80GB --price 30
    """
    from mmst.planning import hardware as machines
    from mmst.planning.inputs import model_and_tokens
    from mmst.planning.plan import plan as planned
    from mmst.planning.work import SOLVED

    if bool(recipe) == bool(named):
        raise ConfigError("one recipe is planned", value=f"{recipe} {named}".strip() or None, remedy="mmst plan demo")
    config, machine = configured(recipe or named, settings), machines.load(hardware)
    model, count = model_and_tokens(config.model.base, model_config)
    taught = {name: model_and_tokens(teacher.base)[0] for name, teacher in config.teachers.items() if teacher.base}
    found = planned(config, model, machine, count, price, SOLVED if solved is None else solved, taught)
    emit(found, json, *rendered(found))
    if found.misfits:
        raise ConfigError(
            f"recipe '{found.recipe}' does not fit on {found.hardware}: " + "; ".join(m.what for m in found.misfits),
            remedy="; and ".join(" or ".join(m.remedies) for m in found.misfits),
        )


def rendered(found: Plan) -> Iterator[RenderableType]:
    """The plan as a table, group by group."""
    from rich.table import Table

    from mmst.observe.console import escape
    from mmst.planning.figures import GROUPS, shown

    table = Table(title=f"{found.recipe} on {found.hardware}", title_justify="left", title_style="bold", box=None)
    table.add_column("")
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("from", style="dim", overflow="fold")
    for group, figures in itertools.groupby(
        sorted(found.figures, key=lambda f: GROUPS.index(f.group)), key=lambda f: f.group
    ):
        table.add_row(f"[bold]{group}[/]")
        for f in figures:
            table.add_row(f"  {escape(f.name)}", shown(f.value, f.unit), escape(f.formula))
    yield table
