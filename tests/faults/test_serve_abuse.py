"""A real server under a hundred kinds of bad, heavy, endless and vanishing requests: it stays alive, and small."""

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("kserve")

from tests.support.serve_abuse import ABUSES, PATH, QUICK, Abuse, connected, head, push, spelled, status
from tests.support.serving import NAME, Served, serving

pytestmark = pytest.mark.server

ALIVE = 1.0
"""Seconds in which health is told."""
TRIES = 3
"""A busy machine makes anything late once; what the server itself holds up is late every time."""
HEAD_SECONDS, BODY_SECONDS = 2.0, 3.0


@pytest.fixture(scope="module")
def server(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"connection.HEAD_SECONDS": HEAD_SECONDS, "connection.BODY_SECONDS": BODY_SECONDS}
    log = tmp_path_factory.mktemp("serve") / "log"
    with serving(repo_root / "mmst/models/tiny", settings, log) as running:
        yield running


@pytest.fixture
def port(server: Served) -> int:
    return int(server.url.split(":")[2].split("/")[0])


def get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


class Watch(threading.Thread):
    """Asks for health all the time, by a new connection each."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.worst, self.over = port, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for path in ("/v2/health/live", "/v2/health/ready"):
                began = time.monotonic()
                try:
                    get(self.port, path)
                    took = time.monotonic() - began
                except (OSError, AssertionError, http.client.HTTPException):
                    took = float("inf")
                self.worst = max(self.worst, took)

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        time.sleep(0.05)
        self.over.set()
        self.join(60)


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda a: a.name)
def test_a_bad_request_is_answered_rightly_and_keeps_nobody_from_health(port: int, abuse: Abuse) -> None:
    for _ in range(TRIES):
        with Watch(port) as watch:
            found = abuse.act(port)
        assert found <= abuse.right
        if watch.worst < ALIVE:
            return
        with Watch(port) as idle:  # how busy is the machine itself?
            time.sleep(2.0)
        if watch.worst < 3 * idle.worst:
            return
    raise AssertionError(f"health took {watch.worst:.1f} s, and {idle.worst:.1f} s when nothing was asked")


def test_fields_of_another_type_or_beyond_their_limits_are_refused_by_name(port: int) -> None:
    found = {(name, value[:50]): spelled(name, value)(port) for name, value in QUICK}
    assert found == {(name, value[:50]): {400} for name, value in QUICK}


@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [
        (b"POST /openai", HEAD_SECONDS, 408),
        (head(4_000_000) + b"{", BODY_SECONDS, 408),
        (head(None, "Transfer-Encoding: chunked") + b"1\r\n{\r\nffff\r\n", BODY_SECONDS, 408),
        (head(9, path="/v2/models/tiny/infer") + b"{", BODY_SECONDS, 501),
        (b"", HEAD_SECONDS, 0),
    ],
    ids=["head", "body", "chunk", "body of a route that is not served", "nothing"],
)
def test_what_trickles_is_given_up_in_time(port: int, start: bytes, seconds: float, expected: int) -> None:
    with connected(port) as s:
        began = time.monotonic()
        push(s, start)
        s.settimeout(0.1)
        got = b""
        while time.monotonic() < began + 20:
            if start:
                push(s, b" ")
            try:
                part = s.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if not part:
                break
            got += part
    assert time.monotonic() - began < seconds + 4
    assert (int(got.split(b" ", 2)[1]) if got else 0) == expected


def test_a_refusal_says_what_is_too_much_and_how_much_is_allowed(port: int) -> None:
    def said(text: bytes) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", PATH, text)
            return str(json.loads(connection.getresponse().read())["error"]["message"])

    assert "4,194,304 bytes" in said(b" " * 5_000_000)
    assert "1,000 values" in said(b"[" * 2000)
    assert "65,536" in said(json.dumps({"model": NAME, "prompt": "é" * 40_000}).encode())


def memory(server: Served) -> float:
    """MB that the server holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def test_memory_does_not_grow_with_what_clients_ask(server: Served, port: int) -> None:
    def ask(i: int) -> None:
        stops = [f"{i:06}{j:02}" * 32 for j in range(16)]
        fields = {"model": NAME, "prompt": f"{i}", "max_tokens": 2, "stop": stops, "user": f"u{i}", "seed": i}
        text = json.dumps(fields).encode()
        with connected(port) as s:
            push(s, head(len(text)) + text)
            assert status(s) == 200

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(ask, range(100)))
        before = memory(server)
        list(pool.map(ask, range(1000, 1500)))
    assert memory(server) - before < 15  # the stop strings alone are 2 MB, and were a table each


def test_it_still_answers_as_ever(server: Served, port: int) -> None:
    assert json.loads(get(port, "/v1/models")) == {"models": [NAME]}
    metrics = get(port, "/metrics").decode()
    assert "mmst_open_rows 0.0" in metrics
    assert 'mmst_completion_requests_total{status="499"}' in metrics
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) == 0
