"""Training that is killed, stopped, or left alone by whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import DivergedError, TrainingError, UserError
from mmst.core.ports import TrainSpec
from mmst.core.records import to_json
from mmst.training.loop import train
from mmst.training.providers import torchrun
from mmst.training.providers.torchrun import Torchrun
from tests.support.processes import marked
from tests.support.training import digests, task

PARENT = """
import sys
from pathlib import Path
from mmst.training.providers.torchrun import Torchrun
from mmst.core.ports import TrainSpec
from mmst.core.records import from_json
Torchrun(1).train(from_json(TrainSpec, Path(sys.argv[1]).read_bytes()), lambda *step: print(*step, flush=True))
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def started(spec: TrainSpec, folder: Path) -> subprocess.Popen[str]:
    """Another process that trains by the provider and prints each step."""
    file = folder / "parent.json"
    file.write_text(to_json(spec))
    return subprocess.Popen([sys.executable, "-c", PARENT, str(file)], stdout=subprocess.PIPE, text=True)


def workers(spec: TrainSpec) -> list[int]:
    """The worker processes of a specification."""
    return marked(spec.scratch)


def gone(spec: TrainSpec, seconds: float = 20.0) -> bool:
    """Whether all its workers end within some seconds."""
    until = time.monotonic() + seconds
    while workers(spec) and time.monotonic() < until:
        time.sleep(0.1)
    return not workers(spec)


def test_training_killed_with_its_parent_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = (task(tmp_path, name, steps=10) for name in ("whole", "killed"))
    train(whole, 0, 1, lambda step, loss: None)
    parent = started(killed, tmp_path)
    assert parent.stdout is not None
    assert any(line.startswith("5 ") for line in parent.stdout)
    parent.kill()
    parent.wait()
    assert gone(killed), "the worker outlived whoever started it"
    steps: list[int] = []
    Torchrun(1).train(killed, lambda step, loss: steps.append(step))
    assert steps[0] >= 3, "it started over"
    assert digests(killed) == digests(whole)


def test_a_killed_worker_is_a_training_error(tmp_path: Path) -> None:
    spec = task(tmp_path, steps=1000)

    def kill(step: int, loss: float) -> None:
        if step == 2:
            os.kill(workers(spec)[0], signal.SIGKILL)

    with pytest.raises(TrainingError, match="SIGKILL"):
        Torchrun(1).train(spec, kill)


def test_stopping_ends_the_worker(tmp_path: Path) -> None:
    spec = task(tmp_path, steps=1000)

    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Torchrun(1).train(spec, stop)
    assert not workers(spec)


@pytest.mark.parametrize(
    ("kind", "error"), [("diverged", DivergedError), ("user", UserError), ("failed", TrainingError)]
)
def test_what_a_worker_says_of_its_failure_comes_through_by_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, error: Any
) -> None:
    event = f'{{"failed": 1, "kind": "{kind}", "message": "about this", "trace": "about this"}}'
    worker = f"print('MMST {event}'); raise SystemExit(4)"
    monkeypatch.setattr(torchrun, "command", lambda spec, ranks, zero: [sys.executable, "-c", worker])
    with pytest.raises(error, match="about this") as raised:
        Torchrun(1).train(task(tmp_path))
    assert type(raised.value) is error
