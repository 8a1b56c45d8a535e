"""Kill -9 in the middle of an experiment, then the same command again: the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmst.core.records import to_data
from tests.faults.test_kill_run import under_way, wait_until, working
from tests.support.small_run import small_config

pytestmark = [pytest.mark.gvisor, pytest.mark.slow, pytest.mark.timeout(900)]

EXPERIMENT = {
    "seeds": 1,
    "vary": {"sampling.seed": 5},
    "arms": {
        "base": {},
        "control": {"arm": "annotated-only"},
        "mmst": {"arm": "mmst"},
        "mmst-2": {"arm": "mmst", "rounds": 2},
    },
    "claims": [{"says": "it gains", "of": "mmst", "over": "control"}],
}


def command(folder: Path) -> list[str]:
    recipe = folder / "small-recipe.yaml"
    recipe.write_text(yaml.safe_dump({**to_data(small_config(folder)), "loop": {"rounds": 1}}))
    (folder / "small.yaml").write_text(yaml.safe_dump({**EXPERIMENT, "recipe": str(recipe)}))
    main = "import sys; from mmst.cli.app import main; sys.exit(main())"
    return [sys.executable, "-c", main, "experiment", str(folder / "small.yaml"), "-o", str(folder / "out"), "--json"]


def results(folder: Path) -> dict[str, Any]:
    done = subprocess.run(command(folder), check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    del found["seconds"], found["definition"]
    return dict(found)


def test_a_killed_experiment_that_is_started_again_gives_the_same_table(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for folder in (killed, undisturbed):
        folder.mkdir()
    child = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    logs = killed / "out" / "logs"
    wait_until(lambda: any(under_way(events, "train") for events in logs.glob("*/events.jsonl")), child)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (killed / "out" / "experiments").exists()
    wait_until_gone(killed)
    continued = results(killed)
    assert continued["seeds"] == [1]
    expected = results(undisturbed)
    assert {k: v for k, v in continued.items() if k != "experiment"} == {
        k: v for k, v in expected.items() if k != "experiment"
    }


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while working(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert working(folder) == [], "a killed experiment leaves nothing working"
