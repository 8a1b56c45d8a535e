"""A model server that misbehaves: what is retried, what fails at once, what the user is told."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mmst.backends import openai_http
from mmst.backends.openai_http import OpenAIServer
from mmst.errors import SamplerError
from mmst.ports import Request

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[int, dict[str, Any]], Answer | None]
"""(attempt, body) → the answer; None cuts the connection."""


def completion(body: dict[str, Any]) -> Answer:
    choices = [{"index": j, "text": f"{body['seed']}.{j}", "finish_reason": "stop"} for j in range(body["n"])]
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    return 200, {}, json.dumps({"choices": choices[::-1], "usage": usage}).encode()


class Fake(ThreadingHTTPServer):
    """An OpenAI server that does what a test says."""

    daemon_threads = True

    def __init__(self, behaviour: Behaviour, models: tuple[str, ...] = ("m",)) -> None:
        self.behaviour, self.models = behaviour, models
        self.bodies: list[dict[str, Any]] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *args: object) -> None:
        """A client that hung up is part of the test."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Fake
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply((200, {}, json.dumps({"data": [{"id": m} for m in self.server.models]}).encode()))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            attempt = len(self.server.bodies)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        answer = self.server.behaviour(attempt, body)
        with self.server.lock:
            self.server.under_way -= 1
        self.reply(answer)

    def reply(self, answer: Answer | None) -> None:
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        status, headers, data = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection |= headers.get("Connection") == "close"

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    servers: list[Fake] = []

    def begin(behaviour: Behaviour, **options: Any) -> Fake:
        servers.append(Fake(behaviour, **options))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_http, "FIRST_PAUSE", 0.02)


def ask(seed: int = 1, n: int = 2, **other: Any) -> Request:
    settings = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ("\n\n",), **other}
    return Request(id=f"r{seed}", prompt="Question: ?", n=n, seed=seed, **settings)


def client(server: Fake, model: str = "", *, concurrency: int = 4, deadline: float = 20.0) -> OpenAIServer:
    return OpenAIServer(server.url, model, concurrency=concurrency, deadline=deadline)


def first_bad(bad: Answer | None) -> Behaviour:
    return lambda attempt, body: bad if attempt == 1 else completion(body)


def test_choices_come_back_in_order_with_all_tokens_counted(start: Callable[..., Fake]) -> None:
    done: list[int] = []
    with client(start(lambda attempt, body: completion(body))) as server:
        answers = server.sample([ask(1), ask(2)], done.append)
    assert [[c.text for c in answer] for answer in answers] == [["1.0", "1.1"], ["2.0", "2.1"]]
    assert [c.tokens for c in answers[0]] == [3, 2]
    assert sum(done) == 4


def test_every_setting_of_a_request_reaches_the_server(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body))
    with client(fake) as server:
        server.sample([ask(9, n=3)])
    assert fake.bodies == [
        {
            "model": "m",
            "prompt": "Question: ?",
            "n": 3,
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 9,
            "stop": ["\n\n"],
        }
    ]


@pytest.mark.parametrize(
    "bad",
    [
        (429, {}, b"slow down"),
        (500, {}, b"oops"),
        (503, {"Retry-After": "0.1"}, b"{}"),
        (200, {}, b'{"choices": [{"ind'),
        (200, {"Content-Length": "500", "Connection": "close"}, b'{"choices": ['),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"choices": [{"index": 0, "text": null, "finish_reason": "stop"}]}'),
        (200, {}, b"[]"),
        None,
    ],
    ids=["429", "500", "503", "cut JSON", "cut body", "no choices", "no text", "no object", "reset"],
)
def test_what_may_pass_is_tried_again(start: Callable[..., Fake], bad: Answer | None) -> None:
    fake = start(first_bad(bad))
    with client(fake) as server:
        assert [c.text for c in server.sample([ask(n=1)])[0]] == ["1.0"]
    assert len(fake.bodies) == 2


def test_retry_after_is_honoured(start: Callable[..., Fake]) -> None:
    with client(start(first_bad((429, {"Retry-After": "0.6"}, b"")))) as server:
        began = time.monotonic()
        server.sample([ask()])
    assert time.monotonic() - began >= 0.6


def test_what_the_server_refuses_fails_at_once_with_its_words(start: Callable[..., Fake]) -> None:
    refusal = json.dumps({"error": {"message": "n must be at most 1"}}).encode()
    fake = start(lambda attempt, body: (400, {}, refusal))
    with client(fake) as server, pytest.raises(SamplerError, match=r"HTTP 400.*n must be at most 1"):
        server.sample([ask()])
    assert len(fake.bodies) == 1


def test_a_server_that_stays_broken_fails_at_the_deadline(start: Callable[..., Fake]) -> None:
    began = time.monotonic()
    with (
        client(start(lambda attempt, body: (500, {}, b"broken")), deadline=1.0) as server,
        pytest.raises(SamplerError, match=r"within 1 s: \d+ × HTTP 500: broken"),
    ):
        server.sample([ask()])
    assert time.monotonic() - began < 10


def test_the_second_half_of_the_deadline_is_used_too(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses that double would pass the end from its middle on: trouble of half the deadline must not be the end."""
    monkeypatch.setattr(openai_http, "FIRST_PAUSE", 0.5)
    well = time.monotonic() + 2.2
    fake = start(lambda attempt, body: completion(body) if time.monotonic() > well else (500, {}, b"broken"))
    with client(fake, deadline=3.2) as server:
        assert [c.text for c in server.sample([ask(n=1)])[0]] == ["1.0"]


def test_a_server_that_asks_for_more_time_than_there_is_fails_at_once(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: (503, {"Retry-After": "600"}, b"later"))
    began = time.monotonic()
    with client(fake) as server, pytest.raises(SamplerError, match=r"1 × HTTP 503: later"):
        server.sample([ask()])
    assert time.monotonic() - began < 10


def test_a_server_that_hangs_fails_at_the_deadline(start: Callable[..., Fake]) -> None:
    release = threading.Event()
    with (
        client(start(lambda attempt, body: release.wait(20) and None), deadline=0.5) as server,
        pytest.raises(SamplerError, match=r"within 0\.5 s"),
    ):
        server.sample([ask()])
    release.set()


def test_one_failure_ends_the_others_soon(start: Callable[..., Fake]) -> None:
    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        return (400, {}, b"no") if body["seed"] == 0 else (503, {}, b"wait")

    began = time.monotonic()
    with client(start(behaviour), deadline=60.0) as server, pytest.raises(SamplerError, match="refused r0"):
        server.sample([ask(i) for i in range(20)])
    assert time.monotonic() - began < 20


def test_no_more_requests_are_in_flight_than_asked_for(start: Callable[..., Fake]) -> None:
    def slow(attempt: int, body: dict[str, Any]) -> Answer:
        time.sleep(0.02)
        return completion(body)

    fake = start(slow)
    with client(fake, concurrency=3) as server:
        server.sample([ask(i) for i in range(15)])
    assert 1 < fake.most_under_way <= 3


def test_a_server_that_is_not_there_is_named_within_seconds_with_the_remedy() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/v1"
    began = time.monotonic()
    with pytest.raises(SamplerError) as failed, OpenAIServer(url, "", concurrency=1, deadline=600.0):
        pass
    assert url in str(failed.value)
    assert "mmst serve" in str(failed.value)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("models", "asked"), [(("a", "b"), ""), (("a",), "c"), ((), "")])
def test_a_model_that_is_not_clear_is_refused_with_those_that_there_are(
    start: Callable[..., Fake], models: tuple[str, ...], asked: str
) -> None:
    fake = start(lambda attempt, body: completion(body), models=models)
    with pytest.raises(SamplerError, match=", ".join(models) or "none"), client(fake, asked):
        pass


def test_something_that_is_no_model_server_is_refused(start: Callable[..., Fake], monkeypatch: Any) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.reply((200, {}, b"<html>hello</html>")))
    with pytest.raises(SamplerError, match="OpenAI protocol"), client(start(lambda attempt, body: completion(body))):
        pass
