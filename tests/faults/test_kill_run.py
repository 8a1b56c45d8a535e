"""Kill -9 in the middle of a run, then the same run again: what comes out is the same."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmst.core.config import Config, run_id, to_text
from mmst.core.stored import load, pointers
from mmst.pipelines import local
from mmst.storage.folder import FolderStore
from tests.support.small_run import small_config

pytestmark = [pytest.mark.gvisor, pytest.mark.slow, pytest.mark.timeout(900)]

RUN = """
import contextlib, sys
from pathlib import Path
from mmst.core.config import from_text
from mmst.pipelines import local
local.run(from_text(sys.stdin.read()), Path(sys.argv[1]), lambda events: contextlib.nullcontext())
"""


@contextlib.contextmanager
def unseen(events: Path) -> Iterator[None]:
    yield


def digests(config: Config) -> dict[str, str]:
    store = FolderStore(Path(config.out))
    places = pointers(store, run_id(config))
    return {f"{p.round}.{p.arm}.{p.step}": load(store, ref).digest for p, ref, _ in places if p.step != "report"}


def start(config: Config, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", RUN, str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert child.stdin is not None
    child.stdin.write(to_text(config).encode())
    child.stdin.close()
    return child


def wait_until(there: Callable[[], bool], child: subprocess.Popen[bytes], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert child.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the stage to be killed never came"
        time.sleep(0.02)


def working(out: Path) -> list[int]:
    """Processes that still work on this run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(out).encode() in text and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
    return found


def under_way(events: Path, step: str, round: int = 1) -> bool:
    """Whether the round's own `step` (of the arm mmst) has started and got somewhere."""
    if not events.exists():
        return False
    lines = [json.loads(line) for line in events.read_text().splitlines() if line.endswith("}")]
    ids = {e["id"] for e in lines if e["event"] == "start" and e["place"] == f"{round:02d}.mmst.{step}"}
    return any(e["event"] == "advance" and e["id"] in ids for e in lines)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    config = small_config(folder / "out")
    local.run(config, folder / "log", unseen)
    return digests(config)


@pytest.mark.parametrize("step", ["sample", "verify", "train"])
def test_a_killed_run_that_is_started_again_makes_the_same(
    step: str, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    config = small_config(tmp_path / "out")
    child = start(config, tmp_path / "log")
    wait_until(lambda: under_way(tmp_path / "log" / "events.jsonl", step), child)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 10
    while working(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert working(tmp_path) == [], "a killed run leaves nothing working"
    incomplete = digests_so_far(config)
    assert len(incomplete) < len(undisturbed)
    local.run(config, tmp_path / "log2", unseen)
    assert digests(config) == undisturbed


@pytest.mark.timeout(1800)
def test_two_lora_rounds_on_an_own_model_killed_in_the_second_make_the_same(tmp_path: Path, repo_root: Path) -> None:
    own = shutil.copytree(str(repo_root / "mmst" / "models" / "tiny"), str(tmp_path / "own" / "model"))

    def config(name: str) -> Config:
        return small_config(
            tmp_path / name / "out",
            model={"base": own},
            prompt={"style": "few-shot", "shots": 1},
            train={"steps": 6, "batch_tokens": 256, "checkpoint_every": 2, "lora_rank": 4, "lora_alpha": 8.0},
            loop={"rounds": 2, "min_new": 1, "plateau": "continue"},
        )

    local.run(config("whole"), tmp_path / "whole" / "log", unseen)
    log = tmp_path / "killed" / "log"
    child = start(config("killed"), log)
    wait_until(lambda: under_way(log / "events.jsonl", "train", 2), child, 900)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    local.run(config("killed"), tmp_path / "killed" / "again", unseen)
    made = digests(config("killed"))
    assert made == digests(config("whole"))
    assert {"1.mmst.train", "2.mmst.train", "2.mmst.promote"} <= made.keys()
    assert made["1.mmst.train"] != made["2.mmst.train"]


def digests_so_far(config: Config) -> list[Path]:
    return list((Path(config.out) / "stages").glob("*/*/manifest.json"))
