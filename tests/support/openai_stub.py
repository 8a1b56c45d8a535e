"""A server of the OpenAI completions protocol that does what a test says, on the wire too."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
Wire = Callable[["Handler"], None]
"""Something that writes to the connection itself."""
Behaviour = Callable[[int, dict[str, Any]], "Answer | Wire | None"]
"""(attempt, body) → the answer; None cuts the connection."""


def data_of(body: dict[str, Any], **other: Any) -> dict[str, Any]:
    """A good answer as data, with the tokens of each choice, as our own server counts them."""
    seed, n = body["seed"], body["n"]
    choices: list[dict[str, Any]] = [
        {"index": j, "text": f"{seed}.{j}", "finish_reason": "stop", "tokens": 2} for j in range(n)
    ]
    return {"choices": choices[::-1], "usage": {"prompt_tokens": 3, "completion_tokens": 2 * n}, **other}


def uncounted(data: dict[str, Any]) -> dict[str, Any]:
    """The same answer from a server that counts the tokens of all choices together, as the standard says."""
    return data | {"choices": [{k: v for k, v in choice.items() if k != "tokens"} for choice in data["choices"]]}


def completion(body: dict[str, Any], **other: Any) -> Answer:
    """A good answer; `other` fields besides."""
    return 200, {}, json.dumps(data_of(body, **other)).encode()


def chat(body: dict[str, Any], **other: Any) -> Answer:
    """A good answer in the chat protocol."""
    data = data_of(body, **other)
    for choice in data["choices"]:
        choice["message"] = {"role": "assistant", "content": choice.pop("text")}
    return 200, {}, json.dumps(data).encode()


def hang(handler: Handler) -> None:
    """The connection stays open, and nothing ever comes."""
    handler.server.stopping.wait(60)
    handler.close_connection = True


def trickle(head: bytes, each: bytes = b" ") -> Wire:
    """A byte every 0.2 s after `head`, without end."""

    def write(handler: Handler) -> None:
        handler.wfile.write(head)
        handler.close_connection = True
        with contextlib.suppress(OSError):
            while not handler.server.stopping.wait(0.2):
                handler.wfile.write(each)

    return write


SLOW_BODY = trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
SLOW_CHUNKS = trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")
SLOW_HEADERS = trickle(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a")
SLOW_STATUS = trickle(b"", b"H")
NO_HTTP = trickle(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


def raw(data: bytes) -> Wire:
    """These bytes, then the end of the connection."""

    def write(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return write


def reset(handler: Handler) -> None:
    """A TCP reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.close_connection = True
    handler.connection.close()


class Fake(ThreadingHTTPServer):
    """An OpenAI server that does what a test says."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        behaviour: Behaviour,
        models: tuple[str, ...] = ("m",),
        listing: Callable[[int], Answer | Wire | None] | None = None,
    ) -> None:
        self.behaviour, self.models, self.listing = behaviour, models, listing
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.connections = 0
        self.listed = self.under_way = self.most_under_way = 0
        self.lock, self.stopping = threading.Lock(), threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()

    def handle_error(self, *args: object) -> None:
        """A client that hung up is part of the test."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Fake
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.listed += 1
        if self.server.listing is not None:
            self.reply(self.server.listing(self.server.listed))
        else:
            self.reply((200, {}, json.dumps({"data": [{"id": m} for m in self.server.models]}).encode()))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers.items()))
            self.server.paths.append(self.path)
            attempt = len(self.server.bodies)
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        answer = self.server.behaviour(attempt, body)
        with self.server.lock:
            self.server.under_way -= 1
        self.reply(answer)

    def reply(self, answer: Answer | Wire | None) -> None:
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if callable(answer):
            answer(self)
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


@contextlib.contextmanager
def starting() -> Iterator[Callable[..., Fake]]:
    """What starts such servers, which end with it."""
    servers: list[Fake] = []

    def begin(behaviour: Behaviour, **options: Any) -> Fake:
        servers.append(Fake(behaviour, **options))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield begin
    for server in servers:
        server.stopping.set()
        server.shutdown()
        server.server_close()


def mixed(share: float, kinds: dict[str, Callable[[dict[str, Any]], Answer | Wire | None]], seed: int = 1) -> Behaviour:
    """Good answers, but for this share, of which each kind has the same part; the same choice for the same attempt."""
    lock, luck, names = threading.Lock(), random.Random(seed), list(kinds)

    def behaviour(attempt: int, body: dict[str, Any]) -> Answer | Wire | None:
        with lock:
            bad = luck.random() < share
            kind = luck.choice(names)
        return kinds[kind](body) if bad else completion(body, model=body["model"])

    return behaviour


FAULTS: dict[str, Callable[[dict[str, Any]], Answer | Wire | None]] = {
    "503": lambda body: (503, {}, b"busy"),
    "503, later": lambda body: (503, {"Retry-After": "0.3"}, b"busy"),
    "429": lambda body: (429, {}, b'{"error": {"message": "slow down"}}'),
    "reset": lambda body: reset,
    "cut": lambda body: None,
    "hang": lambda body: hang,
    "slow body": lambda body: SLOW_BODY,
    "slow headers": lambda body: SLOW_HEADERS,
    "cut body": lambda body: (200, {"Content-Length": "500", "Connection": "close"}, completion(body)[2][:40]),
    "cut JSON": lambda body: (200, {}, completion(body)[2][:-9]),
    "one too few": lambda body: completion({**body, "n": body["n"] - 1}),
    "no text": lambda body: (200, {}, completion(body)[2].replace(b'"text"', b'"txt"')),
    "HTML": lambda body: (200, {}, b"<html>gateway</html>"),
}
"""Faults that may pass, by name."""
