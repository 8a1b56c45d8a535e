"""The report as a page: content in, one HTML file out. Pure; nothing is fetched, nothing runs.

Everything that a model or a file wrote goes through `safe`; a content security policy forbids
scripts and requests besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mmst.champion import ALL_METHODS
from mmst.config import Config
from mmst.records import CheckedSample, Problem, Score, Verdict
from mmst.report_charts import Point, Series, accuracy_chart, legend_mark, percent, stacked, whisker
from mmst.summary import FUNNEL, RunSummary

STYLE = Path(__file__).with_name("report.css")
LONGEST = 1500
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
FUNNEL_NAMES = ("asked", "passed", "translated", "passed again", "kept")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """A sample to show, with its problem when that was found."""

    problem: Problem | None
    checked: CheckedSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that the page shows.

    `sizes` are the gather stage's counts; `verdicts` {method: {verdict: samples}} of round
    `round`; `solvers` {round: {"task/family": {"code+text": problems}}}; samples and pairs are
    selections of that round.
    """

    summary: RunSummary
    config: Config
    sizes: Mapping[str, int]
    round: int
    verdicts: Mapping[str, Mapping[str, int]]
    solvers: Mapping[int, Mapping[str, Mapping[str, int]]]
    samples: Sequence[Specimen]
    pairs: Sequence[tuple[Specimen, CheckedSample]]


def page(content: Content) -> str:
    """The whole page."""
    title = safe(content.config.title or content.config.name)
    sections = (
        ("decision", "The decision", decision(content)),
        ("accuracy", "Accuracy", accuracy(content)),
        ("way", "From problems to training examples", way(content)),
        ("verdicts", "What became of the samples", verdicts(content)),
        ("families", "Who solves what", families(content)),
        ("samples", "Real samples", samples(content)),
        ("translations", "Translations", translations(content)),
        ("cost", "Time and tokens", cost(content)),
        ("notes", "Before you believe it", notes(content)),
    )
    made = [(anchor, name, "".join(parts)) for anchor, name, parts in sections]
    made = [(anchor, name, body) for anchor, name, body in made if body]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name, _ in made)
    body = "".join(f'<section id="{anchor}"><h2>{name}</h2>{text}</section>' for anchor, name, text in made)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title} · MMST</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f'<header><p class="eyebrow">Multi-Method Self-Training</p><h1>{title}</h1>'
        f"{''.join(opening(content))}</header><nav>{links}</nav><main>{body}</main>"
        f"<footer>Run <code>{safe(content.summary.run)}</code>. One file, no scripts, nothing fetched.</footer>"
        "</body></html>\n"
    )


def opening(content: Content) -> Iterator[str]:
    """What was run, in a sentence, and the figures to take away."""
    c, sizes = content.config, content.sizes
    many = {"train": "problems to learn from", "heldout": "held out", "seeds": "annotated"}
    counted = ", ".join(f"<b>{sizes[k]:,}</b> {name}" for k, name in many.items() if k in sizes)
    methods = " and ".join(f'<span class="{_kind(content, m)}">{safe(m)}</span>' for m in c.methods)
    yield f'<p class="lead">{safe(c.model.base)} by {methods}{": " if counted else ""}{counted}.</p>'
    yield '<div class="tiles">'
    measured = [r for r in content.summary.rounds if r.main_arm in r.arms]
    if measured:
        before, now = (r.arms[r.main_arm].scores for r in (measured[0], measured[-1]))
        for score in (s for s in now if s.task == "main"):
            was = next((s for s in before if (s.task, s.method) == (score.task, score.method)), score)
            change = f"{100 * (score.pass_at_1 - was.pass_at_1):+.1f}" if len(measured) > 1 else ""
            against = f'<span class="sub">{change} points since the base</span>' if change else ""
            yield _tile(_method_name(score.method), f"{percent(score.pass_at_1)}<small>%</small>", against)
    kept = [r.funnel["kept"] for r in content.summary.rounds if "kept" in r.funnel]
    if kept:
        yield _tile("examples kept", f"{sum(kept):,}", f'<span class="sub">in {_plural(len(kept), "round")}</span>')
    yield "</div>"


def decision(content: Content) -> Iterator[str]:
    """Each round's decision, its checks, and why the loop ended."""
    for r in reversed(content.summary.rounds):
        if r.stopped:
            yield f'<p class="muted">After round {r.round} the loop ended: {safe(r.stopped)}.</p>'
        if (d := r.decision) is None:
            continue
        word, kind = ("promoted", "good") if d.promote else ("rejected", "bad")
        checks = "".join(f"<li>{safe(check)}</li>" for check in d.checks)
        name = f"Round {r.round}" if r.round else "Base model"
        yield (
            f'<div class="decision {kind}"><p><b>{name}</b> <span class="badge">{word}</span> {safe(d.reason)}.</p>'
            f"{f'<ul>{checks}</ul>' if checks else ''}</div>"
        )


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
    yield '<p class="muted">Share of held-out problems whose one greedy answer is right, with 95 % intervals.</p>'
    cells = [(n, arm, kind, s) for n, arm, kind, report in reports for s in report.scores]
    for task in dict.fromkeys(s.task for *_, s in cells):
        methods = list(dict.fromkeys(s.method for *_, s in cells if s.task == task))
        size = max(s.n for *_, s in cells if s.task == task)
        charts, keys = [], ""
        for m in methods:
            here = [(n, arm, kind, s) for n, arm, kind, s in cells if (s.task, s.method) == (task, m)]
            series = list(_series(content, here, controls))
            keys = "".join(f"<span>{legend_mark(s)}{safe(s.name)}</span>" for s in series)
            kind, name = _kind(content, m), _method_name(m)
            charts.append(
                f'<figure class="{kind}"><figcaption>{name}</figcaption>'
                f"{accuracy_chart(series, f'{name}, {task} problems, accuracy by round')}</figure>"
            )
        yield f"<h3>{safe(task.capitalize())} problems <small>{size} held out</small></h3>"
        yield f'<p class="legend">{keys}</p><div class="charts">{"".join(charts)}</div>'
        heads = "".join(f'<th class="{_kind(content, m)}" colspan="2">{_method_name(m)}</th>' for m in methods)
        rows = []
        for n, arm, kind, report in reports:
            scores = {s.method: s for s in report.scores if s.task == task}
            row = "".join(_score_cells(scores.get(m), _kind(content, m)) for m in methods)
            name = "base model" if not n else f"{safe(arm)}{' <i>control</i>' if kind == 'control' else ''}"
            rows.append(f'<tr class="{kind}"><td>{n}</td><td>{name}</td>{row}</tr>')
        yield _table(f"<th>round</th><th>arm</th>{heads}", rows)


def way(content: Content) -> Iterator[str]:
    """The funnel of each round, split by method where the stages counted so."""
    for r in content.summary.rounds:
        if not r.funnel:
            continue
        widest = max(r.funnel.values()) or 1
        rows = []
        for key, name in zip(FUNNEL, FUNNEL_NAMES, strict=True):
            if key not in r.funnel:
                continue
            split = [(_kind(content, m), m, float(f[key])) for m, f in r.funnels.items() if f.get(key)]
            parts = split or [("all", name, float(r.funnel[key]))]
            said = ", ".join(f"{m} {amount:,.0f}" for _, m, amount in split)
            rows.append(
                f'<div class="step"><span>{name}</span>{stacked(parts, widest, f"{name}: {r.funnel[key]:,}")}'
                f'<b>{r.funnel[key]:,}</b><span class="sub">{safe(said)}</span></div>'
            )
        yield f'<h3>Round {r.round}</h3><div class="funnel">{"".join(rows)}</div>'


def verdicts(content: Content) -> Iterator[str]:
    """Verdicts by method, as shares."""
    if not content.verdicts:
        return
    seen = [v.value for v in Verdict if any(t.get(v.value) for t in content.verdicts.values())]
    keys = "".join(f'<span><i class="swatch v-{v}"></i>{_words(v)}</span>' for v in seen)
    yield f'<p class="legend">{keys}</p><div class="funnel">'
    for name, table in sorted(content.verdicts.items()):
        total = sum(table.values())
        parts = [(f"v-{v}", _words(v), float(table.get(v, 0))) for v in seen]
        said = " · ".join(f"{_words(v)} {table[v]:,}" for v in seen if table.get(v))
        yield (
            f'<div class="step"><span class="{_kind(content, name)}">{safe(name)}</span>'
            f'{stacked(parts, total, f"{name}: {said}")}<b>{total:,}</b><span class="sub">{said}</span></div>'
        )
    yield f'</div><p class="muted">Training problems of round {content.round}.</p>'


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
    heads = "".join(f'<th colspan="{span}" class="{_kind(content, m)}">{safe(m)}</th>' for m in methods)
    alone = "".join(f'<th class="{_kind(content, m)}">{safe(m)} only</th>' for m in methods)
    solved = content.solvers.get(last.round, {})
    rows = []
    for task, family in groups:
        cells = "".join(
            _shade(table.get(f"{task}/{m}/{family}"), _kind(content, m))
            for m in methods
            for table in ([now] if span == 1 else [before, now])
        )
        who = solved.get(f"{task}/{family}", {})
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
    yield _table(head, rows, "families")


def samples(content: Content) -> Iterator[str]:
    """Some samples with their verdicts."""
    if not content.samples:
        return
    yield (
        '<p class="muted">Chosen so that each method and verdict shows, not in proportion. What counts of a completion '
        "is what was checked.</p>"
    )
    cards = (f"{_question(s.problem)}{_solution(content, s.checked)}" for s in content.samples)
    yield f'<div class="cards">{"".join(f"<article>{card}</article>" for card in cards)}</div>'


def translations(content: Content) -> Iterator[str]:
    """Correct solutions beside what the model made of them in another method."""
    if not content.pairs:
        return
    yield '<p class="muted">A correct solution, and the model\'s own rewriting of it, which is checked again.</p>'
    for source, translated in content.pairs:
        yield (
            f'<article class="pair">{_question(source.problem)}<div>{_solution(content, source.checked)}'
            f'<span class="arrow" aria-hidden="true">→</span>{_solution(content, translated)}</div></article>'
        )


def cost(content: Content) -> Iterator[str]:
    """Seconds and tokens by stage and round."""
    timed = [(r.round, step, t) for r in content.summary.rounds for step, t in r.timings.items() if "seconds" in t]
    if not timed:
        return
    longest = max(t["seconds"] for *_, t in timed) or 1.0
    rows = []
    for n, step, t in timed:
        bar = stacked([("all", step, t["seconds"])], longest, step)
        tokens = f"{t['tokens']:,.0f}" if t.get("tokens") else "·"
        rows.append(
            f"<tr><td>{n}</td><td>{safe(step)}</td><td>{t['seconds']:,.1f}</td><td>{bar}</td><td>{tokens}</td></tr>"
        )
    total = sum(t["seconds"] for *_, t in timed)
    yield _table("<th>round</th><th>stage</th><th>seconds</th><th></th><th>tokens</th>", rows, "cost")
    yield f'<p class="muted">{total:,.0f} seconds in all, each stage as measured when it was made.</p>'


def notes(content: Content) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    said = [
        *content.summary.notes,
        "An interval says how far the accuracy of this one checkpoint may be from what it would be on all problems of "
        "the kind (Wilson, 95 %). Overlapping intervals do not settle a comparison: the decision uses a paired test on "
        "the same problems.",
    ]
    yield f"<ul>{''.join(f'<li>{safe(note)}</li>' for note in said)}</ul>"


def safe(text: str) -> str:
    """Text that can only be text: escaped, and what would be invisible or turn the line made visible."""
    return escape(_INVISIBLE.sub("\ufffd", text))


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


def _question(problem: Problem | None) -> str:
    if problem is None:
        return ""
    return f'<p class="question">{safe(_cut(problem.question))} <span class="gold">{safe(problem.answer)}</span></p>'


def _solution(content: Content, c: CheckedSample) -> str:
    verdict = c.verdict.value
    said = "" if c.passed or not c.detail else f'<p class="detail">{safe(_cut(c.detail))}</p>'
    return (
        f'<div class="solution v-{verdict}"><p><span class="{_kind(content, c.sample.method)}">{safe(c.sample.method)}'
        f'</span><span class="verdict">{_words(verdict)}</span></p><pre>{safe(_cut(c.solution)) or "(empty)"}</pre>'
        f"{said}</div>"
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"


def _kind(content: Content, method: str) -> str:
    methods = list(content.config.methods)
    return f"m{methods.index(method) % 4 + 1}" if method in methods else "m0"


def _method_name(method: str) -> str:
    return "mean of methods" if method == ALL_METHODS else safe(method)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _tile(name: str, value: str, sub: str) -> str:
    return f'<div class="tile"><span>{name}</span><b>{value}</b>{sub}</div>'


def _table(head: str, rows: Sequence[str], kind: str = "") -> str:
    head = head if head.startswith("<tr>") else f"<tr>{head}</tr>"
    return (
        f'<div class="scroll"><table class="{kind}"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
