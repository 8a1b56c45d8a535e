"""Fine-tuning on this machine: runs `mmst.training.worker` as child processes.

One rank without ZeRO is started directly: torchrun would import torch once more, 3 to 6 seconds, only to
start one process. Others run under torchrun, which picks a free port for them.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmst.core import private
from mmst.core.ports import TrainSpec
from mmst.core.process import die_with_parent, owned
from mmst.core.records import to_json
from mmst.core.redaction import redacted
from mmst.core.visible import clean
from mmst.training.checkpoints import finished
from mmst.training.providers.worker_log import TAIL, event, failure

GRACE = 10.0


class Torchrun:
    """Fulfils `ports.Trainer` with `ranks` processes on this machine."""

    def __init__(self, ranks: int = 1) -> None:
        self.ranks = ranks

    def train(
        self, spec: TrainSpec, on_step: Callable[[int, float], None] = lambda step, loss: None
    ) -> Mapping[str, float]:
        """See `ports.Trainer.train`; the worker's log is `train.log` in the scratch folder."""
        scratch = Path(spec.scratch)
        private.folder(scratch)
        if not finished(scratch, Path(spec.out)):
            private.write(scratch / "spec.json", to_json(spec))
            self._launch(spec, scratch, on_step)
        figures: dict[str, float] = json.loads((scratch / "figures.json").read_text())
        return figures

    def _launch(self, spec: TrainSpec, scratch: Path, on_step: Callable[[int, float], None]) -> None:
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, len(os.sched_getaffinity(0)) // self.ranks))
        environment = {
            **os.environ,
            **owned(),
            "OMP_NUM_THREADS": threads,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        tail: deque[str] = deque(maxlen=TAIL)
        failures: list[dict[str, Any]] = []
        with (
            open(scratch / "train.log", "a", encoding="utf-8", opener=private.opener) as log,
            group(
                command(scratch / "spec.json", self.ranks, zero=bool(spec.settings.get("zero"))), environment
            ) as worker,
        ):
            assert worker.stdout is not None
            for line in worker.stdout:
                said = event(line)
                if said is None:
                    log.write(clean(redacted(line)))
                    tail.append(line.rstrip())
                elif "failed" in said:
                    failures.append(said)
                    log.write(clean(redacted(said["trace"])))
                else:
                    on_step(said["step"], said["loss"])
            code = worker.wait()
        if code:
            died = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise failure(died, failures, tail, str(scratch / "train.log"))


def command(spec: Path, ranks: int, *, zero: bool = False) -> list[str]:
    """The command that starts the worker; under ZeRO a single rank too is one of a group."""
    grouped = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return [sys.executable, *(grouped if ranks > 1 or zero else ()), "-m", "mmst.training.worker", str(spec)]


@contextmanager
def group(arguments: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child in its own process group, which ends with the block."""
    worker = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        preexec_fn=functools.partial(die_with_parent, os.getpid()),
    )
    try:
        yield worker
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(worker.pid, number)
                worker.wait(GRACE)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        worker.wait()
