"""A hundredth of the largest work: what a process holds does not grow with it (docs/scale.md).

The check run of a hundredth is `tests/cluster/node/test_checks.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.s3_server import CREDENTIALS, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PROCESS = [sys.executable, "-m", "tests.support.scale_process"]


def peak_mib(*arguments: str, **environment: str) -> int:
    done = subprocess.run(
        [*PROCESS, *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def completions() -> Iterator[str]:
    with subprocess.Popen([*PROCESS, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        server.kill()


def test_100_000_requests_take_no_more_memory_than_1_000(completions: str, tmp_path: Path) -> None:
    few = peak_mib("sample", str(tmp_path / "few"), completions, "1000")
    many = peak_mib("sample", str(tmp_path / "many"), completions, "100000")
    print(f"sampling: {few} MiB for 1,000 requests, {many} MiB for 100,000")
    assert many < few + 64


@pytest.mark.timeout(1200)  # moto takes minutes for 3.5 GB, more beside another test
def test_a_checkpoint_of_3_5_gb_goes_to_a_bucket_and_back_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with file.open("wb") as f:
        for _ in range(3520 // 16):
            f.write(os.urandom(1 << 20) + bytes(15 << 20))
    with s3_server() as s3:
        environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": s3}
        subprocess.run(
            [sys.executable, "-c", "import boto3; boto3.client('s3').create_bucket(Bucket='mmst')"],
            env=os.environ | environment,
            check=True,
        )
        peak = peak_mib("checkpoint", "s3://mmst/runs", str(file), **environment)
    print(f"a file of {file.stat().st_size / 1e9:.2f} GB to S3 and back: {peak} MiB")
    assert peak < 400
