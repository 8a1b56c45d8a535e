"""What each page shows, from the store alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmst.core.errors import UserError
from mmst.core.ports import Store
from mmst.experiments import written
from mmst.observe import under_way
from mmst.report import page as report
from mmst.report.charts import loss_chart
from mmst.report.stage import collect
from mmst.runs import label_errors, problem_history, summary
from mmst.runs.compare import BASE, compare, measured
from mmst.runs.summary import RunSummary, StageState
from mmst.view.index import Index
from mmst.view.later import Later
from mmst.view.samples import Filter, Samples

A_PAGE = 50
"""Samples a page."""
LISTED = 200
"""Problems that a comparison lists a side."""
_APART = ("samples", "translations", "recipe")
"""Sections of the report that have pages of their own here."""


class Pages:
    """The pages of a store. May be used by several threads."""

    def __init__(self, store: Store, logs: Callable[[str], Path], cache: Path | None = None) -> None:
        self._store, self._logs = store, logs
        self._index, self._later = Index(store, cache), Later()

    def close(self) -> None:
        """No more pages will be asked for."""
        self._index.close()
        self._later.close()

    def runs(self) -> dict[str, Any]:
        """All runs."""
        found, broken = summary.summaries(self._store)
        rows = [{"run": s, "state": self._state(s), "config": s.config, "decision": s.decision} for s in found]
        experiments = list(written.experiments(self._store))
        beside = [file for file in written.FILES if file != written.PAGE]
        return {"uri": self._store.uri, "rows": rows, "broken": broken, "experiments": experiments, "beside": beside}

    def experiment(self, name: str, file: str) -> bytes:
        """The page of an experiment, or a file beside it, as `mmst experiment` wrote it."""
        there = file in written.FILES and name in written.names(self._store)
        found = self._store.read(f"{written.PREFIX}{name}/{file}") if there else None
        if found is None:
            raise UserError("no such file of an experiment", value=f"{name}/{file}", remedy="/ lists the experiments")
        return found

    def run(self, name: str, all_stages: bool = False) -> dict[str, Any]:
        """A run: what goes on, and the sections of its report. While it goes, the page comes anew by itself."""
        found = self._summary(name)
        folder = self._logs(found.run)
        working = under_way.look(folder)
        stages = [
            {"stage": s, "work": None if s.complete else working.get(s.place.key)}
            for r in found.rounds
            for s in r.stages
        ]
        open_ones = {s.place.key for r in found.rounds for s in r.stages if not s.complete}
        curves = [
            (key, Markup(loss_chart(points, key)))
            for key, points in under_way.losses(folder).items()
            if key in open_ones
        ]
        sections = list[tuple[str, str, Markup]]()
        head = Markup("")
        if found.config is not None:
            content = collect(self._store, found, found.config)
            head = Markup("".join(report.opening(content)))
            made = report.sections(content, without=_APART)
            sections = [(anchor, title, Markup(html)) for anchor, title, html in made if html]
        live = any(w.running for w in working.values())
        return {
            "run": found.run,
            "config": found.config,
            "opening": head,
            "stages": stages,
            "curves": curves,
            "sections": sections,
            "live": live,
            "all_stages": all_stages,
        }

    def recipe(self, name: str) -> dict[str, Any]:
        """The recipe with all its hyperparameters."""
        found = self._summary(name)
        if found.config is None:
            raise UserError(f"the recipe of run {found.run} was not recorded")
        return {"run": found.run, "keys": Markup(report.keys(found.config))}

    def samples(self, name: str, wanted: Filter, page: int) -> dict[str, Any]:
        """A page of the samples that are wanted, and how many there are of each kind."""
        run = summary.find_run(self._store, name)
        found = self._samples(self._stages(run)).page(wanted, page, A_PAGE)
        pages = max(-(-found.total // A_PAGE), 1)
        return {
            "run": run,
            "wanted": wanted,
            "asked": wanted.query(),
            "found": found,
            "page": min(page, pages),
            "pages": pages,
        }

    def lines(self, name: str, wanted: Filter) -> Iterator[bytes]:
        """The samples that are wanted, as the store has them."""
        return self._samples(self._stages(summary.find_run(self._store, name))).lines(wanted)

    def problem(self, name: str, problem: str) -> dict[str, Any]:
        """A problem's way through a run."""
        run = summary.find_run(self._store, name)
        stages = self._stages(run)
        self._samples(stages)
        found = problem_history.story(self._store, run, problem, lines=self._index.about(stages))
        taught = {
            r.round: {id for examples in r.trained.values() for e in examples for id in e.lineage[:1]}
            for r in found.rounds
        }
        return {"story": found, "taught": taught}

    def labels(self, name: str) -> dict[str, Any]:
        """Gold answers that are probably wrong."""
        run = summary.find_run(self._store, name)
        key = ("labels", *_made(self._stages(run)))
        disputed = self._later.get(key, lambda: label_errors.of_run(self._store, run))
        return {"run": run, "disputed": disputed, "fewest": label_errors.FEWEST}

    def compare(self, first: str, second: str) -> dict[str, Any]:
        """Two arms or runs, problem by problem; without both, only the choice of them."""
        found, _ = summary.summaries(self._store)
        sides = [f"{s.run}/{arm}" for s in found for arm in measured(s)]
        compared = compare(self._store, first, second) if first and second else None
        questions = dict[str, str]()
        if compared is not None:
            wanted = {id for p in compared.paired for id in (*p.gained[:LISTED], *p.lost[:LISTED])}
            questions = self._samples(self._stages(compared.first.run)).questions(wanted)
            first, second = (f"{s.run}/{s.arm if s.round else BASE}" for s in (compared.first, compared.second))
        own = {s.run: f"{s.run}/{s.rounds[-1].main_arm}" for s in found if s.rounds}
        return {
            "sides": sides,
            "first": own.get(first, first),
            "second": own.get(second, second),
            "compared": compared,
            "questions": questions,
            "listed": LISTED,
        }

    def _summary(self, name: str) -> RunSummary:
        return summary.summarise(self._store, summary.find_run(self._store, name))

    def _stages(self, run: str) -> list[StageState]:
        return list(summary.stages(self._store, run))

    def _samples(self, stages: Sequence[StageState]) -> Samples:
        """The run's samples; `NotYet` while they are being read."""
        return self._later.get(("samples", *_made(stages)), lambda: self._index.samples(stages))

    def _state(self, found: RunSummary) -> str:
        """What a list says of a run: what is under way, or how far it is."""
        working = under_way.look(self._logs(found.run))
        states = [s for r in found.rounds for s in r.stages]
        going = [(s, w) for s in states if not s.complete and (w := working.get(s.place.key)) and w.running]
        if going:
            stage, work = going[-1]
            return f"{stage.place.title}: {work}"
        complete = sum(s.complete for s in states)
        return f"{complete} of {len(states)} begun stages complete"


def _made(stages: Sequence[StageState]) -> Iterator[str]:
    """What the stages have made, as a key."""
    yield from (f"{s.place.name} {s.ref}" for s in stages if s.complete)
