"""An experiment's results: read from the store, written beside its runs as tables and a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mmst.core.errors import UserError
from mmst.core.ports import Store
from mmst.core.records import to_data
from mmst.experiments import outcomes as reading
from mmst.experiments.definition import Experiment
from mmst.experiments.findings import Finding, Level, findings, levels, overlaps
from mmst.experiments.outcomes import Outcomes
from mmst.experiments.page import page
from mmst.experiments.written import ARMS, OUTCOMES, PAGE, PREFIX, RESULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was written below `prefix`, and the same as objects; `data` is `results.json`."""

    prefix: str
    outcomes: Outcomes
    levels: list[Level]
    findings: list[Finding]
    data: dict[str, Any]


def write(experiment: Experiment, store: Store, seeds: Iterable[int]) -> Results:
    """Write `outcomes.csv.gz`, `arms.csv`, `results.json` and `page.html` of the seeds that are complete.

    `UserError` when no seed is complete.
    """
    outcomes = reading.read(experiment, store, list(seeds))
    if not outcomes.seeds:
        raise UserError(
            f"no seed of '{experiment.name}' is complete", remedy="run the same command without --seed to run all"
        )
    prefix = f"{PREFIX}{experiment.id}"
    found, measured, common = findings(experiment, outcomes), levels(outcomes), overlaps(outcomes)
    data = {
        "experiment": experiment.id,
        "seeds": list(outcomes.seeds),
        "items": len(outcomes.items),
        "arms": [to_data(level) for level in measured],
        "overlap": [to_data(overlap) for overlap in common],
        "claims": [to_data(finding) for finding in found],
        "examples": {arm: {str(seed): dict(n) for seed, n in by.items()} for arm, by in outcomes.examples.items()},
        "seconds": outcomes.seconds,
        "definition": to_data(experiment),
    }
    store.write(f"{prefix}/{OUTCOMES}", reading.table(outcomes))
    store.write(f"{prefix}/{ARMS}", _arms(measured))
    store.write(f"{prefix}/{RESULTS}", json.dumps(data, ensure_ascii=False, indent=1).encode())
    store.write(f"{prefix}/{PAGE}", page(experiment, outcomes, measured, found, common).encode())
    return Results(prefix=prefix, outcomes=outcomes, levels=measured, findings=found, data=data)


def _arms(measured: list[Level]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("arm", "task", "method", "accuracy", "low", "high", "seeds"))
    for level in measured:
        e = level.estimate
        writer.writerow((level.arm, level.task, level.method, e.value, e.low, e.high, " ".join(map(str, e.seeds))))
    return text.getvalue().encode()
