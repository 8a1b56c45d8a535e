"""A model server that is started here for one checkpoint, asked, and ended: vLLM, or a command of the user's.

It answers the OpenAI completions protocol under `/v1` or `/openai/v1` of a free port of this machine. When it ends,
all that it started ends too, and the memory of its GPUs is free again. If this process is killed, it ends as well.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from mmst.core.errors import SamplerError, SetupError
from mmst.core.process import die_with_parent

VLLM = "vllm serve {model} --host 127.0.0.1 --port {port} --dtype {dtype} --generation-config vllm"
"""With vLLM's own generation config, so that a model's repetition penalty or top-k never enters an evaluation."""
START = 1800.0
"""Seconds that a server may take to load a model."""
PATHS = ("/v1", "/openai/v1")
PAUSE, DRAIN = 0.2, 20.0
OK, FAILS = 200, 500
_MOST = 1 << 20
_REMEDY = "install it, or set sampling.server to the command that starts your server"


def command(template: str, *, model: Path | str, port: int | str, dtype: str) -> list[str]:
    """The words of a command; `vllm` stands for vLLM's.

    >>> command("mmst serve {model} --port {port}", model="/m o", port=1, dtype="float32")
    ['mmst', 'serve', '/m o', '--port', '1']
    """
    values = {"{model}": str(model), "{port}": str(port), "{dtype}": dtype}
    words = shlex.split(VLLM if template == "vllm" else template)
    for name, value in values.items():
        words = [word.replace(name, value) for word in words]
    return words


def look(template: str) -> None:
    """`SetupError` if the program of a command is not installed here."""
    program = shlex.split(template)[0]
    if shutil.which(program) is None:
        raise SetupError("the model server's program is not installed", value=program, remedy=_REMEDY)


@contextlib.contextmanager
def started(template: str, model: Path, dtype: str) -> Iterator[str]:
    """The base address of a server of this model folder, which answers; it is ended afterwards.

    `SetupError` if there is no such program, `SamplerError` with its last words if it ends or never answers.
    """
    port = _free_port()
    words = command(template, model=model, port=port, dtype=dtype)
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(die_with_parent, os.getpid()),
            )
        except OSError as e:
            raise SetupError("the model server cannot be started", value=words[0], why=str(e), remedy=_REMEDY) from e
        try:
            yield _ready(process, port, words, log)
        finally:
            _end(process)


def _ready(process: subprocess.Popen[bytes], port: int, words: Sequence[str], log: IO[bytes]) -> str:
    """Its address, once it lists its models, or says that it is healthy where it has a list that it cannot fill."""
    until, address = time.monotonic() + START, f"http://127.0.0.1:{port}"
    while process.poll() is None:
        lists = {path: _asked(f"{address}{path}/models") for path in PATHS}
        for path, (_, said) in lists.items():
            if isinstance(said, dict) and said.get("data"):  # KServe's own protocol answers at /v1 too
                return address + path
        for path, (status, said) in lists.items():
            unfilled = status == FAILS or (isinstance(said, dict) and said.get("data") == [])
            if unfilled and _asked(f"{address}/health")[0] == OK:
                return address + path
        if time.monotonic() > until:
            raise SamplerError(
                f"the model server does not answer within {START:g} s ({shlex.join(words)})",
                why=_last_words(log),
                remedy=f"it must serve {' or '.join(f'{path}/models' for path in PATHS)} at the port that it is given",
            )
        time.sleep(PAUSE)
    raise SamplerError(
        f"the model server ended with status {process.returncode} before it answered ({shlex.join(words)})",
        why=_last_words(log),
        remedy="run that command by itself to see why",
    )


def _asked(url: str) -> tuple[int, object]:
    """The status of an answer, 0 if there is none, and the JSON in it, if there is any."""
    try:
        with _direct.open(url, timeout=5.0) as answer:
            return answer.status, json.loads(answer.read(_MOST))
    except urllib.error.HTTPError as e:
        return e.code, None
    except ValueError:
        return OK, None
    except (OSError, http.client.HTTPException):
        return 0, None


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Our own machine is never asked through a proxy."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then kill its whole session, so that nothing holds a GPU any more."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DRAIN)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(log: IO[bytes]) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 2000))
    lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:]) or "it said nothing"


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
