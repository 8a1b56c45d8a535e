"""`mmst experiment`: run arms × seeds through the pipeline and test claims about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmst.cli.options import ClusterNamespace, Json, RecipeOut, Settings, emit

if TYPE_CHECKING:
    from rich.table import Table

    from mmst.experiments.definition import Experiment
    from mmst.experiments.findings import Finding, Level


def experiment(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped experiment, or a YAML file.")],
    settings: Settings,
    arm: Annotated[
        list[str],
        typer.Option(
            "--arm",
            metavar="NAME",
            default_factory=list,
            show_default="all",
            help="Run only this arm, beside the base and the arm that it is a control of; may be repeated. Claims "
            "about other arms wait.",
        ),
    ],
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=0, show_default="the experiment's")] = 0,
    seed: Annotated[
        int, typer.Option(help="Run only this seed; several machines may share a store.", min=0, show_default="all")
    ] = 0,
    dev: Annotated[bool, typer.Option("--dev", help="Measure on the development set, to choose settings.")] = False,
    out: RecipeOut = "",
    cluster: ClusterNamespace = "",
    json: Json = False,
) -> None:
    """Compare arms (what a model is trained on) over several seeds, and test claims about them.

    The same command continues a stopped experiment. Arms and seeds share every stage that they have in common.
    Outcomes of every problem, tables and a page are written to OUT/experiments.

    Examples:

      mmst experiment paper-small

      mmst experiment paper-small --dev --seeds 1 -s train.lr=2e-4

      mmst experiment my.yaml --seed 3 -o s3://bucket/experiments

      mmst experiment paper-small --seed 1 --arm mmst --arm own-text
    """
    from mmst.cli.run import run_here
    from mmst.core.config import run_id
    from mmst.experiments import results
    from mmst.experiments.definition import first_config, load
    from mmst.experiments.outcomes import measured
    from mmst.runs.summary import stages
    from mmst.wiring import open_store, release_settings

    release = release_settings(cluster) if cluster else ""
    wanted = load(name, [*settings, *([f"out={out}"] if out else [])], dev=dev, release=release)
    wanted = wanted.only(arm) if arm else wanted
    store = open_store(first_config(wanted).out)
    count = seeds or wanted.seeds
    for number in [seed] if seed else range(1, count + 1):
        for config, arms in wanted.runs(number):
            if measured(stages(store, run_id(config)), arms).keys() != arms.keys():
                _announce(f"{wanted.name}: seed {number} of {count}: {', '.join(arms)}")
                run_here(config)
    written = results.write(wanted, store, range(1, max(count, seed) + 1))
    emit(
        written.data,
        json,
        f"\n[bold]{wanted.title or wanted.name}[/]  {len(written.outcomes.seeds)} of {count} seeds",
        _levels(written.levels, wanted),
        _findings(written.findings),
        *([f"{len(wanted.waiting)} claims wait for arms that were not run."] if wanted.waiting else []),
        f"Page: {store.uri.rstrip('/')}/{written.prefix}/page.html",
    )


def _announce(line: str) -> None:
    from mmst.observe.console import Console, escape

    Console(stderr=True).print(escape(line), style="bold", highlight=False)


def _levels(levels: list[Level], experiment: Experiment) -> Table:
    from rich.table import Table

    columns = list(dict.fromkeys((level.task, level.method) for level in levels))
    table = Table("arm", *(f"{task}, {method}" for task, method in columns), box=None, header_style="bold")
    cells = {(level.arm, level.task, level.method): level.estimate for level in levels}
    for arm in experiment.arms:
        if shown := [e for task, method in columns if (e := cells.get((arm, task, method)))]:
            table.add_row(arm, *(f"{100 * e.value:.1f} [{100 * e.low:.0f}, {100 * e.high:.0f}]" for e in shown))
    return table


def _findings(findings: list[Finding]) -> Table:
    from rich.table import Table

    from mmst.experiments.page import shown

    table = Table("claim", "difference [95 %]", "p (Holm)", "verdict", box=None, header_style="bold")
    for f in findings:
        table.add_row(f.claim.says, shown(f), "" if f.p is None else f"{f.p:.2g}", f.verdict.value)
    return table
