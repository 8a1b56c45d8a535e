"""A run in which a teacher writes, killed while it does: what is made in the end is what an undisturbed run makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mmst.core.config import Config, parse, run_id, to_text
from mmst.core.records import CheckedSample, Example, Sample
from mmst.core.stored import load, pointers, records
from mmst.storage.folder import FolderStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = """
import sys
from mmst.core import config, process
from mmst.runner import run_stage
process.end_with_owner()
c = config.from_text(sys.argv[1])
def step(stage, arm="teacher:big", round=1, name="", **given):
    return run_stage.run(stage, c, round=round, arm=arm, step=name, refs=given, beside={}).ref
p = step("prepare", arm="base", round=0)
m, student = step("base_model"), step("base_model", arm="base", round=0)
checked = step("verify", problems=p, samples=step("sample", problems=p, checkpoint=m))
rewritten = step("translate", problems=p, checked=checked, checkpoint=m)
again = step("verify", name="verify-translations", problems=p, samples=rewritten)
given = {"checked": "big=" + checked, "translated": "big=" + again}
step("build_trainset", arm="mmst", problems=p, checkpoint=student, **given)
"""
"""The part of the graph in which a teacher writes."""


def recipe(out: Path) -> Config:
    source = {"format": "generated", "seed": 5, "count": 60}
    return parse(
        {
            "out": str(out),
            "problems": {
                "train": [source | {"split": "train", "limit": 8}],
                "test": [source | {"split": "test", "limit": 2}],
            },
            "sampling": {"k": 2, "shard": 2, "max_tokens": 40},
            "check": {"sandbox": "subprocess"},
            "teachers": {"big": {"base": "mmst:tiny"}},
        }
    )


def start(config: Config) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", STAGES, to_text(config)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)


def kill_while_it_writes(config: Config, stage: str) -> None:
    """Kill -9 as soon as a shard of this stage is there."""
    child = start(config)
    folder = Path(config.out) / "stages" / stage
    while child.poll() is None and not list(folder.glob("*/*.entry")):
        time.sleep(0.01)
    assert child.poll() is None, "it was to be killed under way"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not list(folder.glob("*/manifest.json"))


def digests(config: Config) -> dict[str, str]:
    store = FolderStore(Path(config.out))
    return {place.key: load(store, ref).digest for place, ref, _ in pointers(store, run_id(config))}


def test_a_teacher_that_is_killed_while_it_writes_ends_with_the_same(tmp_path: Path) -> None:
    killed, undisturbed = recipe(tmp_path / "killed"), recipe(tmp_path / "undisturbed")
    for stage in ("sample", "translate"):
        kill_while_it_writes(killed, stage)
    for config in (killed, undisturbed):
        assert start(config).wait() == 0
    assert digests(killed) == digests(undisturbed)
    _every_example_comes_from_the_teacher(undisturbed)


def _every_example_comes_from_the_teacher(config: Config) -> None:
    store = FolderStore(Path(config.out))
    made = {place.key: load(store, ref) for place, ref, _ in pointers(store, run_id(config))}
    teacher = made["01.teacher:big.base_model"].digest
    checks = (made[f"01.teacher:big.{step}"] for step in ("verify", "verify-translations"))
    samples: dict[str, Sample] = {c.sample.id: c.sample for m in checks for c in records(store, m, CheckedSample)}
    examples = list(records(store, made["01.mmst.build_trainset"], Example, "new-"))
    assert {e.origin for e in examples} == {"own", "translation"}
    assert {samples[id].model for e in examples for id in e.lineage} == {teacher}
