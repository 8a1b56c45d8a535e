"""What the commands share: common options, and how a result is printed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmst.core import addresses, credentials
from mmst.core.errors import ConfigError, StoreError
from mmst.observe.terminal import say_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.core.config import Config
    from mmst.observe.console import Console

DEFAULT_OUT = "mmst-out"


def _store(uri: str) -> str:
    """Check the address of a store: it must not be a file or contain a credential."""
    credentials.refuse(uri, "out")
    addresses.store(uri, "--out")
    if uri == "-" or (uri and "://" not in uri and Path(uri).exists() and not Path(uri).is_dir()):
        raise ConfigError("--out must be a folder or s3://bucket/prefix", value=uri, remedy="--out runs")
    return uri


def between(low: float, high: float, unit: str = "") -> Callable[[typer.CallbackParam, float | None], float | None]:
    """A callback for an option: `ConfigError` with option, bounds and value if a number is out of bounds or NaN."""

    def check(param: typer.CallbackParam, value: float | None) -> float | None:
        if value is not None and not low <= value <= high:
            name, bounds = param.opts[0], f"from {low:,} to {high:,} {unit}".rstrip()
            raise ConfigError(f"{name} must be {bounds}", value=value, remedy=f"{name} {param.default or low}")
        return value

    return check


Recipe = Annotated[
    str,
    typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe (`mmst recipes`) or a YAML file."),
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="KEY=VALUE",
        default_factory=list,
        show_default=False,
        help="Set a recipe key; may be repeated. Values are YAML.",
    ),
]
RecipeOut = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="URI",
        help="The store: a folder or s3://bucket/prefix.",
        show_default="the recipe's",
        callback=_store,
    ),
]
RunName = Annotated[str, typer.Argument(metavar="[RUN]", help="The run, or the beginning of its name.")]
StoreOut = Annotated[
    str,
    typer.Option("--out", "-o", metavar="URI", help="The store: a folder or s3://bucket/prefix.", callback=_store),
]
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


def there(out: str) -> None:
    """`ConfigError` for a folder that is not there, unless it is the default, which the first run makes."""
    folder = out.removeprefix("file://")
    if out != DEFAULT_OUT and "://" not in folder and not Path(folder).expanduser().is_dir():
        raise ConfigError("there is no such store", value=out, remedy="set --out to the folder that holds your runs")


def configured(recipe: str, settings: list[str], out: str = "", cluster: str = "") -> Config:
    """The recipe with an installed release's settings, `--set` and `--out` applied, in this order."""
    from mmst import recipes
    from mmst.core.config import parse

    data = recipes.read(recipe)
    if cluster:
        from mmst.wiring import release_settings

        data = recipes.lay_over(data, release_settings(cluster))
    data = recipes.override_all(data, settings)
    return parse({**data, "out": out} if out else data)


def released(cluster: str, settings: Sequence[str] = ()) -> Config:
    """The settings of the release in this namespace, as a recipe without problems, with `--set` applied."""
    from mmst import recipes
    from mmst.core.config import parse
    from mmst.wiring import release_settings

    return parse(recipes.override_all(recipes.lay_over({}, release_settings(cluster)), settings))


def emit(result: Any, as_json: bool, *rendered: RenderableType, aside: bool = False) -> None:
    """Print a result, as JSON (records included) or as rendered for people.

    With `aside`, print it on standard error, because the output itself goes to standard output.
    """
    with standard_output():
        if as_json:
            from mmst.core.records import to_data

            say_json(to_data(result), aside=aside)
            return
        out = console(aside=aside)
        for item in rendered:
            out.print(item, highlight=False, soft_wrap=isinstance(item, str))


def console(*, aside: bool = False) -> Console:
    """Standard output (or error); wide if it is not a terminal, so that tables in logs are not cut."""
    from mmst.observe.console import Console

    watched = (sys.stderr if aside else sys.stdout).isatty()
    return Console(width=None if watched else 120, stderr=aside)


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Raise `StoreError` if a result cannot be printed, as on a full disk; a closed pipe is not an error."""
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as e:
        raise StoreError(f"standard output cannot be written: {e.strerror}") from e
