"""`mmst view` as a command: the address that it prints, where it listens, how it ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.report_run import engines, make_run
from tests.view.conftest import Run


@contextmanager
def viewing(*arguments: str, cache: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    command = [sys.executable, "-m", "mmst.cli.app", "view", *arguments]
    environment = {"XDG_CACHE_HOME": str(cache), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        try:
            assert found, line
            yield process, found[0]
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_at_the_address_that_it_prints_until_it_is_ended(
    run: Run, tmp_path: Path, end: signal.Signals
) -> None:
    with viewing("--out", str(run.folder), "--port", str(free_port()), cache=tmp_path) as (process, address):
        assert status(f"{address}runs/{run.name}/samples") == 200
        process.send_signal(end)
        assert process.wait(20) in (0, 130)
    assert next(tmp_path.glob("mmst/view")).stat().st_mode & 0o077 == 0


def test_another_loopback_address_is_answered_by_its_own_name(run: Run, tmp_path: Path) -> None:
    port = str(free_port())
    with viewing("--out", str(run.folder), "--port", port, "--host", "127.0.0.2", cache=tmp_path) as (_, address):
        assert status(address) == 200


def test_it_ends_soon_though_somebody_downloads_slowly(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    name = make_run(engines(folder), problems=3000, heldout=4, rounds=1)
    with viewing("--out", str(folder), "--port", str(free_port()), cache=tmp_path) as (process, address):
        while status(f"{address}runs/{name}/samples") == 503:
            time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", int(address.split(":")[2].strip("/")))) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET /runs/{name}/samples.jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 130


def test_other_machines_need_the_ticket_that_it_prints(run: Run, tmp_path: Path) -> None:
    port = free_port()
    with viewing("--out", str(run.folder), "--port", str(port), "--host", "0.0.0.0", cache=tmp_path) as (_, address):
        assert status(f"http://127.0.0.1:{port}/") == 403
        assert re.fullmatch(rf"http://{socket.gethostname()}:{port}/\?ticket=\S{{32}}", address)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address.replace(socket.gethostname(), "127.0.0.1"), timeout=30) as answer:
            assert run.name in answer.read().decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "{taken}"], "cannot listen there"),
        (["--host", "203.0.113.1"], "cannot listen there"),
        (["--host", "no.such.host.invalid"], "cannot listen there"),
        (["--host", ""], "--host must be an address"),
        (["--out", "nowhere"], "there is no such store"),
    ],
)
def test_what_cannot_be_shown_ends_with_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = [a.format(taken=taken.getsockname()[1]) for a in arguments]
        done = subprocess.run(
            [sys.executable, "-m", "mmst.cli.app", "view", *given], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
