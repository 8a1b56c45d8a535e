"""What the report shows, and how any of it becomes text of a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from mmst.core.config import Config
from mmst.core.records import CheckedSample, Problem
from mmst.core.results import PrepareCounts
from mmst.core.visible import replaced
from mmst.runs.label_changes import LabelChanges
from mmst.runs.summary import RunSummary
from mmst.stages.champion import ALL_METHODS


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A sample to show, with its problem when that was found."""

    problem: Problem | None
    checked: CheckedSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that the page shows.

    `sizes` are the prepare stage's counts, when it is complete; `funnels` {round: {method: {step: count}}}; `verdicts`
    {method: {verdict: samples}} of round `round`; `solvers` {round: {"task/family": {"code+text":
    problems}}}; samples and pairs are selections of that round. `label_changes` {round: against the round before};
    `losses` {(round, arm): {step: loss}}.
    """

    summary: RunSummary
    config: Config
    sizes: PrepareCounts | None
    round: int
    funnels: Mapping[int, Mapping[str, Mapping[str, int]]]
    verdicts: Mapping[str, Mapping[str, int]]
    solvers: Mapping[int, Mapping[str, Mapping[str, int]]]
    samples: Sequence[Specimen]
    pairs: Sequence[tuple[Specimen, CheckedSample]]
    label_changes: Mapping[int, LabelChanges] = field(default_factory=dict)
    losses: Mapping[tuple[int, str], Mapping[int, float]] = field(default_factory=dict)


def safe(text: str) -> str:
    """Text that can only be text: escaped, and what would be invisible or turn the line made visible."""
    return escape(replaced(text))


def css_class(content: Content, method: str) -> str:
    """The class that gives a method its colour."""
    methods = list(content.config.methods)
    return f"m{methods.index(method) % 4 + 1}" if method in methods else "m0"


def method_title(method: str) -> str:
    """A method's name for people."""
    return "mean of methods" if method == ALL_METHODS else safe(method)


def table(head: str, rows: Sequence[str], kind: str = "") -> str:
    """A table that scrolls by itself where the page is narrow."""
    head = head if head.startswith("<tr>") else f"<tr>{head}</tr>"
    return (
        f'<div class="scroll"><table class="{kind}"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
