"""A small run as a process that is killed at random moments, and what must not be left of it."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mmst.core.config import Config, run_id
from mmst.core.process import descendants, started
from mmst.core.records import to_data
from mmst.core.stored import load, pointers
from mmst.storage.folder import FolderStore
from tests.support.small_run import small_config

MARK = "MMST_TEST_RUN"
COMMAND = "import sys; from mmst.cli.app import main; sys.exit(main())"
STAGES = """
import json, sys
from mmst.core import config, process
from mmst.runner import run_stage
process.end_with_owner()
c = config.from_text(sys.argv[1])
def step(stage, arm="mmst", round=1, name="", **given):
    return run_stage.run(stage, c, round=round, arm=arm, step=name, refs=given, beside={}).ref
def measure(p, m, **at):
    drawn = step("sample", **at, name="sample-heldout", problems=p, checkpoint=m)
    seen = step("verify", **at, name="verify-heldout", problems=p, samples=drawn)
    return step("evaluate", **at, problems=p, checked=seen, checkpoint=m)
first = {"arm": "base", "round": 0}
p, m = step("prepare", **first), step("base_model", **first)
step("promote", **first, evaluation=measure(p, m, **first), checkpoint=m)
drawn = step("sample", problems=p, checkpoint=m)
seen = step("verify", problems=p, samples=drawn)
rewritten = step("translate", problems=p, checked=seen, checkpoint=m)
again = step("verify", name="verify-translations", problems=p, samples=rewritten)
chosen = step("build_trainset", problems=p, checked=seen, translated=again, checkpoint=m)
trained = step("train", trainset=chosen, checkpoint=m)
step("promote", evaluation=measure(p, trained), checkpoint=trained)
step("report", arm="base", round=0)
"""
"""The graph's order without Kubeflow's own processes, which take most of the time of a small run."""


@dataclass
class Victim:
    """A run in a folder of its own, with these sections of the recipe besides its own."""

    folder: Path
    whole: bool
    also: dict[str, Any] = field(default_factory=dict)
    config: Config = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        generated = {"format": "generated", "seed": 5}
        self.config = small_config(
            self.folder / "out",
            problems={
                "train": [generated | {"count": 60, "split": "train", "limit": 16}],
                "test": [generated | {"count": 60, "split": "test", "limit": 4}],
                "related": [generated | {"count": 4, "task": "related"}],
                "annotated": [generated | {"count": 60, "seed": 6, "split": "train"}],
            },
            train={"steps": 6, "batch_tokens": 256, "checkpoint_every": 2},
            loop={"rounds": 1, "min_new": 1},
            **self.also,
        )
        self.recipe = self.folder / "small.yaml"
        self.recipe.write_text(yaml.safe_dump(to_data(self.config)))

    def start(self) -> subprocess.Popen[bytes]:
        """`mmst run`, or the stages alone."""
        arguments = (
            [COMMAND, "run", "-r", str(self.recipe)] if self.whole else [STAGES, json.dumps(to_data(self.config))]
        )
        log = (self.folder / "said").open("ab")
        environment = os.environ | {MARK: str(self.folder)}
        return subprocess.Popen([sys.executable, "-c", *arguments], env=environment, stdout=log, stderr=log)

    def finish(self) -> float:
        """Run it to its end; the seconds that took."""
        began = time.monotonic()
        with self.start() as child:
            try:
                code = child.wait()
            finally:
                child.kill()
        assert code == 0, (self.folder / "said").read_text()[-3000:]
        return time.monotonic() - began

    def kill(self, child: subprocess.Popen[bytes]) -> dict[int, str]:
        """Kill it, and it alone; what was below it, as id → when it was started."""
        below = {pid: started(pid) for pid in descendants(child.pid)}
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        return below

    def left(self, below: dict[int, str], seconds: float = 30.0) -> list[str]:
        """The processes of it that are there so many seconds after it was killed."""
        until = time.monotonic() + seconds
        while (found := self._there(below)) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def digests(self) -> dict[str, str]:
        """What every stage made."""
        store = FolderStore(Path(self.config.out))
        places = pointers(store, run_id(self.config))
        return {f"{p.round}.{p.arm}.{p.step}": load(store, ref).digest for p, ref, _ in places}

    def written(self) -> int:
        """How many files are in its store and its scratch."""
        return sum(len(files) for _, _, files in os.walk(self.config.out))

    def _there(self, below: dict[int, str]) -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            try:
                ours = f"{MARK}={self.folder}".encode() in (entry / "environ").read_bytes()
                if (ours or below.get(pid, "-") == started(pid)) and (entry / "stat").read_text().split(")")[-1][
                    1
                ] not in "ZX":
                    found.append(f"{pid} {(entry / 'cmdline').read_bytes()[:200]!r}")
            except (OSError, IndexError):
                continue
        return found


def wait_for_more(victim: Victim, child: subprocess.Popen[bytes], before: int, seconds: float = 300) -> bool:
    """Wait until the run has written more files than before; False when it ended first."""
    seen, until = 0, time.monotonic() + seconds
    while (now := victim.written()) <= before:
        if child.poll() is not None:
            return False
        if now > seen:
            seen, until = now, time.monotonic() + seconds
        assert time.monotonic() < until, "the run does nothing"
        time.sleep(0.02)
    return True


def wait_for_stage(child: subprocess.Popen[bytes], before: int, cpu: float, seconds: float = 500) -> None:
    """Wait until a run has started so many processes of stages, and one more that has had so much CPU time."""
    started_stages, until = set[int](), time.monotonic() + seconds
    while time.monotonic() < until:
        assert child.poll() is None, "the run ended before it could be killed"
        for pid in descendants(child.pid):
            with contextlib.suppress(OSError):
                if b"kfp.dsl.executor_main" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    started_stages.add(pid)
                    if len(started_stages) > before and _cpu(pid) >= cpu:
                        return
        if len(started_stages) > before + 1:
            return  # it had ended by then
        time.sleep(0.005)
    raise AssertionError("the stage to be killed never came")


def _cpu(pid: int) -> float:
    """Seconds of CPU time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def killed_often(victim: Victim, kills: int, seed: int, files: int) -> list[tuple[float, int]]:
    """Kill a run `kills` times at random moments, start it again each time; the seconds and files at each kill.

    One in three comes at any moment of its start, the others soon after it has written 1 to `files` new files: how
    far a run comes between two kills does not depend on the machine's load.
    """
    rng, moments = random.Random(seed), list[tuple[float, int]]()
    for number in range(kills):
        child, began, before = victim.start(), time.monotonic(), victim.written()
        more = rng.randrange(files)
        if number % 3 and not wait_for_more(victim, child, before + more):
            break
        time.sleep(rng.uniform(0, 0.5 if number % 3 else 4.0))
        if child.poll() is not None:
            break
        below = victim.kill(child)
        moments.append((round(time.monotonic() - began, 2), victim.written()))
        left = victim.left(below)
        assert left == [], f"left by kill {number + 1}, after {moments[-1][0]} s: {left}"
    return moments
