"""The way of one problem through a run, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.columns import Columns
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table

from mmst.core.records import CheckedSample, Label, Labelling, MeasuredLabel, Verdict
from mmst.observe.console import escape
from mmst.runs.problem_history import RoundStory, Story

DIGEST = "sha256:"
_OUTCOMES = {True: "[green]passed[/]", False: "[red]failed[/]", None: "[yellow]request failed[/]"}


def tell(told: Story) -> Iterator[RenderableType]:
    """Panels in the order in which things happened."""
    p = told.problem
    known = f"gold answer: [bold]{escape(p.answer)}[/]" if p.answer else "no gold answer: it is unlabelled"
    head = f"[bold]{escape(p.question)}[/]\n{known}"
    family = f", family {p.family}" if p.family else ""
    yield Panel(head, title=escape(f"{p.id}  ({told.part}, {p.source}, task {p.task}{family})"), title_align="left")
    for name, solution in p.solutions.items():
        yield Panel(escape(solution), title=escape(f"annotated, {name}"), title_align="left", border_style="dim")
    if not told.rounds:
        yield "Nothing was sampled for it yet."
    for r in told.rounds:
        yield f"\n[bold reverse] Round {r.round} [/]"
        yield from _round(r)
    if any(s.sample.method == "code" for r in told.rounds for s in r.samples):
        yield f"To run a program again: [bold]mmst rerun {told.run} ID[/]"


def _round(r: RoundStory) -> Iterator[RenderableType]:
    for model in dict.fromkeys(s.sample.model for s in r.samples):
        if not model.startswith(DIGEST):
            yield f"answered by {escape(model)}"
    prompts = dict.fromkeys((s.sample.method, s.sample.prompt, s.sample.writer) for s in r.samples)
    for method, prompt, writer in prompts:
        title = escape(f"prompt, {method}{_by(writer)}")
        yield Panel(escape(prompt.rstrip()), title=title, title_align="left", border_style="dim")
        yield Columns([_sample(s, r) for s in r.samples if (s.sample.method, s.sample.writer) == (method, writer)])
    if r.label is not None:
        yield escape(_label(r.label, r.measured))
    for t in r.translations:
        source = r.source_of(t)
        table = Table.grid(padding=(0, 2), expand=False)
        left = escape(source.solution) if source else t.sample.source_sample
        title = f"translation {t.sample.source_method} → {t.sample.method}{_by(t.sample.writer)}"
        table.add_row(Panel(left, title=f"{t.sample.source_method} (passed)", border_style="green"), _sample(t, r))
        yield Panel(table, title=title, title_align="left", border_style="cyan")
    for arm, examples in r.trained.items():
        listed = ", ".join(f"{e.method} ({e.origin})" for e in examples)
        yield escape(f"trained on by {arm}: {listed}")
    if r.samples and not r.trained:
        yield "not trained on"
    for arm, outcomes in r.outcomes.items():
        listed = ", ".join(f"{o.method} {_OUTCOMES[o.passed]}" for o in outcomes)
        yield f"held out, {arm} of round {r.round}: {listed}"
        yield Columns([_sample(s, r) for s in r.heldout.get(arm, ())])


def _by(writer: str) -> str:
    return f", by the teacher {writer}" if writer else ""


def _label(label: Label, measured: MeasuredLabel | None) -> str:
    """What the votes made of the problem, and which they were."""
    cast = "; ".join(f"{v.answer}: {', '.join(f'{m} {n}' for m, n in v.by.items())}" for v in label.votes)
    votes = f" (votes: {cast})" if cast else ""
    if label.outcome is not Labelling.LABELLED:
        return f"no label: {label.outcome.value.replace('_', ' ')}{votes}"
    aside = ""
    if measured is not None:
        word = {True: "right", False: "wrong", None: "not comparable"}[measured.right]
        aside = f"; the answer that was kept aside is {measured.gold}: {word}"
    return f"label: {label.answer}, with {100 * label.share:.0f} % of the votes{votes}{aside}"


def _sample(s: CheckedSample, r: RoundStory) -> Panel:
    used = any(s.sample.id in e.lineage[:1] for examples in r.trained.values() for e in examples)
    title = f"{escape(s.sample.method)} {s.sample.index}: {s.verdict.value}  [dim]{escape(s.sample.id)}[/]"
    answer = f"answer: {s.answer}" if s.answer is not None else "no answer"
    detail = f"\n{s.detail}" if s.detail else ""
    body = escape(s.solution or s.sample.completion or "(empty)") + f"\n[dim]{escape(answer + detail)}[/]"
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle="trained on" if used else None,
        border_style="green" if s.passed else "yellow" if s.verdict is Verdict.UNLABELLED else "red",
    )
