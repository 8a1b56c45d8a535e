"""`mmst status`, `mmst show`, `mmst problems`: show what is in the store or in a problem file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import DEFAULT_OUT, ClusterNamespace, Json, RunName, StoreOut, emit, released, there

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmst.core.errors import MmstError
    from mmst.core.records import Problem
    from mmst.runs.summary import RunSummary


def status(run: RunName = "", out: StoreOut = DEFAULT_OUT, cluster: ClusterNamespace = "", json: Json = False) -> None:
    """Show the progress of a run; without RUN, list the runs of the store.

    With --cluster, use the release's store, and also show the run's objects in the cluster and their problems.

    Examples:

      mmst status

      mmst status demo --out runs

      mmst status demo --cluster mmst
    """
    from mmst.cli import tables
    from mmst.cli.run import logs_folder
    from mmst.core.records import to_data
    from mmst.observe import under_way
    from mmst.runs import summary
    from mmst.wiring import failures, in_cluster, open_store

    release = released(cluster) if cluster else None
    store = open_store(release.out if release and out == DEFAULT_OUT else out)
    if not run:
        there(out)
        found_runs, broken = summary.summaries(store)
        _list_runs(store.uri, found_runs, broken, json)
        for error in broken.values():
            raise error
        return
    found = summary.summarise(store, summary.find_run(store, run))
    working = under_way.look(logs_folder(store.uri, found.run))
    done: list[RenderableType] = [
        tables.stage_table(found, working),
        *tables.accuracy(found),
        *tables.decisions(found),
        *tables.labels(found),
        *tables.funnel(found),
    ]
    if release is None:
        emit(to_data(found) | {"under_way": to_data(working)} if json else found, json, *done)
        return
    seen, failed = in_cluster(release.cluster, found.run), failures(release.cluster, found.run)
    live = {"objects": seen, "failures": [str(error) for error in failed]}
    emit({"store": found, "cluster": live} if json else found, json, *done, *tables.live(seen, failed))


def show(
    run: RunName = "",
    problem: Annotated[str, typer.Option("--problem", metavar="ID", help="The id of the problem, p-….")] = "",
    index: Annotated[
        int | None, typer.Option("--index", "-n", min=0, help="Its index among the training problems.")
    ] = None,
    out: StoreOut = DEFAULT_OUT,
    json: Json = False,
) -> None:
    """Show one problem in full: prompt, every sample, verdict, translation, and whether it was trained on.

    Without --problem or --index, it shows a problem with a translation that was trained on.

    Examples:

      mmst show demo

      mmst show demo --index 12

      mmst show demo --problem p-5d1c0f2b9a7e4c31
    """
    from mmst.cli.story import tell
    from mmst.runs import problem_history, summary
    from mmst.wiring import open_store

    store = open_store(out)
    name = summary.find_run(store, run)
    told = problem_history.story(store, name, problem, index)
    emit(told, json, *tell(told))


def _list_runs(uri: str, found: list[RunSummary], broken: Mapping[str, MmstError], json: bool) -> None:
    from rich.table import Table

    from mmst.observe.console import escape

    table = Table("run", "title", "rounds", "stages complete", "last decision", box=None, header_style="bold")
    if any(s.served for s in found):
        table.add_column("answered in the base's place")
    rows = list[dict[str, object]]()
    for s in found:
        states = [state for r in s.rounds for state in r.stages]
        complete = sum(state.complete for state in states)
        word = "" if s.decision is None else "promoted" if s.decision.promote else "rejected"
        title = s.config.title if s.config else ""
        rounds = max((r.round for r in s.rounds), default=0)
        served = ", ".join(map(str, s.served))
        cells = [escape(s.run), escape(title), str(rounds), f"{complete} of {len(states)} begun", word, escape(served)]
        table.add_row(*cells[: len(table.columns)])
        row = {"run": s.run, "title": title, "rounds": rounds, "complete": complete, "begun": len(states)}
        rows.append(row | ({"served": served} if served else {}))
    for name, error in broken.items():
        table.add_row(escape(name), "cannot be read; `mmst status` with its name says why")
        rows.append({"run": name, "error": str(error)})
    empty = f"No runs in {uri}. `mmst run --recipe demo` starts one; --out selects another store."
    emit(rows, json, table if rows else empty)


problems = typer.Typer(no_args_is_help=True, help="Problem files: list the formats, import a file, describe one.")
Format = Annotated[str, typer.Argument(help="A format from `mmst problems list`.")]
_NOTES = 20
File = Annotated[Path, typer.Argument(help="The published file, or a folder of such files; -: standard input.")]


@problems.command("list")
def list_formats(json: Json = False) -> None:
    """List the formats that can be imported.

    Example:

      mmst problems list
    """
    from rich.table import Table

    from mmst.core import plugins
    from mmst.observe.console import escape

    rows = [
        {"format": name, "help": plugins.summary(plugins.DATASETS, name)} for name in plugins.names(plugins.DATASETS)
    ]
    table = Table("format", "what it is", box=None, header_style="bold")
    for row in rows:
        table.add_row(row["format"], escape(row["help"]))
    emit(rows, json, table)


@problems.command("import")
def import_file(
    format: Format,
    file: File,
    to: Annotated[Path, typer.Option("--to", help="Where to write the problems as JSONL; -: standard output.")],
    json: Json = False,
) -> None:
    """Convert a published problem file to JSONL; a recipe reads the result with format: jsonl.

    The file may be JSON lines, a JSON list or object, Parquet, CSV or XML, gzipped or not, or a folder of such files.
    A bad line stops the import with file, line, field and value, and nothing is written. A question that appears
    twice is written once. If its answers differ, the first is written and all are listed.

    Example:

      mmst problems import gsm8k gsm8k/test.jsonl --to my-test.jsonl
    """
    from mmst import datasets as sets
    from mmst.core import output
    from mmst.datasets.importing import Repeats, as_data
    from mmst.observe.console import escape

    repeats, notes = Repeats(), list[str]()
    with output.given(file.expanduser(), again=True, folders=True) as published:
        place = output.find(to, published, option="--to")

        def once() -> Iterator[Problem]:
            for item in sets.read_file(format, published):
                at = f"{file}{'/' if published.is_dir() else ', '}{item.place}" if item.place else str(file)
                notes.extend(f"{at}: {note}" for note in item.notes)
                if repeats.first(item):
                    yield item.problem

        count = sets.export(once(), place)
    differing = repeats.contradictions()
    said = [f"{count} problems written to {place.shown}"]
    if repeats.count:
        said.append(f"{repeats.count} left out, because their questions appear earlier")
    if differing:
        said.append(f"{len(differing)} questions have different answers; the first was written. Correct the file:")
        said += [f"  {each}" for each in differing]
    said += notes[:_NOTES] + ([f"… and {len(notes) - _NOTES} more such notes"] if len(notes) > _NOTES else [])
    result = {"problems": count, "file": str(to), "repeated": repeats.count}
    result |= {"contradictions": as_data(differing), "notes": notes}
    emit(result, json, escape("\n".join(said)), aside=place.to_stdout)


@problems.command("describe")
def describe(format: Format, file: File, json: Json = False) -> None:
    """Describe a problem file: counts by split, family and answer, duplicates, lengths.

    Example:

      mmst problems describe svamp SVAMP.json
    """
    from rich.table import Table

    from mmst import datasets as sets
    from mmst.core import output
    from mmst.observe.console import escape

    with output.given(file.expanduser(), again=True, folders=True) as published:
        found = sets.describe(sets.import_file(format, published))
    table = Table("what", "how many", box=None, header_style="bold", title=escape(str(file)), title_justify="left")
    for name, value in found.items():
        counted = [f"{k} {v}" for k, v in value.items()] if isinstance(value, dict) else [str(value)]
        more = f" … and {len(counted) - 12} more" if len(counted) > 12 else ""
        table.add_row(name, escape(", ".join(counted[:12]) + more))
    emit(found, json, table)
