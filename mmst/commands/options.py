"""What the commands share: the options that mean the same everywhere, and how a result is printed."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from mmst.config import Config

DEFAULT_OUT = "mmst-out"

Recipe = Annotated[
    str,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe (`mmst recipes`), or a YAML file."),
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        default_factory=list,
        show_default=False,
        help="Change a recipe key; may be repeated. Values are YAML.",
    ),
]
RecipeOut = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="URI",
        help="Where everything is stored: a folder or s3://bucket/prefix.",
        show_default="the recipe's",
    ),
]
StoreOut = Annotated[str, typer.Option("--out", "-o", metavar="URI", help="The store: a folder or s3://bucket/prefix.")]
ClusterNamespace = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="NAMESPACE",
        help="Use the settings of the release installed in this namespace (its ConfigMap mmst-settings).",
        show_default="none",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, for scripts.")]


def configured(recipe: str, settings: list[str], out: str = "", cluster: str = "") -> Config:
    """The recipe with an installed release's settings, `--set` and `--out` applied, in this order."""
    from mmst import recipes
    from mmst.config import parse

    data = recipes.read(recipe)
    if cluster:
        from mmst.wiring import release_settings

        data = recipes.lay_over(data, release_settings(cluster))
    config = parse(recipes.override_all(data, settings))
    return dataclasses.replace(config, out=out) if out else config


def released(cluster: str, settings: Sequence[str] = ()) -> Config:
    """The settings of the release that is installed in this namespace, as a recipe without problems; with `--set`."""
    from mmst import recipes
    from mmst.config import parse
    from mmst.wiring import release_settings

    return parse(recipes.override_all(recipes.lay_over({}, release_settings(cluster)), settings))


def emit(result: Any, as_json: bool, *rendered: RenderableType) -> None:
    """Print a result: as JSON (records included) or as it is rendered for people."""
    if as_json:
        from mmst.records import to_data

        print(json.dumps(to_data(result), ensure_ascii=False, indent=2))
        return
    out = console()
    for item in rendered:
        out.print(item, highlight=False, soft_wrap=isinstance(item, str))


def console() -> Console:
    """Standard output; wide when nobody watches, so that tables in logs are not cut."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)
