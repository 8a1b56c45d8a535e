"""The report's accuracies: by round beside the controls, and by family. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mmst.core.records import Score
from mmst.report.charts import Point, Series, accuracy_chart, ceiling, legend_mark, percent, whisker
from mmst.report.content import Content, css_class, method_title, safe, table


def accuracy(content: Content) -> Iterator[str]:
    """Per task: a chart a method, then the table with intervals, controls beside."""
    reports = [
        (r.round, arm, "main" if arm == r.main_arm else "control", report)
        for r in content.summary.rounds
        for arm, report in sorted(r.arms.items(), key=lambda item: item[0] != r.main_arm)
    ]
    if not reports:
        return
    controls = sorted({arm for _, arm, kind, _ in reports if kind == "control"})
    yield '<p class="muted">Share of held-out problems whose greedy answer is right, with 95 % intervals.</p>'
    cells = [(n, arm, kind, s) for n, arm, kind, report in reports for s in report.scores]
    for task in dict.fromkeys(s.task for *_, s in cells):
        methods = list(dict.fromkeys(s.method for *_, s in cells if s.task == task))
        size = max(s.n for *_, s in cells if s.task == task)
        top = ceiling(max(s.high for *_, s in cells if s.task == task))
        charts, keys = [], ""
        for m in methods:
            here = [(n, arm, kind, s) for n, arm, kind, s in cells if (s.task, s.method) == (task, m)]
            series = list(_series(content, here, controls))
            keys = "".join(f"<span>{legend_mark(s)}{safe(s.name)}</span>" for s in series)
            kind, name = css_class(content, m), method_title(m)
            charts.append(
                f'<figure class="{kind}"><figcaption>{name}</figcaption>'
                f"{accuracy_chart(series, top, f'{name}, {safe(task)} problems, accuracy by round')}</figure>"
            )
        yield f"<h3>{safe(task.capitalize())} problems <small>{size} held out</small></h3>"
        yield f'<p class="legend">{keys}</p><div class="charts">{"".join(charts)}</div>'
        heads = "".join(f'<th class="{css_class(content, m)}" colspan="2">{method_title(m)}</th>' for m in methods)
        rows = []
        for n, arm, kind, report in reports:
            scores = {s.method: s for s in report.scores if s.task == task}
            row = "".join(_score_cells(scores.get(m), css_class(content, m)) for m in methods)
            name = "base model" if not n else f"{safe(arm)}{' <i>control</i>' if kind == 'control' else ''}"
            rows.append(f'<tr class="{kind}"><td>{n}</td><td>{name}</td>{row}</tr>')
        yield table(f"<th>round</th><th>arm</th>{heads}", rows)


def families(content: Content) -> Iterator[str]:
    """Per family: accuracy by method at the base and at the end, and who alone solves a problem."""
    measured = [r for r in content.summary.rounds if r.main_arm in r.families]
    if not measured or not measured[-1].families[measured[-1].main_arm]:
        return
    first, last = measured[0], measured[-1]
    before, now = first.families[first.main_arm], last.families[last.main_arm]
    groups = sorted({(key.split("/", 2)[0], key.split("/", 2)[2]) for key in now}, key=lambda g: (g[0] != "main", g))
    methods = content.config.methods
    span = 1 if first is last else 2
    rounds = "".join(
        f"<th>{'base' if not r.round else f'round {r.round}'}</th>" for r in ([first] if span == 1 else [first, last])
    )
    heads = "".join(f'<th colspan="{span}" class="{css_class(content, m)}">{safe(m)}</th>' for m in methods)
    alone = "".join(f'<th class="{css_class(content, m)}">{safe(m)} only</th>' for m in methods)
    solved = content.solvers.get(last.round, {})
    rows = []
    for task, family in groups:
        cells = "".join(
            _shade(found.get(f"{task}/{m}/{family}"), css_class(content, m))
            for m in methods
            for found in ([now] if span == 1 else [before, now])
        )
        all_asked = all(f"{task}/{m}/{family}" in now for m in methods)
        who = solved.get(f"{task}/{family}", {}) if all_asked else {}
        n = max((now.get(f"{task}/{m}/{family}", (0, 0))[1] for m in methods), default=0)
        only = "".join(f"<td>{who.get(m, 0) or '·'}</td>" for m in methods)
        rows.append(
            f"<tr><td>{safe(family.replace('_', ' ') or 'all')}{'' if task == 'main' else f' <i>{safe(task)}</i>'}</td>"
            f"<td>{n}</td>{cells}{only}<td>{sum(v for k, v in who.items() if '+' in k) or '·'}</td>"
            f"<td>{who.get('', 0) or '·'}</td></tr>"
        )
    yield (
        '<p class="muted">Accuracy in % by kind of problem; then how many of its held-out problems, after round '
        f"{last.round}, one method alone solves, several solve, and nobody solves.</p>"
    )
    head = (
        f'<tr><th rowspan="2">family</th><th rowspan="2">n</th>{heads}'
        f'<th colspan="{len(methods) + 2}">solved by</th></tr><tr>{rounds * len(methods)}{alone}'
        "<th>several</th><th>none</th></tr>"
    )
    yield table(head, rows, "families")


def _series(
    content: Content, cells: Iterable[tuple[int, str, str, Score]], controls: Sequence[str]
) -> Iterator[Series]:
    by_arm: dict[tuple[str, bool], list[Point]] = {}
    for n, arm, kind, s in cells:
        # The base is where the main line starts.
        name = content.config.loop.arm if kind == "main" else arm
        point = Point(round=n, value=s.pass_at_1, low=s.low, high=s.high)
        by_arm.setdefault((name, kind == "main"), []).append(point)
    for (name, main), points in sorted(by_arm.items(), key=lambda item: (not item[0][1], item[0][0])):
        yield Series(name=name, points=points, main=main, mark=0 if main else controls.index(name))


def _score_cells(score: Score | None, kind: str) -> str:
    if score is None:
        return '<td colspan="2">·</td>'
    interval = f'<span class="sub">{percent(score.low)}–{percent(score.high)}</span>'
    return (
        f"<td><b>{percent(score.pass_at_1)}</b> {interval}</td>"
        f"<td>{whisker(score.pass_at_1, score.low, score.high, kind)}</td>"
    )


def _shade(cell: tuple[int, int] | None, kind: str) -> str:
    if not cell or not cell[1]:
        return "<td>·</td>"
    share = cell[0] / cell[1]
    return f'<td class="shade {kind}" style="--share:{60 * share:.0f}%">{100 * share:.0f}</td>'
