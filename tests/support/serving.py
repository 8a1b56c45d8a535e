"""A model server process for tests."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from mmst.core.ports import Completion, Request
from mmst.inference.providers.transformers import LocalModel

NAME = "tiny"
PYTHON = (sys.executable, "-c")
MMST_SERVE = f"{Path(sys.executable).parent / 'mmst'} serve {{model}} --port {{port}} --dtype {{dtype}}"
"""For `sampling.server`."""


@dataclasses.dataclass
class Served:
    """A running server, its address, and the same model in this process."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def in_process(self, requests: Sequence[Request]) -> list[list[Completion]]:
        with LocalModel(self.folder, dtype="float32", batch=64, trust_remote_code=False) as model:
            return model.sample(requests)


@contextlib.contextmanager
def serving(folder: Path, settings: Mapping[str, float] | None = None, log: Path | None = None) -> Iterator[Served]:
    """`mmst.inference.server.app.serve` on a free port of this machine, ready; ended afterwards.

    `settings` are constants of its modules, as {"app.DRAIN": 3}.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    lines = ["import mmst.inference.server.app, mmst.inference.server.connection"]
    lines += [f"mmst.inference.server.{name} = {value}" for name, value in (settings or {}).items()]
    lines += [f"mmst.inference.server.app.serve({str(folder)!r}, name={NAME!r}, port={port}, host='127.0.0.1')"]
    code = "\n".join(lines)
    log = log or folder.parent / f"serve-{port}.log"
    with log.open("wb") as out:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen([*PYTHON, code], stdout=out, stderr=subprocess.STDOUT, env=environment)
    try:
        root = f"http://127.0.0.1:{port}"
        wait_ready(process, f"{root}/v2/health/ready", log)
        yield Served(process, f"{root}/openai/v1", folder)
    finally:
        process.kill()
        process.wait()


def wait_ready(process: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 280.0) -> None:
    """Until the server says that it is ready; fails with its log when it ends before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.3)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


def request_of(i: int) -> Request:
    """The i-th of many different requests."""
    return Request(
        id=f"r{i}",
        prompt="Question: how many apples " + "ab " * (i % 7) + "\nText:\n",
        n=1 + i % 3,
        seed=i,
        temperature=(0.8, 0.0, 1.5)[i % 3],
        top_p=(1.0, 0.9)[i % 2],
        max_tokens=12,
        stop=("\n\n", "\nQuestion:"),
        problem_id=f"p-{i}",
        method="text",
    )
