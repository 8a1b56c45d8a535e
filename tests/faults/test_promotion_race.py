"""Racing promotions by several processes: whoever wins, the champion never gets worse."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mmst.core.manifest import Manifest
from mmst.core.records import Problem
from mmst.core.results import Measured, Promoted
from mmst.core.stored import load
from mmst.registry.mlflow import MlflowRegistry
from mmst.stages import champion as champions
from mmst.stages import promote
from mmst.stages.decision import decide
from tests.support.promotion import LightRegistry, candidate, engines, place, problem, promotion

ROOT = Path(__file__).parents[2]
PROBLEMS = [problem(n) for n in range(40)] + [problem(n, "related") for n in range(10)]


def prepare(world: Any, count: int) -> list[tuple[Manifest, Manifest]]:
    """Candidates of any skill between 20 and 95 %, each method on its own, in random order."""
    rng = random.Random(7)
    made = []
    for i in range(count):
        # The first ones are weak, so that there is something to climb over.
        skill = {m: rng.uniform(0.2, min(0.95, 0.3 + 3 * i / count)) for m in world.config.methods}
        luck = {(p.id, m): rng.random() < skill[m] for p in PROBLEMS for m in world.config.methods}

        def passes(p: Problem, m: str, _: int, luck: dict[tuple[str, str], bool] = luck) -> bool:
            return luck[p.id, m]

        made.append(candidate(world, f"c{i}", passes, PROBLEMS))
    return made


def race(folder: Path, uri: str, count: int, processes: int, stops: int = 0) -> None:
    """Promote every candidate, dealt out to processes that start at the same moment.

    `stops` times one of them, at a random moment, is held up for seconds.
    """
    prepared = prepare(engines(folder / "store"), count)
    refs = [[model.ref, evaluation.ref] for model, evaluation in prepared]
    start = time.time() + 3
    code = "import sys; from tests.faults import test_promotion_race as t; t.racer(*sys.argv[1:])"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), uri, str(start), json.dumps(refs[i::processes])],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(processes)
    ]
    over = threading.Event()
    stopping = threading.Thread(target=hold_up, args=(racers, stops, start, over))
    stopping.start()
    errors = [racer.communicate(timeout=280 if count < 1000 else 3000)[1] for racer in racers]
    over.set()
    stopping.join()
    assert [racer.returncode for racer in racers] == [0] * processes, errors


def hold_up(racers: list[subprocess.Popen[str]], stops: int, start: float, over: threading.Event) -> None:
    """Stop processes that promote, each for 1 to 4 seconds, up to three at once."""
    rng = random.Random(11)
    over.wait(max(0.0, start - time.time()))
    held: list[tuple[float, int]] = []
    while (stops or held) and not over.is_set():
        for until, pid in [h for h in held if h[0] <= time.monotonic()]:
            held.remove((until, pid))
            os.kill(pid, signal.SIGCONT)
        alive = [r.pid for r in racers if r.poll() is None and r.pid not in {pid for _, pid in held}]
        if stops and len(held) < 3 and alive:
            pid, stops = rng.choice(alive), stops - 1
            os.kill(pid, signal.SIGSTOP)
            held.append((time.monotonic() + rng.uniform(1, 4), pid))
        over.wait(rng.uniform(0.05, 0.6))
    for _, pid in held:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def racer(folder: str, uri: str, start: str, refs: str) -> None:
    """One of the processes."""
    world = engines(Path(folder) / "store", connect(folder, uri))
    time.sleep(max(0.0, float(start) - time.time()))
    for model, evaluation in json.loads(refs):
        at = place(f"promote-{model[-8:]}")
        promotion(world, load(world.store, evaluation), load(world.store, model), at=at)


def connect(folder: str | Path, uri: str) -> Any:
    return MlflowRegistry(uri) if uri else LightRegistry(Path(folder) / "registry.json")


def verify(folder: Path, count: int) -> champions.Record:
    """The invariants of a race that is over; the record that it left."""
    world = engines(folder / "store")
    record = champions.read(world.store, "mmst")
    measured = {}
    for name in world.store.names("stages/evaluate/"):
        if name.endswith("manifest.json"):
            manifest = load(world.store, name)
            measured[manifest.result(Measured).report.checkpoint] = promote.evaluated(world.store, manifest)
    reigns = [r.champion.checkpoint for r in record]
    assert len(set(reigns)) == len(reigns), "nobody is crowned twice"
    for before, after in itertools.pairwise(reigns):
        assert decide(measured[after], measured[before], world.config.promote).promote, "a worse champion"
    decisions = []
    for name in world.store.names("stages/promote/"):
        if name.endswith("manifest.json"):
            decisions.append(load(world.store, name).result(Promoted).decision)
    assert len(decisions) == count
    assert {d.challenger for d in decisions if d.promote} == set(reigns), "decisions and record agree"
    predecessors = dict(zip(reigns, ["", *reigns], strict=False))
    assert all(predecessors[d.challenger] == d.champion for d in decisions if d.promote)
    assert all(d.champion in reigns for d in decisions if not d.promote)
    return record


@pytest.mark.parametrize(
    ("count", "processes", "stops"),
    [(200, 4, 0), (100, 4, 6), pytest.param(1000, 8, 20, marks=[pytest.mark.slow, pytest.mark.timeout(4000)])],
)
def test_racing_promotions_never_leave_a_worse_champion(tmp_path: Path, count: int, processes: int, stops: int) -> None:
    race(tmp_path, "", count, processes, stops)
    record = verify(tmp_path, count)
    data = LightRegistry(tmp_path / "registry.json").read()
    assert len(record) >= 3, "a race that promotes hardly anybody shows nothing"
    assert data["alias"] == record[-1].champion.version
    assert len(data["versions"]) == count


@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_the_alias_in_mlflow_is_the_champion_on_record_after_a_race(tmp_path: Path, count: int) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    race(tmp_path, uri, count, 4)
    record = verify(tmp_path, count)
    registry = MlflowRegistry(uri)
    alias = registry._client.get_model_version_by_alias("mmst", "champion")
    assert str(alias.version) == record[-1].champion.version
    assert alias.tags["mmst.checkpoint"] == record[-1].champion.checkpoint
    assert len(registry._client.search_model_versions("name = 'mmst'")) == count
