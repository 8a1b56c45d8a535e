"""The results of a run as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

from mmst.core.config import Config
from mmst.core.errors import MmstError
from mmst.core.records import Labelling, Report, Score
from mmst.observe.console import escape
from mmst.observe.under_way import Work
from mmst.runs.summary import FUNNEL, RunSummary, StageState

if TYPE_CHECKING:
    from mmst.kubernetes.run_status import Seen

ALL_METHODS = "*"
FUNNEL_TITLES = {
    "asked": "asked",
    "passed": "passed",
    "translated": "translated",
    "passed_again": "passed again",
    "kept": "kept",
}


def results(summary: RunSummary) -> Iterator[RenderableType]:
    """All results of a run, finished or not: accuracy, decision, funnel, time, notes."""
    yield from accuracy(summary)
    yield from decisions(summary)
    yield from labels(summary)
    yield from funnel(summary)
    yield from times(summary)
    for note in summary.notes:
        yield f"[yellow]Note[/] {escape(note)}"


def accuracy(summary: RunSummary) -> Iterator[Table]:
    """One table per task: accuracy with its 95 % interval, by round and arm, beside the controls."""
    reports = [(r, arm, report) for r in summary.rounds for arm, report in r.arms.items()]
    tasks = list(dict.fromkeys(s.task for _, _, report in reports for s in report.scores))
    for task in tasks:
        scores = [s for _, _, report in reports for s in report.scores if s.task == task]
        methods = list(dict.fromkeys(s.method for s in scores))
        title = f"Accuracy in %, {task} problems held out ({max(s.n for s in scores)}), greedy, [95 % interval]"
        table = Table(title=title, title_justify="left", title_style="bold")
        table.add_column("round", justify="right")
        table.add_column("arm")
        for m in methods:
            table.add_column("mean of methods" if m == ALL_METHODS else m, justify="right")
        for r, arm, report in reports:
            control = arm not in (r.main_arm, "base")
            number = "" if control else str(r.round)
            cells = [_cell(report, task, m) for m in methods]
            table.add_row(number, f"{arm} (control)" if control else arm, *cells, style="dim" if control else None)
        yield table


def decisions(summary: RunSummary) -> Iterator[str]:
    """The decisions with their reasons, and why the loop ended."""
    for r in summary.rounds:
        if r.decision is not None:
            word = "[green]promoted[/]" if r.decision.promote else "[red]rejected[/]"
            yield f"[bold]Round {r.round}[/] {word}: {escape(r.decision.reason)}"
            yield from (f"    {escape(check)}" for check in r.decision.checks)
        if r.stopped:
            yield f"[bold]Round {r.round}[/] the loop ended: {escape(r.stopped)}"


def labels(summary: RunSummary) -> Iterator[Table]:
    """What became of unlabelled problems in each round, and how many labels are right, where that is known."""
    rounds = [(r.round, r.labels) for r in summary.rounds if r.labels is not None]
    if not rounds:
        return
    table = Table(title="Labels of problems without gold answers, by vote", title_justify="left", title_style="bold")
    for name in ("round", "problems", *(o.value.replace("_", " ") for o in Labelling), "right, where known"):
        table.add_column(name, justify="right")
    for number, found in rounds:
        counts, m = found.counts, found.measured
        outcomes = (str(counts.outcomes.get(o, 0)) for o in Labelling)
        right = f"{m.right} of {m.labelled}" if m and m.labelled else "·"
        table.add_row(str(number), str(counts.unlabelled), *outcomes, right)
    yield table


def funnel(summary: RunSummary) -> Iterator[Table]:
    """From problems to training examples, as counts by round and method."""
    rows = [
        (r, name, counts)
        for r in summary.rounds
        for name, counts in [
            ("all", r.funnel),
            *r.funnels.items(),
            *((f"by {writer or 'the model'}", counts) for writer, counts in r.writers.items()),
        ]
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return
    table = Table(title="From samples to training examples", title_justify="left", title_style="bold")
    table.add_column("round", justify="right")
    table.add_column("method")
    for i, name in enumerate(FUNNEL):
        table.add_column(f"→ {FUNNEL_TITLES[name]}" if i else FUNNEL_TITLES[name], justify="right")
    for r, name, counts in rows:
        cells = [str(counts[key]) if key in counts else "·" for key in FUNNEL]
        table.add_row(str(r.round) if name == "all" else "", name, *cells, style=None if name == "all" else "dim")
    yield table


def times(summary: RunSummary) -> Iterator[Table]:
    """Seconds by stage and round."""
    steps = list(dict.fromkeys(step for r in summary.rounds for step in r.timings))
    if not steps:
        return
    table = Table(title="Seconds by stage, as measured when it was made", title_justify="left", title_style="bold")
    table.add_column("stage")
    for r in summary.rounds:
        table.add_column(f"round {r.round}", justify="right")
    table.add_column("tokens", justify="right")
    for step in steps:
        timings = [r.timings.get(step, {}) for r in summary.rounds]
        tokens = sum(t.get("tokens", 0) for t in timings)
        seconds = (f"{t['seconds']:.1f}" if "seconds" in t else "" for t in timings)
        table.add_row(step, *seconds, f"{tokens:.0f}" if tokens else "")
    totals = [sum(t.get("seconds", 0.0) for t in r.timings.values()) for r in summary.rounds]
    table.add_section()
    table.add_row("all", *(f"{t:.1f}" for t in totals), "")
    yield table


def stage_table(summary: RunSummary, working: Mapping[str, Work] = MappingProxyType({})) -> Table:
    """The stages of a run: state (`working` says on what), counts and seconds."""
    table = Table(title=f"Run {summary.run}", title_justify="left", title_style="bold")
    for name in ("round", "arm", "stage", "state", "counts", "seconds"):
        table.add_column(name, justify="right" if name in ("round", "seconds") else "left")
    for r in summary.rounds:
        for s in r.stages:
            seconds = f"{s.timing['seconds']:.1f}" if "seconds" in s.timing else ""
            table.add_row(str(r.round), s.place.arm, s.place.step, _state(s, working), counts_line(s), seconds)
        table.add_section()
    return table


def next_steps(summary: RunSummary, config: Config, tracking_uri: str) -> Iterator[str]:
    """The three things to open next."""
    yield "[bold]Open next[/]"
    yield f"  report    {escape(config.out.rstrip('/'))}/runs/{summary.run}/report.html"
    yield f"  tracking  mlflow ui --backend-store-uri {escape(tracking_uri)}"
    yield f"  champion  models:/{escape(config.promote.name)}@champion"


def counts_line(state: StageState) -> str:
    """The totals of a stage in one line, without those that are 0 or belong to one method."""
    counts = state.manifest.counts if state.manifest else {}
    return escape(", ".join(f"{k} {v}" for k, v in counts.items() if v and "." not in k and "→" not in k))


def _state(state: StageState, working: Mapping[str, Work]) -> str:
    if state.complete:
        return "[green]complete[/]"
    work = working.get(state.place.key)
    return f"[yellow]{work or (f'in progress, {state.shards} shards' if state.shards else 'begun')}[/]"


def _cell(report: Report, task: str, method: str) -> str:
    score = next((s for s in report.scores if s.task == task and s.method == method), None)
    if score is None:
        return ""
    cell = f"{100 * score.pass_at_1:.1f} \\[{100 * score.low:.1f}, {100 * score.high:.1f}]"
    return cell + "".join(f"\n{extra}" for extra in _extras(score))


def _extras(score: Score) -> Iterator[str]:
    best = max(score.pass_at_k, key=int, default="")
    if best:
        yield f"pass@{best} {100 * score.pass_at_k[best]:.1f}"
    if score.majority is not None:
        yield f"vote {100 * score.majority:.1f}"


def live(seen: Sequence[Seen], failures: Sequence[MmstError]) -> Iterator[RenderableType]:
    """The objects of a run in the cluster now, with their problems, and the errors of failed stages."""
    if not seen:
        yield "\nNothing of this run is in the cluster now."
    else:
        table = Table("in the cluster", "part", "state", "problem", box=None, header_style="bold")
        for s in seen:
            mark = "[red]✗[/] " if s.lasting else "[yellow]![/] " if s.trouble else ""
            table.add_row(f"{s.kind} {escape(s.name)}", s.component, escape(s.state), f"{mark}{escape(s.trouble)}")
        yield table
    for error in failures:
        yield f"[red]✗[/] {escape(str(error))}"
