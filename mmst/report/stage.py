"""The report of a run: one self-contained HTML page, made from what the store holds.

The stage's shard is the deterministic summary (`summary.jsonl`), so that the same run has the
same manifest. The page also shows wall times, which differ from run to run: it is written beside
the shard and not listed in the manifest, and again as `runs/<run>/report.html`.

The page's size does not grow with the run: of each file of samples only the first `WINDOW`
records are looked at, and what is shown of them is said to be a selection.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from mmst.core.config import Config
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines, Store
from mmst.core.records import CheckedSample, Outcome, Problem, rank, to_data
from mmst.core.results import PrepareCounts, ReportCounts, TrainsetCounts, VerifyCounts
from mmst.core.stage import WHERE, Job, Made, Stage
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import losses, records
from mmst.report.content import Content, Specimen
from mmst.report.page import page
from mmst.runs.label_changes import label_changes
from mmst.runs.summary import RoundSummary, RunSummary, StageState, summarise
from mmst.stages.reads import CHECKED

WINDOW = 4096
SAMPLES = 20
PAIRS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which run is shown. Its recipe's digest stands in its name."""

    run: str
    recipe: Config = field(metadata=WHERE)

    @property
    def page(self) -> str:
        """The name, in the store, of the run's page."""
        return f"runs/{self.run}/report.html"


class Report(Stage[Settings]):
    """Write the HTML report of a run, complete or not.

    Example:

      mmst report demo
    """

    name, version = "report", 3
    writes: ClassVar = {"summary": dict}

    def settings(self, config: Config, place: Place) -> Settings:
        """Those of the run in which the stage stands."""
        return Settings(run=place.run, recipe=config)

    def run(
        self,
        engines: Engines,
        place: Place,
        inputs: Mapping[str, Manifest] = MappingProxyType({}),
        beside: Mapping[str, Manifest] = MappingProxyType({}),
    ) -> Manifest:
        """Of all that the run has made so far."""
        found = (s for r in summarise(engines.store, place.run).rounds for s in r.stages if s.place.step != "report")
        return super().run(engines, place, {s.place.key: s.manifest for s in found if s.manifest is not None}, beside)

    def stands(self, folder: StageFolder) -> bool:
        """Only with its page."""
        return folder.manifest is not None and folder.read("report.html") is not None

    def work(self, job: Job[Settings], **inputs: Manifest) -> Made:
        """Make the page, and the summary that is the same each time."""
        store, settings, folder = job.ports.store, job.settings, job.folder
        with job.ports.progress.task("report", 2, "steps") as task:
            summary = summarise(store, settings.run)
            content = collect(store, summary, summary.config or settings.recipe)
            task.advance()
            folder.write("report.html", page(content).encode("utf-8", "replace"))
            task.advance()
        folder.write_records("summary.jsonl", [steady(content)])
        counts = ReportCounts(samples=len(content.samples), translations=len(content.pairs))
        return Made(shards=["summary.jsonl"], counts=counts)

    def afterwards(
        self, job: Job[Settings], made: Manifest, beside: Mapping[str, Manifest], **inputs: Manifest
    ) -> None:
        """Put the page where people look for it."""
        html = job.folder.read("report.html")
        assert html is not None, "the stage stands only with its page"
        if job.ports.store.read(job.settings.page) != html:
            job.ports.store.write(job.settings.page, html)


def collect(store: Store, summary: RunSummary, config: Config) -> Content:
    """All that the page shows: the summary, who solves what, and a selection of real samples."""
    latest = next((r for r in reversed(summary.rounds) if any(s.complete for s in r.written("verify"))), None)
    samples: list[CheckedSample] = []
    pairs: list[tuple[CheckedSample, CheckedSample]] = []
    if latest is not None:
        window = list(_window(store, latest.checked))
        samples = various(window, SAMPLES)
        pairs = couples(window, list(_window(store, latest.written("verify-translations"))), PAIRS)
    wanted = {c.sample.problem_id for c in (*samples, *(source for source, _ in pairs))}
    problems = _problems(store, latest.stage("label") if latest else None, summary, wanted)
    return Content(
        summary=summary,
        config=config,
        sizes=_sizes(summary),
        round=latest.round if latest else 0,
        funnels={r.round: funnels(r, config.methods) for r in summary.rounds if r.funnel},
        verdicts=by_method(latest.checked if latest else (), config.methods),
        label_changes=label_changes(store, summary.rounds),
        losses={
            (r.round, s.place.arm): found
            for r in summary.rounds
            for s in r.stages
            if s.place.step == "train" and s.complete and (found := losses(store, s.ref))
        },
        solvers={r.round: solvers(store, r.stage("evaluate")) for r in summary.rounds if _complete(r, "evaluate")},
        samples=[Specimen(problem=problems.get(c.sample.problem_id), checked=c) for c in samples],
        pairs=[(Specimen(problem=problems.get(s.sample.problem_id), checked=s), t) for s, t in pairs],
    )


def various(window: Sequence[CheckedSample], most: int) -> list[CheckedSample]:
    """Up to `most` samples that show each (method, verdict) in turn; the same ones each time.

    Within a kind the choice is as good as random; no two are of the same problem and method.
    """
    kinds: dict[tuple[str, str], list[CheckedSample]] = {}
    for c in sorted(window, key=lambda c: rank(c.sample.id)):
        kinds.setdefault((c.verdict.value, c.sample.method), []).append(c)
    chosen: dict[tuple[str, str], CheckedSample] = {}
    queues = [iter(kinds[k]) for k in sorted(kinds)]
    while queues and len(chosen) < most:
        for queue in list(queues):
            free = next((c for c in queue if (c.sample.problem_id, c.sample.method) not in chosen), None)
            if free is None:
                queues.remove(queue)
            elif len(chosen) < most:
                chosen[free.sample.problem_id, free.sample.method] = free
    return sorted(chosen.values(), key=lambda c: (c.sample.problem_id, c.sample.method))


def couples(
    sources: Sequence[CheckedSample], translations: Sequence[CheckedSample], most: int
) -> list[tuple[CheckedSample, CheckedSample]]:
    """Translations with their sources, in turn by direction and by whether they passed."""
    by_id = {c.sample.id: c for c in sources}
    kinds: dict[tuple[str, str, bool], list[CheckedSample]] = {}
    for t in sorted(translations, key=lambda t: rank(t.sample.id)):
        if t.sample.source_sample in by_id:
            kinds.setdefault((t.sample.source_method, t.sample.method, not t.passed), []).append(t)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*(kinds[k] for k in sorted(kinds))))
    return [(by_id[t.sample.source_sample], t) for t in itertools.islice((t for t in in_turn if t is not None), most)]


def funnels(r: RoundSummary, methods: Sequence[str]) -> dict[str, dict[str, int]]:
    """The round's funnel per method."""
    chosen = r.stage("build_trainset")
    counts = chosen.manifest.counted(TrainsetCounts) if chosen and chosen.manifest else TrainsetCounts()
    kept = {m: counts.new_by(m) for m in methods}
    return {m: {**r.funnels.get(m, {}), **({"kept": kept[m]} if kept[m] else {})} for m in methods}


def by_method(checks: Iterable[StageState], methods: Sequence[str]) -> dict[str, dict[str, int]]:
    """{method: {verdict: samples}} of verify stages, from their counts."""
    counted = (check.manifest.counted(VerifyCounts) for check in checks if check.manifest)
    tallies = sum(counted, VerifyCounts()).methods
    return {m: dict(tallies[m].verdicts) for m in methods if m in tallies and any(tallies[m].verdicts.values())}


def solvers(store: Store, evaluate: StageState | None) -> dict[str, dict[str, int]]:
    """{"task/family": {"code+text": held-out problems that exactly these methods solve}}; "" is none.

    Problems for which a request failed are left out.
    """
    table: dict[str, Counter[str]] = {}
    if evaluate is None or evaluate.manifest is None:
        return {}
    # An evaluate stage keeps the outcomes of a problem together.
    for _, group in itertools.groupby(records(store, evaluate.manifest, Outcome), key=lambda o: o.problem_id):
        found = list(group)
        if any(o.passed is None for o in found):
            continue
        solved = "+".join(sorted(o.method for o in found if o.passed))
        table.setdefault(f"{found[0].task}/{found[0].family}", Counter())[solved] += 1
    return {name: dict(sorted(counts.items())) for name, counts in sorted(table.items())}


def steady(content: Content) -> dict[str, Any]:
    """What of the content is the same whenever the same run is reported: no times, no addresses."""
    return {
        "run": content.summary.run,
        "rounds": [
            to_data(
                {
                    "round": r.round,
                    "arms": dict(sorted(r.arms.items())),
                    "funnel": r.funnel,
                    "funnels": content.funnels.get(r.round, {}),
                    **({"writers": r.writers} if r.writers else {}),
                    "families": r.families,
                    "decision": r.decision,
                    "stopped": r.stopped,
                    "solvers": content.solvers.get(r.round, {}),
                }
                | ({"labels": r.labels} if r.labels else {})
            )
            for r in content.summary.rounds
        ],
        "verdicts": content.verdicts,
        "notes": list(content.summary.notes),
        "samples": [s.checked.sample.id for s in content.samples],
        "translations": [t.sample.id for _, t in content.pairs],
    }


def _complete(r: RoundSummary, step: str) -> bool:
    state = r.stage(step)
    return state is not None and state.complete


def _window(store: Store, states: Iterable[StageState]) -> Iterator[CheckedSample]:
    """The first of what each writer's stage holds."""
    for state in states:
        if state.manifest is not None:
            yield from itertools.islice(records(store, state.manifest, CheckedSample, CHECKED), WINDOW)


def _prepared(summary: RunSummary) -> Manifest | None:
    found: Iterable[StageState | None] = (r.stage("prepare") for r in summary.rounds)
    return next((s.manifest for s in found if s is not None and s.manifest is not None), None)


def _sizes(summary: RunSummary) -> PrepareCounts | None:
    prepared = _prepared(summary)
    return prepared.counted(PrepareCounts) if prepared else None


def _problems(store: Store, labelled: StageState | None, summary: RunSummary, wanted: set[str]) -> dict[str, Problem]:
    """The problems that are wanted; of those without answers with their labels."""
    prepared, found = (labelled.manifest if labelled else None) or _prepared(summary), dict[str, Problem]()
    for p in records(store, prepared, Problem, "train-") if prepared and wanted else ():
        if p.id in wanted:
            found[p.id] = p
            if len(found) == len(wanted):
                break
    return found
