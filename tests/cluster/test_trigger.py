"""`mmst trigger` as Git calls it: real processes against a real API server. Kubeflow stands in at its wire."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP
from tests.cluster.release import release
from tests.support.kfp_server import KfpServer, kfp_server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as held:
        yield held


@pytest.fixture
def here() -> Iterator[Cluster]:
    with release() as cluster:
        yield cluster


def start(here: Cluster, server: KfpServer, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "mmst.cli.app",
        "trigger",
        "--recipe",
        "demo",
        "--cluster",
        here.namespace,
        "--json",
    ]
    environment = os.environ | {"KFP_ENDPOINT": server.url}
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *more], stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def records(here: Cluster) -> list[dict[str, str]]:
    return [o["data"] for o in here.list(CONFIG_MAP) if o["metadata"]["name"].startswith("retrain-")]


def test_eight_processes_at_once_make_one_run(here: Cluster, server: KfpServer) -> None:
    racing = [start(here, server) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(finish, racing))
    (run,) = server.runs
    assert all(run["run_id"] in out for out in said)
    assert sum('"made": true' in out for out in said) == 1
    assert [r["run"] for r in records(here)] == [run["run_id"]]
    assert len(server.versions) == 1


def test_the_same_content_is_found_and_another_is_another_run(here: Cluster, server: KfpServer, tmp_path: Path) -> None:
    finish(start(here, server))
    assert '"made": false' in finish(start(here, server, "--out", "s3://another/bucket"))
    assert '"made": true' in finish(start(here, server, "--set", "sampling.seed=2"))
    assert len(server.runs) == len(records(here)) == 2


def test_a_process_killed_after_its_run_was_made_is_repaired_by_the_next(here: Cluster, server: KfpServer) -> None:
    server.plan.append(("POST .*/runs$", "lose"))  # made, but the answer never arrives
    first = start(here, server)
    _, err = first.communicate(timeout=300)
    assert first.returncode == 4, err
    assert [r["run"] for r in records(here)] == [""]
    assert '"made": false' in finish(start(here, server))  # after the dead one's lease
    (run,) = server.runs
    assert [r["run"] for r in records(here)] == [run["run_id"]]
