"""Clients that go, and a server that is told to end: nothing is decoded for nobody, and the end has a time."""

import contextlib
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("kserve")

from tests.faults.test_serve_abuse import get
from tests.support.serve_abuse import connected, head, push, status
from tests.support.serving import NAME, Served, serving

pytestmark = pytest.mark.server

DRAIN = 3
STEP = 15.0
"""Seconds in which a step is over on a busy machine, with the look at the figures."""


def completion(**fields: object) -> bytes:
    """A request whose answer takes minutes, unless it says otherwise."""
    text = json.dumps({"model": NAME, "prompt": "1", "max_tokens": 2000, "temperature": 5.0, "n": 64, **fields})
    return head(len(text)) + text.encode()


def port_of(server: Served) -> int:
    return int(server.url.split(":")[2].split("/")[0])


def figure(port: int, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", get(port, "/metrics").decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def soon(happened: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.02)
    return happened()


@pytest.fixture(scope="module")
def server(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(repo_root / "mmst/models/tiny", log=tmp_path_factory.mktemp("serve") / "log") as running:
        yield running


ROWS, GONE = "mmst_open_rows", 'mmst_completion_requests_total{status="499"}'


LONG = "12 + 3 apples\n" * 130


@pytest.mark.parametrize(
    ("others", "asked", "n"),
    [
        (0, completion(), 64),
        (0, completion(n=1), 1),
        (0, completion(n=256), 256),
        (4, completion(n=128), 128),
        (0, completion(prompt=LONG, n=4), 4),
        (4, completion(prompt=LONG), 64),
    ],
    ids=["decoded", "one", "all slots", "waiting", "read", "waiting to be read"],
)
def test_one_who_goes_leaves_the_loop_in_a_step_and_is_counted(
    server: Served, others: int, asked: bytes, n: int
) -> None:
    port = port_of(server)
    assert soon(lambda: figure(port, ROWS) == 0, 20)
    count = figure(port, GONE)
    with contextlib.ExitStack() as stack:
        for _ in range(others):
            push(stack.enter_context(connected(port)), completion())
        assert soon(lambda: figure(port, ROWS) > 60 * others - 1, 20)
        with connected(port) as s:
            push(s, asked)
            assert soon(lambda: figure(port, ROWS) > 60 * others + n / 2, 20)
            full = figure(port, ROWS)
        assert soon(lambda: figure(port, ROWS) <= full - n / 2, STEP)
        assert figure(port, GONE) == count + 1
    assert soon(lambda: figure(port, ROWS) == 0, STEP)
    assert soon(lambda: figure(port, GONE) == count + 1 + others, STEP)


@pytest.mark.parametrize("cut", [20, 200, 5_000, 49_000])
def test_one_who_goes_before_the_request_is_whole_leaves_nothing(server: Served, cut: int) -> None:
    port = port_of(server)
    with connected(port) as s:
        push(s, completion(prompt="1 " * 25_000)[:cut])
        time.sleep(0.2)
    assert figure(port, ROWS) == 0


def test_one_who_goes_costs_its_neighbours_nothing(server: Served) -> None:
    """The answer of one who stays is the same with and without those who go."""
    port = port_of(server)

    def answer() -> list[str]:
        with connected(port) as s:
            s.sendall(completion(n=4, max_tokens=60, seed=5, temperature=1.0))
            got = b""
            while b'"usage"' not in got:
                got += s.recv(65536)
        return re.findall(r'"text":"((?:[^"\\]|\\.)*)"', got.decode())

    alone = answer()
    with contextlib.ExitStack() as others:
        for i in range(6):
            push(others.enter_context(connected(port)), completion(seed=i, n=32))
        assert soon(lambda: figure(port, ROWS) > 0, 20)
        threading.Timer(0.3, others.pop_all().close).start()
        assert answer() == alone


def test_a_second_request_before_the_answer_does_not_hide_that_the_client_goes(server: Served) -> None:
    port = port_of(server)
    assert soon(lambda: figure(port, ROWS) == 0, 20)
    with connected(port) as s:
        push(s, completion() * 3)
        assert soon(lambda: figure(port, ROWS) > 32, 20)
    assert soon(lambda: figure(port, ROWS) == 0, STEP)


def ended(server: Served) -> float:
    """Seconds from now until the process has ended well."""
    began = time.monotonic()
    assert server.process.wait(60) == 0
    return time.monotonic() - began


def test_the_drain_ends_at_its_time_with_a_word_to_who_waits(repo_root: Path, tmp_path: Path) -> None:
    with (
        serving(repo_root / "mmst/models/tiny", {"app.DRAIN": DRAIN}, tmp_path / "log") as server,
        contextlib.ExitStack() as stack,
    ):
        port = port_of(server)
        waiting, short, half, reading = (stack.enter_context(connected(port)) for _ in range(4))
        queued = [stack.enter_context(connected(port)) for _ in range(5)]
        deaf = stack.enter_context(socket.socket())
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect(("127.0.0.1", port))
        push(deaf, completion(max_tokens=30, logprobs=0, n=256))
        assert soon(lambda: figure(port, 'mmst_completion_requests_total{status="200"}') == 1, 30)
        for s in (waiting, *queued):
            push(s, completion())
        push(half, completion()[:-9])
        push(reading, b"POST /openai")
        push(short, completion(n=1, max_tokens=2))
        assert soon(lambda: figure(port, ROWS) > 5 * 64, 20)
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert status(half) == 503
        assert status(reading) == 0
        assert time.monotonic() - began < DRAIN - 0.5
        assert status(short) in {200, 503}
        assert {status(s) for s in (waiting, *queued)} == {503}
        assert DRAIN - 0.5 < time.monotonic() - began < DRAIN + 1.5
        ended(server)
        assert time.monotonic() - began < DRAIN + 4


def test_those_who_have_gone_or_say_nothing_are_not_waited_for(repo_root: Path, tmp_path: Path) -> None:
    with serving(repo_root / "mmst/models/tiny", log=tmp_path / "log") as server, contextlib.ExitStack() as stack:
        port = port_of(server)
        for start in (b"", b"POST /op", completion()[:-9], head(4_000_000)):
            push(stack.enter_context(connected(port)), start)
        for _ in range(5):
            with connected(port) as s:
                push(s, completion())
                time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        assert ended(server) < 6
