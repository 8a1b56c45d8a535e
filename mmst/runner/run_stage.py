"""Run one stage by name on manifest references: all that a component, or a command, does.

A failure is also written to `$MMST_FAILURE` when that is set, since an orchestrator passes on
only that a task failed, not why. `$MMST_SECRETS` names a folder of mounted Secrets: their keys
become environment variables, as `envFrom` would have it, which Kubeflow Pipelines has not.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmst.core import config as configuration
from mmst.core import metrics, private
from mmst.core.errors import MmstError
from mmst.core.manifest import Manifest, Place
from mmst.core.process import end_with_owner, stop_on_signals
from mmst.core.stage import load, pointers
from mmst.observe import logs, progress, terminal
from mmst.runner import events
from mmst.runs import summary
from mmst.wiring import connect, open_store

log = logging.getLogger(__name__)


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
    """Run a stage's `run` in this process, which belongs to the stage alone.

    `config` is JSON text; `refs` maps the stage's manifest arguments to references
    (`stages/sample/3fa9…`); `settings` are its other arguments. Round, arm and step say where in
    the run it stands.
    """
    end_with_owner()
    stop_on_signals()
    terminal.guard()
    take_secrets()
    place = Place(run="", round=round, arm=arm, step=step or stage)
    os.environ[progress.PLACE] = place.key
    name = ""
    try:
        parsed = configuration.from_text(config)
        name = configuration.run_id(parsed)
        logs.begin(run=name, stage=step or stage, round=round, arm=arm)
        with metrics.handed_over(name, stage, place.key):
            if stage == "prepare":
                summary.record_config(open_store(parsed.out), parsed)
                events.started(name)
                connect(parsed).rehearse()
            made = run(stage, parsed, round=round, arm=arm, step=step, refs=refs or {}, **settings)
            events.finished(name, made)
            return made
    except MmstError as error:
        log.error("stage failed", extra={"error": type(error).__name__, "why": str(error)})
        error.place = error.place or place.title
        record_failure(error)
        events.failed(name, error)
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
    if stage == "build_trainset":
        settings["arm"] = arm
    if stage == "report":
        settings["run"] = place.run
    made = importlib.import_module(module(stage)).run(engines, place, **manifests, **settings)
    assert isinstance(made, Manifest)
    return made


def module(stage: str) -> str:
    """The module in which a stage is; the report is one that reads all others, and has a room of its own."""
    return "mmst.report.stage" if stage == "report" else f"mmst.stages.{stage}"


def clean_up(config: str) -> None:
    """Delete what the stages of this run left in the cluster; nothing where its engines are not in one."""
    parsed = configuration.from_text(config)
    if parsed.check.sandbox == "gvisor_job" or parsed.train.launcher != "local" or parsed.sampling.backend == "kserve":
        connect(parsed).cleanup(configuration.run_id(parsed))


def take_secrets() -> None:
    """Every file `$MMST_SECRETS/<secret>/<key>` becomes the environment variable <key>, unless that is set."""
    folder = os.environ.get("MMST_SECRETS", "")
    for file in sorted(Path(folder).glob("*/[A-Za-z_]*")) if folder else ():
        if file.is_file():
            os.environ.setdefault(file.name, file.read_text(encoding="utf-8").strip("\n"))


def page_of(config: str) -> bytes:
    """The HTML page that the report stage left for this run."""
    parsed = configuration.from_text(config)
    page = open_store(parsed.out).read(f"runs/{configuration.run_id(parsed)}/report.html")
    assert page is not None, "the report stage writes the page before its manifest"
    return page


def record_failure(error: MmstError) -> None:
    """Leave the error where the process that started the run looks for it."""
    path = os.environ.get("MMST_FAILURE")
    if path and not Path(path).exists():
        private.write(Path(path), json.dumps(error.to_data()))
