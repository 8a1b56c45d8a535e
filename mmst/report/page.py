"""The report as a page: content in, one HTML file out. Pure; nothing is fetched, nothing runs.

Everything that a model or a file wrote goes through `safe`; a content security policy forbids
scripts and requests besides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from mmst.core.config import Config
from mmst.core.records import CheckedSample, Labelling, Verdict, to_data
from mmst.core.stats import wilson
from mmst.core.visible import json_text
from mmst.report.accuracy import accuracy, families
from mmst.report.charts import loss_chart, percent, stacked
from mmst.report.content import Content, Specimen, css_class, method_title, safe, table
from mmst.runs.compare import flat
from mmst.runs.summary import FUNNEL, LabelSummary

STYLE = Path(__file__).with_name("report.css")
LONGEST = 1500
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
FUNNEL_NAMES = ("asked", "passed", "translated", "passed again", "kept")


def page(content: Content) -> str:
    """The whole page."""
    title = safe(content.config.title or content.config.name)
    made = sections(content)
    footer = f"Run <code>{safe(content.summary.run)}</code>."
    style = STYLE.read_text(encoding="utf-8")
    return document(title, "".join(opening(content)), made, style, footer)


def sections(content: Content, without: Collection[str] = ()) -> list[tuple[str, str, str]]:
    """The page's sections as (anchor, name, body), but for those `without`; a body may be empty."""
    all_of_them: tuple[tuple[str, str, Callable[[Content], Iterator[str]]], ...] = (
        ("decision", "Decision", decision),
        ("accuracy", "Accuracy", accuracy),
        ("way", "From samples to examples", way),
        ("labels", "Labels by vote", labels),
        ("verdicts", "Verdicts", verdicts),
        ("families", "Who solves what", families),
        ("samples", "Real samples", samples),
        ("translations", "Translations", translations),
        ("loss", "Training loss", loss),
        ("cost", "Time", cost),
        ("notes", "Caveats", notes),
        ("recipe", "Recipe", recipe),
    )
    return [(anchor, name, "".join(part(content))) for anchor, name, part in all_of_them if anchor not in without]


def document(title: str, opening: str, sections: Iterable[tuple[str, str, str]], style: str, footer: str) -> str:
    """A whole page of (anchor, name, body) sections, those without a body left out; all of it is HTML already."""
    made = [(anchor, name, body) for anchor, name, body in sections if body]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name, _ in made)
    body = "".join(f'<section id="{anchor}"><h2>{name}</h2>{text}</section>' for anchor, name, text in made)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title} · MMST</title><style>{style}</style></head><body>"
        f'<header><p class="eyebrow">Multi-Method Self-Training</p><h1>{title}</h1>'
        f"{opening}</header><nav>{links}</nav><main>{body}</main>"
        f"<footer>{footer} One file, no scripts, no external resources.</footer>"
        "</body></html>\n"
    )


def opening(content: Content) -> Iterator[str]:
    """What was run, in a sentence, and the figures to take away."""
    c, sizes = content.config, content.sizes
    many = {"train": "problems to learn from", "heldout": "held out", "annotated": "annotated"}
    many |= {"unlabelled": "without gold answers"} if sizes and sizes.unlabelled else {}
    counted = ", ".join(f"<b>{getattr(sizes, k):,}</b> {name}" for k, name in many.items() if sizes)
    methods = " and ".join(f'<span class="{css_class(content, m)}">{safe(m)}</span>' for m in c.methods)
    answered = f"{', '.join(map(str, served))} in place of " if (served := content.summary.served) else ""
    taught = f", taught by {', '.join(map(safe, c.teachers))}" if c.teachers else ""
    model = safe(answered + c.model.base)
    yield f'<p class="lead">{model} by {methods}{taught}{": " if counted else ""}{counted}.</p>'
    yield '<div class="tiles">'
    measured = [r for r in content.summary.rounds if r.main_arm in r.arms]
    if measured:
        before, now = (r.arms[r.main_arm].scores for r in (measured[0], measured[-1]))
        for score in (s for s in now if s.task == "main"):
            was = next((s for s in before if (s.task, s.method) == (score.task, score.method)), score)
            others = [
                o.pass_at_1
                for arm, report in measured[-1].arms.items()
                for o in report.scores
                if arm != measured[-1].main_arm and (o.task, o.method) == ("main", score.method)
            ]
            said = [f"{100 * (score.pass_at_1 - was.pass_at_1):+.1f} since the base"] if len(measured) > 1 else []
            said += [f"best control {percent(max(others))}"] if others else []
            against = f'<span class="sub">{" · ".join(said)}</span>'
            yield _tile(method_title(score.method), f"{percent(score.pass_at_1)}<small>%</small>", against)
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
            counts = content.funnels.get(r.round, {})
            split = [(css_class(content, m), m, float(f[key])) for m, f in counts.items() if f.get(key)]
            parts = split or [("all", name, float(r.funnel[key]))]
            said = ", ".join(f"{m} {amount:,.0f}" for _, m, amount in split)
            rows.append(
                f'<div class="step"><span>{name}</span>{stacked(parts, widest, f"{name}: {r.funnel[key]:,}")}'
                f'<b>{r.funnel[key]:,}</b><span class="sub">{safe(said)}</span></div>'
            )
        yield f'<h3>Round {r.round}</h3><div class="funnel">{"".join(rows)}</div>'
        yield from _by_writer(r.writers)


def _by_writer(writers: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """The same counts by who wrote, where there are teachers."""
    if writers:
        rows = [
            f"<tr><td>{safe(writer) or 'the model itself'}</td>"
            + "".join(f"<td>{counts[key]:,}</td>" if key in counts else "<td>·</td>" for key in FUNNEL)
            + "</tr>"
            for writer, counts in writers.items()
        ]
        yield table(f"<th>by</th>{''.join(f'<th>{name}</th>' for name in FUNNEL_NAMES)}", rows)


def labels(content: Content) -> Iterator[str]:
    """What became of unlabelled problems in each round; where their answers are known, how often labels are right."""
    rounds = [(r.round, r.labels) for r in content.summary.rounds if r.labels is not None]
    if not rounds:
        return
    yield (
        '<p class="muted">The samples of a problem without a gold answer vote for one. Answers that its file holds '
        "are read only to measure the labels.</p>"
    )
    rows = []
    for number, found in rounds:
        counts = found.counts
        outcomes = "".join(f"<td>{counts.outcomes.get(o, 0):,}</td>" for o in Labelling)
        rows.append(f"<tr><td>{number}</td><td>{counts.unlabelled:,}</td>{outcomes}{_label_quality(found)}</tr>")
    heads = "".join(f"<th>{_words(o.value)}</th>" for o in Labelling)
    yield table(f"<th>round</th><th>problems</th>{heads}<th>right, of labels with known answers</th>", rows)
    for number, c in sorted(content.label_changes.items()):
        known = f"; of these {c.mended} to the right one, {c.broken} away from it" if c.mended or c.broken else ""
        yield (
            f"<p>Round {number} against the round before: {c.kept:,} labels kept, {c.changed:,} changed{known}; "
            f"{c.gained:,} gained, {c.lost:,} lost.</p>"
        )
    number, last = rounds[-1]
    if last.calibration:
        rows = [
            f"<tr><td>{percent(b.low)} and more</td><td>{b.labelled:,}</td><td>{b.right:,}</td>"
            f"<td>{_share(b.right, b.labelled)}</td></tr>"
            for b in last.calibration
        ]
        yield f"<h3>How often a label is right, by its share of the votes (round {number})</h3>"
        yield table("<th>share in %</th><th>labels</th><th>right</th><th>right in % [95 %]</th>", rows)


def _label_quality(found: LabelSummary) -> str:
    m = found.measured
    return (
        f"<td>{m.right:,} of {m.labelled:,}: {_share(m.right, m.labelled)}</td>" if m and m.labelled else "<td>·</td>"
    )


def _share(part: int, whole: int) -> str:
    low, high = wilson(part / whole, whole)
    return f"{percent(part / whole)} [{percent(low)}, {percent(high)}]"


def verdicts(content: Content) -> Iterator[str]:
    """Verdicts by method, as shares."""
    if not content.verdicts:
        return
    seen = [v.value for v in Verdict if any(t.get(v.value) for t in content.verdicts.values())]
    keys = "".join(f'<span><i class="swatch v-{v}"></i>{_words(v)}</span>' for v in seen)
    yield f'<p class="legend">{keys}</p><div class="funnel">'
    for name, counts in content.verdicts.items():
        total = sum(counts.values())
        parts = [(f"v-{v}", _words(v), float(counts.get(v, 0))) for v in seen]
        said = " · ".join(f"{_words(v)} {counts[v]:,}" for v in seen if counts.get(v))
        yield (
            f'<div class="step"><span class="{css_class(content, name)}">{safe(name)}</span>'
            f'{stacked(parts, total, f"{name}: {said}")}<b>{total:,}</b><span class="sub">{said}</span></div>'
        )
    yield f'</div><p class="muted">Training problems of round {content.round}.</p>'


def samples(content: Content) -> Iterator[str]:
    """Some samples with their verdicts."""
    if not content.samples:
        return
    yield (
        '<p class="muted">Chosen to show every method and verdict, not in proportion. Only the part of a completion '
        "that was checked is shown.</p>"
    )
    cards = (f"{_question(s)}{_solution(content, s.checked)}" for s in content.samples)
    yield f'<div class="cards">{"".join(f"<article>{card}</article>" for card in cards)}</div>'


def translations(content: Content) -> Iterator[str]:
    """Correct solutions beside what the model made of them in another method."""
    if not content.pairs:
        return
    yield '<p class="muted">A correct solution, and its translation by the model, which is verified again.</p>'
    for source, translated in content.pairs:
        yield (
            f'<article class="pair">{_question(source)}<div>{_solution(content, source.checked)}'
            f'<span class="arrow" aria-hidden="true">→</span>{_solution(content, translated)}</div></article>'
        )


def loss(content: Content) -> Iterator[str]:
    """The training loss by step, of each arm and round."""
    if content.losses:
        charts = (
            f"<figure><figcaption>{safe(arm)}, round {number}</figcaption>"
            f"{loss_chart(found, f'{arm}, round {number}: training loss by step')}</figure>"
            for (number, arm), found in content.losses.items()
        )
        yield f'<div class="charts">{"".join(charts)}</div>'


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
    yield table("<th>round</th><th>stage</th><th>seconds</th><th></th><th>tokens</th>", rows, "cost")
    yield f'<p class="muted">{total:,.0f} seconds in all, each stage as measured when it was made.</p>'


def notes(content: Content) -> Iterator[str]:
    """What a reader must know before believing the figures."""
    said = [
        *content.summary.notes,
        "An interval says how far the accuracy of this checkpoint may be from its accuracy on all problems of "
        "the kind (Wilson, 95 %). Overlapping intervals do not settle a comparison: the decision uses a paired test on "
        "the same problems.",
    ]
    yield f"<ul>{''.join(f'<li>{safe(note)}</li>' for note in said)}</ul>"


def recipe(content: Content) -> Iterator[str]:
    """The recipe with all its keys, folded up."""
    yield f"<details><summary>all keys and their values</summary>{keys(content.config)}</details>"


def keys(config: Config) -> str:
    """A recipe's keys, as `--set` names them, with their values."""
    rows = [f"<tr><td>{safe(key)}</td><td>{safe(json_text(value))}</td></tr>" for key, value in flat(to_data(config))]
    return table("<th>key</th><th>value</th>", rows, "keys")


def _question(s: Specimen) -> str:
    if s.problem is None:
        return ""
    kind = "gold voted" if s.checked.share else "gold"
    answer = f' <span class="{kind}">{safe(s.problem.answer)}</span>' if s.problem.answer else ""
    return f'<p class="question">{safe(_cut(s.problem.question))}{answer}</p>'


def _solution(content: Content, c: CheckedSample) -> str:
    verdict = c.verdict.value
    said = "" if c.passed or not c.detail else f'<p class="detail">{safe(_cut(c.detail))}</p>'
    method, by = c.sample.method, f" by {c.sample.writer}" if c.sample.writer else ""
    return (
        f'<div class="solution v-{verdict}"><p><span class="{css_class(content, method)}">{safe(method + by)}</span>'
        f'<span class="verdict">{_words(verdict)}</span></p><pre>{safe(_cut(c.solution)) or "(empty)"}</pre>'
        f"{said}</div>"
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _tile(name: str, value: str, sub: str) -> str:
    return f'<div class="tile"><span>{name}</span><b>{value}</b>{sub}</div>'
