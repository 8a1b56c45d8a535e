"""Requests that a model server must bear: each is one of many ways to be wrong, heavy, endless or gone.

An abuse gets the server's port and tells the statuses that it was answered with (0: the connection ended
without one). Those after it say which of them are right.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

PATH = "/openai/v1/completions"
MB = 1_000_000
Statuses = set[int]


@dataclass(frozen=True)
class Abuse:
    """What is done, and the only statuses that may come back."""

    name: str
    act: Callable[[int], Statuses]
    right: Statuses


@contextlib.contextmanager
def connected(port: int, seconds: float = 30.0) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as s:
        yield s


def head(length: int | None, *more: str, method: str = "POST", path: str = PATH) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


def push(s: socket.socket, data: bytes) -> None:
    """Send what the server takes: it may hang up under way."""
    with contextlib.suppress(OSError):
        s.sendall(data)


def status(s: socket.socket) -> int:
    """The status of the answer; 0 when there is none."""
    got = b""
    with contextlib.suppress(OSError):
        while b"\r\n" not in got and (part := s.recv(65536)):
            got += part
    return int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/1.1 ") else 0


def raw(port: int, *parts: bytes) -> Statuses:
    with connected(port) as s:
        for part in parts:
            push(s, part)
        return {status(s)}


def body(text: bytes) -> Callable[[int], Statuses]:
    return lambda port: raw(port, head(len(text)), text)


def asked(**fields: Any) -> Callable[[int], Statuses]:
    """A body that is well but for these fields."""
    return body(json.dumps({"model": "tiny", "prompt": "1 + 1 =", "max_tokens": 4, **fields}).encode())


def spelled(name: str, value: str) -> Callable[[int], Statuses]:
    """A body with a field that no JSON writer would write so."""
    return body(f'{{"model": "tiny", "prompt": "1 + 1 =", "max_tokens": 4, "{name}": {value}}}'.encode())


def chunks(piece: bytes, n: int) -> Callable[[int], Statuses]:
    """A body in n chunks, and its end."""

    def act(port: int) -> Statuses:
        one = b"%x\r\n%s\r\n" % (len(piece), piece)
        with connected(port) as s:
            push(s, head(None, "Transfer-Encoding: chunked"))
            at_once = max(1, 65536 // len(one))
            for _ in range(n // at_once + 1):
                push(s, one * at_once)
            push(s, b"0\r\n\r\n")
            return {status(s)}

    return act


def endless(start: bytes, piece: bytes, seconds: float = 1.5) -> Callable[[int], Statuses]:
    """The same piece as fast as it goes, until the server answers or time is up."""

    def act(port: int) -> Statuses:
        with connected(port) as s:
            push(s, start)
            s.settimeout(0.0)
            end, left = time.monotonic() + seconds, b""
            while time.monotonic() < end:
                left = left or piece
                try:
                    left = left[s.send(left) :]
                except BlockingIOError:
                    time.sleep(0.001)
                except OSError:
                    break
                with contextlib.suppress(OSError):
                    if s.recv(16, socket.MSG_PEEK):
                        break
            s.settimeout(5.0)
            return {status(s)}

    return act


def held(start: bytes, seconds: float = 1.0, many: int = 1) -> Callable[[int], Statuses]:
    """So many connections that send a beginning and then nothing, and go."""

    def act(port: int) -> Statuses:
        with contextlib.ExitStack() as stack:
            for _ in range(many):
                push(stack.enter_context(connected(port)), start)
            time.sleep(seconds)
        return {0}

    return act


def trickled(start: bytes, seconds: float = 1.5) -> Callable[[int], Statuses]:
    def act(port: int) -> Statuses:
        with connected(port) as s:
            push(s, start)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                push(s, b" ")
                time.sleep(0.05)
        return {0}

    return act


def heavy_and_gone(**fields: Any) -> Callable[[int], Statuses]:
    """Requests that take minutes, and whose clients go."""

    def act(port: int) -> Statuses:
        text = json.dumps({"model": "tiny", "prompt": "1", "n": 256, "max_tokens": 2000, **fields}).encode()
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                push(stack.enter_context(connected(port)), head(len(text)) + text)
            time.sleep(1.0)
        return {0}

    return act


def resets(port: int) -> Statuses:
    text = json.dumps({"model": "tiny", "prompt": "1", "max_tokens": 500}).encode()
    for i in range(200):
        with connected(port) as s:
            push(s, (head(len(text)) + text)[: 40 + 2 * i])
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return {0}


def at_once(n: int, act: Callable[[int], Statuses]) -> Callable[[int], Statuses]:
    from concurrent.futures import ThreadPoolExecutor

    def many(port: int) -> Statuses:
        with ThreadPoolExecutor(n) as pool:
            return set().union(*pool.map(lambda _: act(port), range(n)))

    return many


def slow_reader(port: int) -> Statuses:
    text = json.dumps({"model": "tiny", "prompt": "1 +", "n": 64, "max_tokens": 60, "logprobs": 0}).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.connect(("127.0.0.1", port))
            push(s, head(len(text)) + text)
        time.sleep(2.0)
    return {0}


def pipelined(port: int) -> Statuses:
    text = json.dumps({"model": "tiny", "prompt": "1", "max_tokens": 2}).encode()
    return raw(port, (head(len(text)) + text) * 500)


RARE = "".join(map(chr, random.Random(1).choices(range(0x1F000, 0x1FAFF), k=16_000)))
HAN = "".join(map(chr, random.Random(2).choices(range(0x4E00, 0x9FFF), k=21_000)))
SHORT = "Question: 1 + 1?\nText:\n"
TENSOR = json.dumps({"inputs": [{"name": "a", "shape": [9], "datatype": "FP32", "data": [1.5] * 400_000}]}).encode()
CHUNKED = head(None, "Transfer-Encoding: chunked")
BAD, LARGE = {400}, {413}

ABUSES = [
    # bodies that are no request
    Abuse("an empty body", body(b""), BAD),
    Abuse("no body and no length", lambda port: raw(port, head(None)), BAD),
    Abuse("no JSON", body(b"prompt=1"), BAD),
    Abuse("half of a JSON", body(b'{"model": "tiny", "prompt": "1'), BAD),
    Abuse("a list", body(b"[]"), BAD),
    Abuse("null", body(b"null"), BAD),
    Abuse("a gzip bomb", body(b"\x1f\x8b" + b"\0" * 100_000), BAD),
    Abuse("1 MB of brackets", body(b"[" * MB), BAD),
    Abuse("500,000 objects in each other", body(b'{"a":' * 500_000), BAD),
    Abuse("1.3 million empty lists", body(b'{"prompt":[' + b"[]," * 1_300_000 + b"[]]}"), BAD),
    Abuse("300,000 keys", body(b"{" + b",".join(b'"%d":1' % i for i in range(300_000)) + b"}"), BAD),
    Abuse("400,000 strings", body(b'{"stop":[' + b",".join(b'"%d"' % i for i in range(400_000)) + b"]}"), BAD),
    Abuse("a number of 4 million digits", body(b'{"n":' + b"9" * 4_000_000 + b"}"), BAD),
    Abuse("2 million escaped quotes", body(b'{"model":"tiny","prompt":"' + rb"\"" * 2_000_000 + b'"}'), BAD),
    Abuse("no Unicode", body(b'{"model":"tiny","prompt":"\xff\xfe"}'), BAD),
    Abuse("a lone surrogate", body(rb'{"model":"tiny","prompt":"\ud800"}'), BAD),
    # sizes and shapes on the wire
    Abuse("10 MB", body(b" " * 10 * MB), LARGE),
    Abuse("40 MB in chunks", chunks(b" " * 60_000, 700), LARGE),
    Abuse("chunks without end", endless(CHUNKED, b"2000\r\n" + b" " * 8192 + b"\r\n", 3.0), LARGE),
    Abuse("chunks of one byte", chunks(b" ", 100_000), BAD),
    Abuse("a chunk's extension without end", endless(CHUNKED, b"1;" + b"a" * 60_000, 3.0), {0, 400, 413}),
    Abuse("a length of 10^18", lambda port: raw(port, head(10**18)), LARGE),
    Abuse("a length of 10^30", lambda port: raw(port, head(10**30)), {400, 413}),
    Abuse("a length below 0", lambda port: raw(port, head(-1)), BAD),
    Abuse("two lengths", lambda port: raw(port, head(2, "Content-Length: 3"), b"{}"), BAD),
    Abuse("a chunk of size zz", lambda port: raw(port, CHUNKED, b"zz\r\n"), BAD),
    Abuse("100-continue for 10 MB", lambda port: raw(port, head(10 * MB, "Expect: 100-continue")), LARGE),
    Abuse("10,000 headers", lambda port: raw(port, head(2, *(f"X-{i}: {i}" for i in range(10_000)))), {431}),
    Abuse("a header without end", endless(b"POST / HTTP/1.1\r\nX: ", b"a" * 60_000), {431}),
    Abuse("headers without end", endless(b"POST / HTTP/1.1\r\n", b"X: y\r\n" * 1000), {431}),
    Abuse("trailers without end", endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, 3.0), {400, 413, 431}),
    Abuse("a path of 1 MB", lambda port: raw(port, head(2, path="/" + "a" * MB)), {431}),
    Abuse("a TLS hello", lambda port: raw(port, b"\x16\x03\x01\x02\x00\x01\x00" + b"\0" * 512), BAD),
    Abuse("HTTP/2", lambda port: raw(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), {0, 400}),
    Abuse("line ends without end", endless(b"", b"\r\n" * 1000), {0, 431}),
    Abuse("a GET with 10 MB", lambda port: raw(port, head(10 * MB, method="GET"), b" " * 10 * MB), LARGE),
    Abuse("a websocket", lambda port: raw(port, head(None, "Upgrade: websocket", "Connection: Upgrade")), {400, 403}),
    # fields of another type, or beyond their limits
    Abuse("17 stop strings", asked(stop=list("abcdefghijklmnopq")), BAD),
    Abuse("900 stop strings", asked(stop=[str(i) for i in range(900)]), BAD),
    Abuse("a stop string of 257", asked(stop="é" * 257), BAD),
    Abuse("a model's name of 1 MB", asked(model="m" * MB), {404}),
    Abuse("a model that is true", asked(model=True), BAD),
    Abuse("a field's name of 1 MB", asked(**{"f" * MB: 1}), BAD),
    Abuse("a second value for n", body(b'{"model":"tiny","prompt":"1","n":1,"n":true}'), BAD),
    # prompts that are much work to read
    Abuse("4 MB of one letter", asked(prompt="a" * 4_000_000), BAD),
    Abuse("65,000 letters in one word", asked(prompt="q" * 65_000), BAD),
    Abuse("65,000 spaces", asked(prompt=" " * 65_000), BAD),
    Abuse("16,000 pictures, four times", at_once(4, asked(prompt=RARE)), BAD),
    Abuse("21,000 Han, four times", at_once(4, asked(prompt=HAN)), BAD),
    Abuse("320,000 pictures", asked(prompt=RARE * 20), BAD),
    Abuse("eight bodies of 4 MB at once", at_once(8, asked(prompt="ab " * 1_300_000)), BAD),
    # many, slow, gone
    Abuse("half of a head, held", held(b"POST / HT"), {0}),
    Abuse("half of a body, held", held(head(100) + b"{"), {0}),
    Abuse("300 connections that say nothing", held(b"", 1.0, 300), {0}),
    Abuse("300 half heads", held(b"POST / HTTP/1.1\r\nA", 1.0, 300), {0}),
    Abuse("300 half bodies", held(head(50_000) + b" " * 40_000, 1.0, 300), {0}),
    Abuse("a head that trickles", trickled(b"POST / HTTP/1.1\r\nA: "), {0}),
    Abuse("a body that trickles", trickled(head(4_000_000)), {0}),
    Abuse("200 resets", resets, {0}),
    Abuse("1,024 long completions, and gone", heavy_and_gone(), {0}),
    Abuse("the same, colder than cold", heavy_and_gone(temperature=1e-310, top_p=1e-310), {0}),
    Abuse("the same, all with logprobs and stops", heavy_and_gone(logprobs=0, stop=[" x", "e" * 250]), {0}),
    Abuse("answers that nobody takes", slow_reader, {0}),
    Abuse("500 requests in a row without waiting", pipelined, {200}),
    Abuse("40 clients at once", at_once(40, asked(n=4)), {200}),
    # KServe's own routes
    Abuse("a tensor", lambda port: raw(port, head(len(TENSOR), path="/v2/models/tiny/infer"), TENSOR), {501}),
    Abuse("a prediction", lambda port: raw(port, head(len(TENSOR), path="/v1/models/tiny:predict"), TENSOR), {501}),
    Abuse("an explanation", lambda port: raw(port, head(2, path="/v1/models/tiny:explain"), b"{}"), {501}),
    Abuse("10 MB of tensor", lambda port: raw(port, head(10 * MB, path="/v2/models/tiny/infer")), LARGE),
    Abuse("unloading", lambda port: raw(port, head(0, path="/v2/repository/models/tiny/unload")), {501}),
    # near misses: these are well
    Abuse("colder than cold", asked(temperature=1e-310, n=4), {200}),
    Abuse("the narrowest top_p", asked(top_p=5e-324), {200}),
    Abuse("a temperature of 0", asked(temperature=0), {200}),
    Abuse("a temperature of -0.0", asked(temperature=-0.0), {200}),
    Abuse("n of 256", asked(n=256, max_tokens=1), {200}),
    Abuse("more tokens than the context holds", asked(prompt=SHORT, max_tokens=1 << 20, stop=["\n"]), {200}),
    Abuse("16 stop strings of 256", asked(stop=[chr(97 + i) * 256 for i in range(16)]), {200}),
    Abuse("the lowest seed", asked(seed=-(2**63)), {200}),
    Abuse("a prompt with brackets", asked(prompt='[{"a": [1, 2]}, "' * 40), {200}),
    Abuse("a prompt with escapes", asked(prompt='\\"\\\\"\n' * 40), {200}),
    Abuse("a list of one prompt", asked(prompt=["1 + 1 ="]), {200}),
    Abuse("null where it may be", asked(stop=None, seed=None, logprobs=None, user=None), {200}),
    Abuse("log-probabilities of 1,280 tokens", asked(n=64, max_tokens=20, logprobs=0), {200}),
]

QUICK = [
    (name, value)
    for name, values in {
        "n": ("true", "0", "-1", "257", "1e9", "1.0", '"4"', "[1]", "{}", "null", "9" * 40),
        "temperature": ("NaN", "Infinity", "-Infinity", "1e999", "1e308", "-0.1", "true", '"1"', "null", "[]"),
        "top_p": ("0", "0.0", "-1e-310", "1.0001", "true", '"1"', "NaN"),
        "max_tokens": ("0", "-5", "true", "1e12", "1000000000000", "2.5", '"9"', "9" * 400),
        "seed": ("true", "1.5", "1" * 30, "-9223372036854775809", '"1"'),
        "logprobs": ("true", "5", "-1", "0.0"),
        "stop": ('""', '[""]', "1", "true", "{}", "[1]", '["a", null]', '[["a"]]', f'"{"a" * MB}"'),
        "prompt": ('""', "1", "true", "null", "[]", '["a", "b"]', "[1]", '[["a"]]', "{}"),
        "user": ("1", "true", "{}"),
        "add_special_tokens": ("1", "null", '"false"'),
        "stream": ("true", "1"),
    }.items()
    for value in values
]
"""Fields with values of another type, or beyond their limits."""
