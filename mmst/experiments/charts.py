"""The experiment page's charts: inline SVG, drawn from fractions and points. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mmst.experiments.inference import Array, Estimate
from mmst.report.content import safe

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 40


def forest(estimate: Estimate, reach: float, label: str) -> str:
    """A difference with its interval on a scale from -`reach` to `reach`; small marks are the seeds'."""

    def x(value: float) -> float:
        return 110 + 104 * max(-1.0, min(1.0, value / reach))

    seeds = "".join(f'<circle class="seed" cx="{x(s):.1f}" cy="15" r="1.8"/>' for s in estimate.seeds)
    return (
        f'<svg class="forest m0" viewBox="0 0 220 20" role="img" aria-label="{safe(label)}">'
        '<line class="axis" x1="4" x2="216" y1="9" y2="9"/><line class="zero" x1="110" x2="110" y1="1" y2="19"/>'
        f'<line class="whisker" x1="{x(estimate.low):.1f}" x2="{x(estimate.high):.1f}" y1="9" y2="9"/>'
        f'<circle class="mark" cx="{x(estimate.value):.1f}" cy="9" r="4"/>{seeds}</svg>'
    )


def scatter(names: Sequence[str], methods: Sequence[str], gains: Array, apart: Array) -> str:
    """A mark per family and method: gain over the share that only other methods solve at the base."""
    most = max(0.05, float(apart.max()))
    low, high = min(0.0, float(gains.min())), max(0.05, float(gains.max()))

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / most

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = [f'<svg class="chart wide" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Gain by disagreement">']
    for i in range(5):
        across, up = most * i / 4, low + (high - low) * i / 4
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(up):.1f}" y2="{y(up):.1f}"/>'
            f'<text class="tick" x="{LEFT - 7}" y="{y(up) + 3.5:.1f}" text-anchor="end">{100 * up:+.0f}</text>'
            f'<text class="tick" x="{x(across):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{100 * across:.0f}</text>'
        )
    parts.append(
        f'<text class="tick" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        "solved by another method only, at the base (%)</text>"
        f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>'
    )
    for f, name in enumerate(names):
        for m, method in enumerate(methods):
            tip = f"{safe(name)}, {safe(method)}: {100 * gains[f, m]:+.1f} points at {100 * apart[f, m]:.0f} %"
            parts.append(
                f'<g class="m{m % 4 + 1}"><title>{tip}</title>'
                f'<circle class="mark" cx="{x(apart[f, m]):.1f}" cy="{y(gains[f, m]):.1f}" r="4"/></g>'
            )
    return "".join([*parts, "</svg>"])
