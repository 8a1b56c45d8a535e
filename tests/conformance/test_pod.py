"""A check pod's shard, in gVisor on this machine: evaluated first, then run, answered by lines.

`tests/cluster/node/test_checks.py` does the same through Kubernetes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench import programs
from mmst.core.ports import Evaluation, Execution, Limits, Program
from mmst.sandbox import replies
from mmst.sandbox.providers import gvisor_root
from mmst.sandbox.providers.gvisor import GvisorSandbox
from mmst.sandbox.providers.kubernetes_job_objects import packed
from mmst.sandbox.work import Waiting, Work

pytestmark = pytest.mark.gvisor
LIMITS = Limits(timeout=1.0)


def pod(works: Sequence[Work], folder: Path) -> list[Execution]:
    """What a pod answers to a shard, in the order of its log."""
    root = gvisor_root.bundle()
    config = json.loads((root / "config.json").read_text())
    config["root"]["path"] = str(root / "rootfs")
    config["process"]["args"] = ["/usr/bin/python3", "-s", "-P", "/opt/mmst/sandbox/guest/pod.py"]
    config["process"]["env"].append("JOB_COMPLETION_INDEX=0")
    config["mounts"].append({"destination": "/in", "type": "bind", "source": str(folder / "in"), "options": ["ro"]})
    (folder / "in").mkdir()
    (folder / "in/0").write_bytes(packed(works))
    (folder / "config.json").write_text(json.dumps(config))
    command = ["runsc", f"--root={folder}/state", "--network=none", "--ignore-cgroups", "run", f"--bundle={folder}"]
    done = subprocess.run([*command, f"pod-{os.getpid()}"], capture_output=True, check=True, timeout=120)
    by_id, found = {work.id: work for work in works}, []
    for line in done.stdout.splitlines():
        said = replies.reply(line, output=64 << 10)
        found.append(by_id[said.id].execution(said))
    return [e for e in found if e]


def test_a_pods_shard_ends_as_in_a_sandbox_here(tmp_path: Path) -> None:
    sources = [*(c.source for c in programs.good(30, seed=2)), "1 / 0", "while True: pass", "print(", "import os"]
    asked = [Program(id=str(i), source=source) for i, source in enumerate(sources)]
    found = pod(list(Waiting(asked, LIMITS, recheck=0.2)), tmp_path)
    assert [e.id for e in found] == [p.id for p in asked]
    with GvisorSandbox(2) as box:
        here = {e.id: e for e in box.run(asked, LIMITS)}
    for e in found:
        assert (e.exit_status, e.stdout) == (here[e.id].exit_status, here[e.id].stdout)
    how = {e.evaluation for e in found}
    assert how == {Evaluation.NONE, Evaluation.FINISHED, Evaluation.CONFIRMED}


def test_a_pods_suspects_are_not_evaluated(tmp_path: Path) -> None:
    [e] = pod(
        [replace(work, evaluate=False) for work in Waiting([Program(id="a", source="print(1)")], LIMITS)], tmp_path
    )
    assert (e.stdout, e.evaluation) == ("1\n", Evaluation.NONE)


def test_a_pod_that_is_slowed_down_gives_a_program_its_time(tmp_path: Path) -> None:
    """Spinners slow the pod to a part of its pace, as a CPU limit does."""
    turns = 4_000_000
    began = time.process_time()
    exec(f"def f():\n for i in range({turns}): pass\nf()", {})
    seconds = max(0.2, 2.5 * (time.process_time() - began))
    slow = f"import os\ndef f():\n for i in range({turns}): pass\nf()\nprint(1)"
    works = Waiting([Program(id="a", source=slow), Program(id="b", source="while True: pass")], Limits(timeout=seconds))
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        found = pod(list(works), tmp_path)
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    assert [e.exit_status for e in found] == ["ok", "timed_out"]
