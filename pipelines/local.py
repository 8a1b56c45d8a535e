"""Run the graph on this machine through `kfp.local`: the same components, each its own process.

kfp.local patches `print` and logs freely, so it gets a process and a log file of its own; what
people see comes from the stages' progress events.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from mmst.core import config as configuration
from mmst.core import private
from mmst.core.errors import MmstError, PlatformError, Stopped
from mmst.core.process import adopt, descendants, end_descendants, end_with_owner, owned
from mmst.kubernetes.kinds import EXECUTION
from mmst.observe.under_way import EVENTS

FAILURE = "failure-"
GRACE = 20.0
"""Seconds that a stage has to close what is open after Ctrl-C."""


def run(config: configuration.Config, folder: Path, show: Callable[[Path], AbstractContextManager[object]]) -> None:
    """Run the whole graph; logs, events and kfp's own files go to `folder`.

    `show(events)` displays progress while the graph runs. A failing stage's own error is raised
    here, with its kind, message and exit code. One run at a time has a folder (`locks.RUN`).
    """
    private.folder(folder / "kfp")
    for left in folder.glob(f"{FAILURE}*"):  # by runs that were killed
        shutil.rmtree(left, ignore_errors=True)
    events, log = folder / EVENTS, folder / "run.log"
    failure = Path(tempfile.mkdtemp(dir=folder, prefix=FAILURE)) / "failure.json"
    private.write(events, "")
    environment = os.environ | owned()
    environment |= {"MMST_EVENTS": str(events), "MMST_FAILURE": str(failure), "PYTHONUNBUFFERED": "1"}
    environment |= {EXECUTION: uuid.uuid4().hex}
    with show(events), open(log, "ab", opener=private.opener) as output:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder / "kfp")],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            child.communicate(configuration.to_text(config).encode())
        except (KeyboardInterrupt, Stopped):
            end(child)
            raise Stopped("stopped; the same command continues where this run was") from None
        except BaseException:
            end(child)
            raise
        if child.returncode:
            end(child)  # it may have been killed
    reason = json.loads(failure.read_text(encoding="utf-8")) if failure.exists() else None
    failure.unlink(missing_ok=True)
    failure.parent.rmdir()
    if reason is not None:
        error = MmstError.from_data(reason)
        error.log = str(log)
        raise error
    if child.returncode != 0:
        raise PlatformError(f"the run ended with exit code {child.returncode} without a named reason; see {log}")


def end(child: subprocess.Popen[bytes]) -> None:
    """Let the stages close what is open, then make sure that nothing is left."""
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def main() -> None:
    """The process of its own: reads the config from standard input."""
    end_with_owner()
    adopt()
    signal.signal(signal.SIGTERM, leave)
    os.environ.update(owned())
    try:
        run_graph()
    finally:
        end_descendants()


def leave(number: int, frame: FrameType | None) -> None:
    """End when the stages, which get the same signal and need their owner, have closed what is open."""
    while descendants(os.getpid()):
        time.sleep(0.05)
    os._exit(128 + number)


def run_graph() -> None:
    """Run the graph whose config stands on standard input."""
    from kfp import local

    from mmst.pipelines.graph import build

    config = configuration.from_text(sys.stdin.read())
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=True)
    build(placed(config))(config=configuration.to_text(config))


def placed(config: configuration.Config) -> configuration.Config:
    """The recipe for the graph here: what pods would get of `cluster.env` gives way to what is set on this machine."""
    env = tuple(item for item in config.cluster.env if item.partition("=")[0] not in os.environ)
    return replace(config, cluster=replace(config.cluster, env=env))


if __name__ == "__main__":
    main()
