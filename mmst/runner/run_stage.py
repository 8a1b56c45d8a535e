"""Run one stage by name on manifest references: all that a component, or a command, does.

A failure is also written to `$MMST_FAILURE` when that is set, since an orchestrator passes on
only that a task failed, not why. `$MMST_SECRETS` names a folder of mounted Secrets: their keys
become environment variables, as `envFrom` would have it, which Kubeflow Pipelines has not.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmst import stages
from mmst.core import config as configuration
from mmst.core import foreign, metrics, private, teachers
from mmst.core.errors import MmstError
from mmst.core.manifest import Manifest, Place
from mmst.core.process import end_with_owner, stop_on_signals
from mmst.core.stage import OF
from mmst.core.stored import load
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
    beside: Mapping[str, str] | None = None,
) -> Manifest:
    """Run a stage in this process, which belongs to the stage alone.

    `config` is JSON text; `refs` maps the stage's inputs to references (`stages/sample/3fa9…`), `beside` those
    further ones that its declaration speaks of. Round, arm and step say where in the run it stands. A text with what
    several writers made holds a reference of each, those of teachers as NAME=REFERENCE.
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
        with foreign.named(), metrics.handed_over(name, stage, place.key):
            if stage == "prepare":
                summary.record_config(open_store(parsed.out), parsed)
                events.started(name)
                connect(parsed).rehearse()
            made = run(stage, parsed, round=round, arm=arm, step=step, refs=refs or {}, beside=beside or {})
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
    beside: Mapping[str, str],
) -> Manifest:
    """`launch` without its hold on the process."""
    place = Place(run=configuration.run_id(config), round=round, arm=arm, step=step or stage)
    seen = teachers.seen_at(config, arm, round)
    engines = connect(seen)
    given = {name: ref for input, text in refs.items() for name, ref in _written(input, text)}
    inputs, further = ({name: load(engines.store, ref) for name, ref in found.items()} for found in (given, beside))
    with teachers.about(seen):
        return stages.stage(stage).run(engines, place, inputs, further)


def _written(input: str, text: str) -> Iterator[tuple[str, str]]:
    """The inputs that a text of references names: `checked`, and `checked.big` of a teacher."""
    for item in text.split():
        writer, equals, ref = item.rpartition("=")
        yield (f"{input}{OF}{writer}" if equals else input), ref


def clean_up(config: str) -> None:
    """Delete what the stages of this run left in the cluster; nothing where its engines are not in one."""
    parsed = configuration.from_text(config)
    served = teachers.served_in_cluster(parsed)
    if parsed.check.sandbox == "gvisor_job" or parsed.train.launcher != "local" or served:
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
