"""A real MLflow server process for tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.s3_server import free_port


@contextlib.contextmanager
def mlflow_server(
    folder: Path, *artifacts: str, port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The address of a server whose records are in `folder`; `artifacts` are its flags for them, else in `folder`."""
    port = port or free_port()
    command = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    stores += artifacts or ("--artifacts-destination", str(folder / "files"))
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    uri, around = f"http://127.0.0.1:{port}", {**os.environ, **quiet, **(environment or {})}
    with answering([sys.executable, "-m", "mlflow", *command, *stores], folder, around, f"{uri}/health", 180):
        yield uri


@contextlib.contextmanager
def answering(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], address: str, seconds: float
) -> Iterator[None]:
    """A process in `folder`, with its log there, from when something answers at `address`, for so long waited for."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(round(seconds / 0.2)):
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError):
                urllib.request.urlopen(address, timeout=1).close()
                break
            time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
