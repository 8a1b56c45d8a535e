"""The report's charts: small functions that return inline SVG or bars of plain HTML. Pure.

Colours are CSS classes (`mmst/report.css`), so that light and dark share one drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmst.report.content import safe

WIDTH, HEIGHT = 360, 236
LEFT, RIGHT, TOP, BOTTOM = 38, 16, 14, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A measured value (fractions) with its interval, of one series at one round."""

    round: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one arm; `main` is drawn strongly and joined by a line; `mark` is 0 to 4."""

    name: str
    points: Sequence[Point]
    main: bool
    mark: int = 0


def accuracy_chart(series: Sequence[Series], top: float, label: str) -> str:
    """Accuracy by round up to `top`: the own arm as a line, controls as marks beside it, 95 % whiskers."""
    rounds = sorted({p.round for s in series for p in s.points})
    slot = (WIDTH - LEFT - RIGHT) / max(len(rounds), 1)
    room = slot / (len(series) + 1)

    def x(round: int, order: int) -> float:
        return LEFT + slot * rounds.index(round) + room * (order + 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe(label)}">']
    parts += _grid(y, top, lambda value: f"{100 * value:g}")
    for round in rounds:
        at, name = LEFT + slot * (rounds.index(round) + 0.5), f"round {round}" if round else "base"
        parts.append(f'<text class="tick" x="{at:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{name}</text>')
    middle = (len(series) - 1) / 2
    for order, s in enumerate(series):
        # The base stands alone in its slot: in the middle, whoever else has a mark later.
        places = [
            (x(p.round, order if p.round else int(middle)) if p.round else x(0, 0) + room * middle, p) for p in s.points
        ]
        if s.main and len(places) > 1:
            line = " ".join(f"{at:.1f},{y(p.value):.1f}" for at, p in places)
            parts.append(f'<polyline class="line" points="{line}"/>')
        for at, p in places:
            kind = "main" if s.main else f"control c{s.mark}"
            tip = f"{safe(s.name)}, round {p.round}: {percent(p.value)} % [{percent(p.low)}, {percent(p.high)}]"
            parts.append(
                f'<g class="{kind}"><title>{tip}</title>'
                f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{y(p.low):.1f}" y2="{y(p.high):.1f}"/>'
                f"{_mark(s, at, y(p.value))}</g>"
            )
            if s.main:
                parts.append(
                    f'<text class="value" x="{at - 8:.1f}" y="{y(p.value) - 6:.1f}" text-anchor="end">'
                    f"{percent(p.value)}</text>"
                )
    return "".join([*parts, "</svg>"])


def loss_chart(losses: Mapping[int, float], label: str) -> str:
    """The training loss by step, from 0 up."""
    steps = sorted(losses)
    first, last, top = steps[0], max(steps[-1], steps[0] + 1), max(losses.values()) or 1.0

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / (last - first)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)

    parts = [f'<svg class="chart m0" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{safe(label)}">']
    parts += _grid(y, top, lambda value: f"{value:.2g}")
    for step, anchor in ((first, "start"), (last, "end")):
        parts.append(
            f'<text class="tick" x="{x(step):.1f}" y="{HEIGHT - 9}" text-anchor="{anchor}">step {step:,}</text>'
        )
    line = " ".join(f"{x(step):.1f},{y(losses[step]):.1f}" for step in steps)
    parts.append(f'<polyline class="line" points="{line}"/>')
    return "".join([*parts, f"<title>{safe(label)}: {losses[steps[-1]]:.3f} at step {steps[-1]:,}</title></svg>"])


def _grid(y: Callable[[float], float], top: float, word: Callable[[float], str]) -> Iterator[str]:
    """Five lines from 0 to `top`, each with its value."""
    for i in range(5):
        value = top * i / 4
        at = y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 7}" y="{at + 3.5:.1f}" text-anchor="end">{word(value)}</text>'


def legend_mark(s: Series) -> str:
    """The mark of a series, for the legend."""
    kind = "main" if s.main else f"control c{s.mark}"
    return f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true"><g class="{kind}">{_mark(s, 7, 7)}</g></svg>'


def _mark(s: Series, x: float, y: float) -> str:
    if s.main:
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.6"/>'
    outlines = {
        1: [(-4, -4), (4, -4), (4, 4), (-4, 4)],
        2: [(0, -5), (5, 4), (-5, 4)],
        3: [(0, -5), (5, 0), (0, 5), (-5, 0)],
    }
    if s.mark not in outlines:
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3.8"/>'
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in outlines[s.mark])
    return f'<polygon class="mark" points="{corners}"/>'


def whisker(value: float, low: float, high: float, kind: str) -> str:
    """A dot with its interval on a scale from 0 to 100 %, one table cell wide."""
    return (
        f'<svg class="whisk {kind}" viewBox="0 0 120 14" aria-hidden="true">'
        '<line class="axis" x1="0" x2="120" y1="7" y2="7"/>'
        f'<line class="whisker" x1="{120 * low:.1f}" x2="{120 * high:.1f}" y1="7" y2="7"/>'
        f'<circle class="mark" cx="{120 * value:.1f}" cy="7" r="4"/></svg>'
    )


def stacked(parts: Sequence[tuple[str, str, float]], of: float, label: str) -> str:
    """A horizontal bar of (CSS class, name, amount) parts on a scale from 0 to `of`."""
    cells = "".join(
        f'<span class="{kind}" style="width:{100 * amount / of:.3f}%" title="{safe(name)}: {amount:g}"></span>'
        for kind, name, amount in parts
        if of and amount
    )
    return f'<div class="bar" role="img" aria-label="{safe(label)}">{cells}</div>'


def ceiling(highest: float) -> float:
    """The least of the round fractions that a chart may end at.

    >>> ceiling(0.47), ceiling(0.031), ceiling(1.0)
    (0.6, 0.04, 1.0)
    """
    return next((c for c in (0.04, 0.1, 0.2, 0.4, 0.6, 0.8) if highest <= c), 1.0)


def percent(fraction: float) -> str:
    """A fraction as percent with one decimal.

    >>> percent(0.5234)
    '52.3'
    """
    return f"{100 * fraction:.1f}"
