"""An experiment as a page: claims, accuracies, families, examples, and how it was done. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmst.experiments.charts import forest, scatter
from mmst.experiments.definition import COUNTS, Experiment, first_config
from mmst.experiments.findings import Finding, Level, Overlap, by_family
from mmst.experiments.outcomes import UNSOUND, Outcomes
from mmst.report import page as report_page
from mmst.report.charts import ceiling, percent, whisker
from mmst.report.content import safe, table

STYLE = Path(__file__).with_name("page.css")
TONES = {"supported": "good", "contradicted": "bad", "not resolved": "open"}


def page(
    experiment: Experiment,
    outcomes: Outcomes,
    levels: Sequence[Level],
    findings: Sequence[Finding],
    overlaps: Sequence[Overlap],
) -> str:
    """The whole page."""
    title = safe(experiment.title or experiment.name)
    sections = (
        ("claims", "Claims", claims(experiment, outcomes, findings)),
        ("accuracy", "Accuracy", accuracy(experiment, outcomes, levels)),
        ("families", "Where it gains", (*apart(outcomes, overlaps), *families(outcomes, findings))),
        ("examples", "What was learnt from", examples(experiment, outcomes)),
        ("how", "How", how(experiment, outcomes)),
    )
    made = [(anchor, name, "".join(parts)) for anchor, name, parts in sections]
    lead = (
        f"<b>{len(experiment.arms)}</b> arms, <b>{len(outcomes.seeds)}</b> seeds, "
        f"<b>{len(outcomes.items):,}</b> held-out problems, each by {safe(' and '.join(outcomes.methods))}."
    )
    style = report_page.STYLE.read_text(encoding="utf-8") + STYLE.read_text(encoding="utf-8")
    footer = f"Experiment <code>{safe(experiment.id)}</code>."
    return report_page.document(title, f'<p class="lead">{lead}</p>', made, style, footer)


def shown(finding: Finding) -> str:
    """A finding's difference with its interval: in points, in examples, or as a correlation."""
    e = finding.estimate
    if finding.claim.measure == COUNTS:
        return f"{e.value:+.0f} examples ({e.low:+.0f} to {e.high:+.0f})"
    if finding.claim.measure == "disagreement":
        return f"ρ = {e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
    return f"{100 * e.value:+.1f} points [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"


def claims(experiment: Experiment, outcomes: Outcomes, findings: Sequence[Finding]) -> Iterator[str]:
    """Every claim with our difference, its interval and what we say of it."""
    rows = []
    differences = [f.estimate for f in findings if f.claim.measure == "accuracy"]
    reach = max((max(abs(e.low), abs(e.high)) for e in differences), default=0.01)
    for f in findings:
        c, verdict = f.claim, f.verdict.value
        drawn = forest(f.estimate, reach, c.says) if c.measure == "accuracy" else ""
        what = f"{c.of} over {c.over}, {c.task}, {c.method}" if c.measure == "accuracy" else f"{c.of} over {c.over}"
        p = "·" if f.p is None else f"{f.p:.2g}"
        rows.append(
            f'<tr><td>{safe(c.says)}<span class="sub block">{safe(what)}</span></td><td>{safe(c.paper) or "·"}</td>'
            f"<td>{safe(shown(f))}{drawn}</td><td>{p}</td>"
            f'<td><span class="badge {TONES[verdict]}">{verdict}</span></td></tr>'
        )
    head = "<th>claim</th><th>the paper</th><th>ours [95 %]</th><th>p</th><th>verdict</th>"
    yield table(head, rows, "claims")
    yield (
        '<p class="muted">Differences are paired by problem. Intervals are over the held-out problems and the '
        f"{len(outcomes.seeds)} seeds (bootstrap, both drawn at once); the small marks are single seeds. p is "
        "two-sided, after Holm's correction over all claims but counts. Supported or contradicted: p below 0.05. "
        "Counts of examples show the mean and the range over seeds, and are judged by whether all seeds agree.</p>"
    )
    if experiment.waiting:
        said = "; ".join(safe(claim.says) for claim in experiment.waiting)
        yield f'<p class="muted">Not tested, for their arms were not run; the correction counts them too: {said}.</p>'
    if len(outcomes.seeds) == 1:
        yield '<p class="muted"><b>One seed:</b> intervals are over problems only; believe no difference yet.</p>'


def accuracy(experiment: Experiment, outcomes: Outcomes, levels: Sequence[Level]) -> Iterator[str]:
    """Per task a row an arm: accuracy by method, with intervals and the seeds' spread."""
    cells = {(x.arm, x.task, x.method): x.estimate for x in levels}
    for task in dict.fromkeys(x.task for x in levels):
        n = sum(item.task == task for item in outcomes.items)
        methods = [*outcomes.measured(task), "all"]
        top = ceiling(max(x.estimate.high for x in levels if x.task == task))
        rows = []
        for arm, defined in experiment.arms.items():
            row = ""
            for i, method in enumerate(methods):
                e, kind = cells[arm, task, method], f"m{(i + 1) % len(methods)}"
                row += (
                    f'<td><b>{percent(e.value)}</b> <span class="sub">{percent(e.low)}–{percent(e.high)}</span></td>'
                    f"<td>{whisker(e.value / top, e.low / top, e.high / top, kind)}</td>"
                )
            rows.append(f'<tr><td>{safe(arm)}<span class="sub block">{safe(defined.asks)}</span></td>{row}</tr>')
        heads = "".join(
            f'<th colspan="2" class="m{(i + 1) % len(methods)}">{safe(m)}</th>' for i, m in enumerate(methods)
        )
        yield f"<h3>{safe(task.capitalize())} problems <small>{n} held out</small></h3>"
        yield table(f"<th>arm</th>{heads}", rows, "arms")


def apart(outcomes: Outcomes, overlaps: Sequence[Overlap]) -> Iterator[str]:
    """Per task, how much only one method solves: what it could teach."""
    rows = []
    for o in overlaps:
        shares = (o.several, *o.only.values(), o.none)
        cells = "".join(f"<td>{percent(share)}</td>" for share in shares)
        phi = "·" if o.phi is None else f"{o.phi:.2f}"
        rows.append(f"<tr><td>{safe(o.task)}</td>{cells}<td>{phi}</td></tr>")
    yield (
        '<p class="muted">What the base model solves, in %. A method can teach the others what only it solves. φ: the '
        "correlation of the methods over all problems (1: they solve the same ones; the mean of all pairs).</p>"
    )
    heads = ("task", "by several methods", *(f"only by {m}" for m in outcomes.methods), "by none", "φ")
    yield table("".join(f"<th>{safe(h)}</th>" for h in heads), rows, "arms")


def families(outcomes: Outcomes, findings: Sequence[Finding]) -> Iterator[str]:
    """Gain by family against how much the methods disagree there."""
    for f in findings:
        if f.claim.measure == "disagreement":
            names, gains, apart = by_family(f.claim, outcomes)
            drawn = scatter(names, outcomes.methods, gains, apart)
            legend = "".join(
                f'<span class="m{i % 4 + 1}">● {safe(method)}</span>' for i, method in enumerate(outcomes.methods)
            )
            yield (
                f'<p class="muted">Points gained by {safe(f.claim.of)} over {safe(f.claim.over)}, one mark per family '
                "and method. A method that solves little can also gain more, whatever teaches it: the two axes "
                f'are not independent.</p><p class="legend">{legend}</p>{drawn}'
            )


def examples(experiment: Experiment, outcomes: Outcomes) -> Iterator[str]:
    """New examples that every arm trained on, as the mean over seeds."""
    rows = []
    for arm in experiment.arms:
        found = [outcomes.examples[arm].get(seed, {}) for seed in outcomes.seeds]
        counts = "".join(
            f"<td>{sum(n.get(key, 0) for n in found) / len(found):,.0f}</td>"
            for key in ("all", *outcomes.methods, UNSOUND)
        )
        rows.append(f"<tr><td>{safe(arm)}</td>{counts}</tr>")
    yield '<p class="muted">New examples in the last round, mean over seeds. All arms train for equally many steps. '
    yield "The last column: in words, with a right answer, and an equation that is not true.</p>"
    yield table("".join(f"<th>{safe(h)}</th>" for h in ("arm", "in all", *outcomes.methods, UNSOUND)), rows, "arms")


def how(experiment: Experiment, outcomes: Outcomes) -> Iterator[str]:
    """What must be known before any of it is believed."""
    config = first_config(experiment)
    varied = ", ".join(experiment.vary) or "nothing"
    notes = [
        f"Between seeds differ: {varied}. The base model ({config.model.base}) is the same in all: what another base "
        "model would do is not covered by the intervals.",
        f"Every arm trains {config.train.steps} steps of {config.train.batch_tokens:,} tokens a round, from the same "
        "checkpoint; arms of one round share problems, samples and verdicts.",
        f"The stages took {outcomes.seconds / 60:,.0f} minutes in all, each counted once.",
    ]
    if any(s.format == "generated" for s in (*config.problems.train, *config.problems.annotated)):
        notes.insert(
            0,
            "Generated problems: the generator sets which families are annotated for which method, so the "
            "methods' strengths differ on purpose. This shows the mechanism, not an effect on real problems.",
        )
    if outcomes.left_out:
        notes.append(f"{outcomes.left_out} problems are left out, because a request failed in some arm or seed.")
    if experiment.choices:
        notes.append(experiment.choices)
    yield "<ul>" + "".join(f"<li>{safe(note)}</li>" for note in notes) + "</ul>"
