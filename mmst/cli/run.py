"""`mmst run`, `mmst compile`, `mmst recipes`: whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import ClusterNamespace, Json, Recipe, RecipeOut, Settings, configured, console, emit

if TYPE_CHECKING:
    from mmst.core.config import Config
    from mmst.core.ports import Store


def run(
    recipe: Recipe, settings: Settings, out: RecipeOut = "", cluster: ClusterNamespace = "", json: Json = False
) -> None:
    """Run a whole recipe on this machine; the same command continues a stopped run.

    Stages that are complete are kept, so a run that was stopped (Ctrl-C, kill, power cut) continues where it was. If
    another process is running the same recipe on this machine, the command names that process and waits.

    Examples:

      mmst run --recipe demo

      mmst run -r demo -s sampling.k=8 -s 'loop.controls=\\[annotated-only]' -o runs

      mmst run -r my.yaml -o s3://bucket/experiments
    """
    from mmst.cli import tables
    from mmst.core.config import run_id
    from mmst.runs import summary
    from mmst.wiring import default_tracking_uri, open_store

    config = configured(recipe, settings, out, cluster)
    run_here(config)
    name = run_id(config)
    done = summary.summarise(open_store(config.out), name)
    uri = config.promote.tracking_uri or default_tracking_uri(config.out)
    emit(done, json, f"\n[bold]{config.title or config.name}[/]  run {name}", *tables.results(done))
    if not json:
        for line in tables.next_steps(done, config, uri):
            console().print(line, highlight=False, soft_wrap=True)


def run_here(config: Config) -> None:
    """Run the graph on this machine and show its progress; complete stages are kept."""
    from mmst.core import disk, locks, private
    from mmst.core.config import run_id
    from mmst.observe import progress
    from mmst.pipelines import local
    from mmst.preflight import recipe as preflight_recipe
    from mmst.runs import summary
    from mmst.wiring import open_store

    preflight_recipe.check(config)
    store = open_store(config.out)
    summary.record_config(store, config)
    name = run_id(config)
    folder = logs_folder(config.out, name)

    told = set[str]()

    def waiting(holder: str) -> None:
        if holder not in told:
            line = f"{name} is already running here ({holder}); waiting until it ends. Ctrl-C ends only this command."
            console(aside=True).print(line, highlight=False, soft_wrap=True, markup=False)
        told.add(holder)

    with disk.trouble("work in", folder):
        private.folder(folder)
    with locks.held(lock_of(store, name), waiting), locks.held(folder / locks.RUN, waiting):
        local.run(config, folder, progress.follow)


def lock_of(store: Store, run: str) -> Path:
    """What a run of a store holds on this machine, wherever its logs are."""
    from mmst.core import locks

    return store.scratch(f"runs/{run}") / locks.RUN


def logs_folder(out: str, run: str) -> Path:
    """The folder of a run's logs and events: in the store if it is a folder, else below the current folder."""
    base = Path("mmst-logs") if out.startswith("s3://") else Path(out.removeprefix("file://")).expanduser() / "logs"
    return (base / run).absolute()


def compile(
    recipe: Recipe,
    settings: Settings,
    out: RecipeOut = "",
    cluster: ClusterNamespace = "",
    file: Annotated[Path, typer.Option("--file", "-f", help="Where to write the YAML; -: standard output.")] = Path(
        "pipeline.yaml"
    ),
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Write Pipeline and PipelineVersion objects for Git, instead of IR YAML.")
    ] = False,
) -> None:
    """Compile a recipe to YAML for Kubeflow Pipelines; the same recipe gives the same bytes.

    Examples:

      mmst compile --recipe demo --out s3://bucket/experiments --file pipeline.yaml

      mmst compile --recipe demo --cluster mmst --manifest --file pipeline-version.yaml
    """
    from mmst.core import output
    from mmst.observe.console import escape
    from mmst.pipelines.compile import compile_to

    config = configured(recipe, settings, out, cluster)
    place = output.find(file, option="--file")
    compile_to(place, config, namespace=config.cluster.namespace if manifest else "")
    emit(str(file), False, escape(place.shown), aside=place.to_stdout)


def _added(key: str) -> str:
    """What installed packages add to the values of a key."""
    from mmst.core import plugins

    found = plugins.added_to(key)
    return f"; installed here: {', '.join(entry.source for entry in found)}" if found else ""


def recipes(
    keys: Annotated[bool, typer.Option("--keys", help="List every key that a recipe may set, instead.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a recipe, instead.")] = False,
    json: Json = False,
) -> None:
    """List the shipped recipes and experiments, or with --keys all keys of a recipe.

    Examples:

      mmst recipes

      mmst recipes --keys

      mmst recipes --schema > recipe.schema.json
    """
    from rich.table import Table

    from mmst import recipes
    from mmst.core.config import options
    from mmst.core.records import to_data
    from mmst.experiments.definition import SHIPPED as EXPERIMENTS

    if schema:
        emit(recipes.schema(), True)
        return
    if keys:
        rows = [
            {"key": k, "type": t, "default": None if callable(d) else to_data(d), "help": h + _added(k)}
            for k, t, d, h in options()
        ]
        table = Table("key", "type", "default", "what it does", box=None, header_style="bold")
        for row in rows:
            table.add_row(row["key"], row["type"], str(row["default"]), row["help"])
    else:
        rows = [
            {"name": name, "command": f"{command} {name}", "title": str(shipped.read(name).get("title", ""))}
            for command, shipped in (("mmst run -r", recipes.SHIPPED), ("mmst experiment", EXPERIMENTS))
            for name in shipped.names()
        ]
        table = Table("command", "what it is", box=None, header_style="bold")
        for row in rows:
            table.add_row(row["command"], row["title"])
    emit(rows, json, table)


def methods(
    name_or_file: Annotated[str, typer.Argument(metavar="[NAME|FILE]", help="One method: show how it asks.")] = "",
    json: Json = False,
) -> None:
    """List the methods that a recipe may name, or check a method file and show a prompt of it.

    Examples:

      mmst methods

      mmst methods decompose
    """
    from rich.table import Table

    from mmst.core import plugins
    from mmst.methods import files
    from mmst.methods.prompts import solve_prompt
    from mmst.observe.console import escape

    if name_or_file:
        by = files.named(name_or_file)
        prompt = solve_prompt(by, "…", "few-shot", len(by.shots))
        emit({"name": by.name, "executes": by.executes, "prompt": prompt}, json, escape(prompt))
        return
    rows = [{"name": name, "what": plugins.summary(plugins.METHODS, name)} for name in plugins.names(plugins.METHODS)]
    rows += [
        {"name": name, "what": f"A shipped file: {files.read(name).phrasings[0].instruction.partition('. ')[2]}"}
        for name in files.SHIPPED.names()
    ]
    table = Table("method", "what it is", box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    emit(rows, json, table)
