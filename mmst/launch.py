"""Run one stage by name on manifest references: all that a component, or a command, does.

A failure is also written to `$MMST_FAILURE` when that is set, since an orchestrator passes on
only that a task failed, not why.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmst import config as configuration
from mmst.errors import MmstError
from mmst.manifest import Manifest, Place
from mmst.process import die_with_parent, stop_on_signals
from mmst.store import load, pointers
from mmst.wiring import connect, open_store


def launch(
    stage: str,
    config: str,
    *,
    round: int = 0,
    arm: str = "base",
    step: str = "",
    refs: Mapping[str, str] | None = None,
    **settings: Any,
) -> Manifest:
    """Run `mmst.<stage>.run` in this process, which belongs to the stage alone.

    `config` is JSON text; `refs` maps the stage's manifest arguments to references
    (`stages/sample/3fa9…`); `settings` are its other arguments. Round, arm and step say where in
    the run it stands.
    """
    die_with_parent()
    stop_on_signals()
    place = f"{step or stage}|{round}|{arm}"
    os.environ["MMST_PLACE"] = place
    try:
        return run(stage, configuration.from_text(config), round=round, arm=arm, step=step, refs=refs or {}, **settings)
    except MmstError as error:
        record_failure(place, error)
        raise


def run(
    stage: str,
    config: configuration.Config,
    *,
    round: int,
    arm: str,
    step: str,
    refs: Mapping[str, str],
    **settings: Any,
) -> Manifest:
    """`launch` without its hold on the process."""
    engines = connect(config)
    place = Place(run=configuration.run_id(config), round=round, arm=arm, step=step or stage)
    manifests = {name: load(engines.store, ref) for name, ref in refs.items()}
    if stage == "promote" and "controls" not in settings:
        settings["controls"] = {
            p.arm: load(engines.store, ref)
            for p, ref, _ in pointers(engines.store, place.run)
            if p.round == round and p.step == "evaluate" and p.arm in config.loop.controls
        }
    if stage == "trainset":
        settings["arm"] = arm
    if stage == "report":
        settings["run"] = place.run
    made = importlib.import_module(f"mmst.{stage}").run(engines, place, **manifests, **settings)
    assert isinstance(made, Manifest)
    return made


def page_of(config: str) -> bytes:
    """The HTML page that the report stage left for this run."""
    parsed = configuration.from_text(config)
    page = open_store(parsed.out).read(f"runs/{configuration.run_id(parsed)}/report.html")
    assert page is not None, "the report stage writes the page before its manifest"
    return page


def record_failure(place: str, error: MmstError) -> None:
    """Leave the reason where the process that started the run looks for it."""
    path = os.environ.get("MMST_FAILURE")
    if path and not Path(path).exists():
        reason = {"place": place, "kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        Path(path).write_text(json.dumps(reason), encoding="utf-8")
