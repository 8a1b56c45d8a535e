"""Bad answers of a model server, each kind: a retry or a failed record, never another exception."""

import contextlib
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.inference.providers import openai
from mmst.inference.providers.openai import OpenAIServer
from mmst.inference.providers.openai_answers import BadAnswer, decoded, message, models, read, retry_after, words
from tests.support.openai_stub import Answer, Fake, Handler, Wire, completion, data_of, raw, reset, starting, uncounted

REQUEST = Request(id="r", prompt="?", n=2, seed=1, temperature=1.0, top_p=1.0, max_tokens=5, stop=())
Change = Callable[[dict[str, Any]], Any]


def choice(**changes: Any) -> Change:
    """A good answer, but for the fields of its first choice; None takes a field away."""

    def change(data: dict[str, Any]) -> dict[str, Any]:
        data["choices"][0] = {k: v for k, v in {**data["choices"][0], **changes}.items() if v is not DROPPED}
        return data

    return change


def top(**changes: Any) -> Change:
    return lambda data: {k: v for k, v in {**data, **changes}.items() if v is not DROPPED}


DROPPED = object()
STRUCTURES: dict[str, Change] = {
    "null": lambda data: None,
    "a list": lambda data: [data],
    "a number": lambda data: 7,
    "a string": lambda data: json.dumps(data),
    "true": lambda data: True,
    "empty object": lambda data: {},
    "an error": lambda data: {"error": {"message": "overloaded"}},
    "an error string": lambda data: {"error": "overloaded"},
    "no choices": top(choices=DROPPED),
    "choices null": top(choices=None),
    "choices an object": lambda data: {**data, "choices": {str(c["index"]): c for c in data["choices"]}},
    "choices a string": top(choices="ab"),
    "choices empty": top(choices=[]),
    "one too few": lambda data: {**data, "choices": data["choices"][:1]},
    "one too many": lambda data: {**data, "choices": [*data["choices"], {**data["choices"][0], "index": 2}]},
    "a choice null": lambda data: {**data, "choices": [data["choices"][0], None]},
    "a choice a string": lambda data: {**data, "choices": [data["choices"][0], "text"]},
    "the same index twice": lambda data: {**data, "choices": [{**c, "index": 0} for c in data["choices"]]},
    "no index": choice(index=DROPPED),
    "index null": choice(index=None),
    "index a string": choice(index="1"),
    "index true": choice(index=True),
    "index a float": choice(index=1.5),
    "index negative": choice(index=-1),
    "index beyond": choice(index=9),
    "index a list": choice(index=[1]),
    "no text": choice(text=DROPPED),
    "text null": choice(text=None),
    "text a number": choice(text=7),
    "text a list": choice(text=["a"]),
    "text an object": choice(text={"a": 1}),
    "text without end": choice(text=5000 * "x"),
    "half a character": choice(text="\ud800"),
    "a chat answer": choice(text=DROPPED, message={"role": "assistant", "content": "7"}),
    "no finish": choice(finish_reason=DROPPED),
    "finish null": choice(finish_reason=None),
    "finish unknown": choice(finish_reason="abort"),
    "finish an object": choice(finish_reason={"type": "stop"}),
    "finish ours": choice(finish_reason="failed"),
    "finish escapes": choice(finish_reason="\x1b[2J"),
    "tokens negative": choice(tokens=-1),
    "tokens a string": choice(tokens="3"),
    "tokens beyond": choice(tokens=10**30),
    "tokens true": choice(tokens=True),
    "usage a string": top(usage="3"),
    "usage a list": top(usage=[3]),
    "usage of strings": top(usage={"prompt_tokens": "3", "completion_tokens": 5}),
    "usage negative": top(usage={"prompt_tokens": 3, "completion_tokens": -5}),
    "usage beyond": top(usage={"prompt_tokens": 3, "completion_tokens": 10**20}),
    "usage fractional": top(usage={"prompt_tokens": 3.5}),
    "usage true": top(usage={"prompt_tokens": True}),
    "model a number": top(model=7),
    "model a list": top(model=["m"]),
    "model without end": top(model=2000 * "m"),
    "fingerprint a number": top(system_fingerprint=7),
}
GOOD = json.dumps(data_of({"n": 2, "seed": 1}))
BYTES: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"  \n ",
    "HTML": b"<html><body>Bad gateway</body></html>",
    "cut": GOOD[:-20].encode(),
    "cut within a character": '{"choices": [{"text": "é'.encode()[:-1],
    "two answers": (GOOD + GOOD).encode(),
    "a stream": f"data: {GOOD}\n\ndata: [DONE]\n\n".encode(),
    "no UTF-8": b'{"choices": "\xff\xfe"}',
    "single quotes": GOOD.replace('"', "'").encode(),
    "a comma too many": GOOD.replace("]", ",]").encode(),
    "NaN for tokens": GOOD.replace("4}", "NaN}").encode(),
    "infinity for tokens": GOOD.replace("4}", "1e999}").encode(),
    "digits without end": GOOD.replace("4}", "5" * 5000 + "}").encode(),
    "lists without end": b"[" * 200_000,
    "objects without end": b'{"a":' * 200_000,
    "NULs": bytes(1000),
    "too long": GOOD[:-1].encode() + b" " * 400_000 + b"}",
    "gzip": gzip.compress(GOOD.encode()),
}
BAD = {
    **{name: json.dumps(change(data_of({"n": 2, "seed": 1}))).encode() for name, change in STRUCTURES.items()},
    **BYTES,
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fake]]:
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(openai, "LONGEST_BAD_PAUSE", 0.002)
    with starting() as begin:
        yield begin


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_tried_again_and_for_ever_it_is_a_failed_record(start: Callable[..., Fake], name: str) -> None:
    once = start(lambda attempt, body: (200, {}, BAD[name]) if attempt == 1 else completion(body))
    ever = start(lambda attempt, body: (200, {}, BAD[name]) if body["seed"] else completion(body))
    with OpenAIServer(once.url, "", concurrency=1, deadline=20.0) as server:
        assert [c.text for c in server.sample([REQUEST])[0]] == ["1.0", "1.1"]
    with OpenAIServer(ever.url, "", concurrency=1, deadline=20.0) as server:
        (answer,) = server.sample([REQUEST])
    assert [c.finish for c in answer] == ["failed", "failed"]
    assert answer[0].failure.startswith("bad answer: ")
    assert answer[0].failure.isprintable()
    assert len(answer[0].failure) < 600


def body(head: str, data: str = GOOD) -> Wire:
    return raw(f"{head}\r\n\r\n{data}".encode())


LENGTH = f"Content-Length: {len(GOOD)}"
ON_THE_WIRE: dict[str, Answer | Wire | None] = {
    "closed": None,
    "reset": reset,
    "nothing": raw(b""),
    "no HTTP": raw(b"220 smtp.example.org ESMTP\r\n"),
    "half a status line": raw(b"HTTP/1.1 2"),
    "status of letters": body("HTTP/1.1 abc OK"),
    "header without colon": body("HTTP/1.1 200 OK\r\nnonsense"),
    "header of NULs": body("HTTP/1.1 200 OK\r\nX: a\0b"),
    "headers without end": raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(30_000))),
    "a header without end": raw(b"HTTP/1.1 200 OK\r\nX: " + 500_000 * b"a"),
    "length negative": body("HTTP/1.1 200 OK\r\nContent-Length: -5"),
    "length of letters": body("HTTP/1.1 200 OK\r\nContent-Length: five"),
    "two lengths": body(f"HTTP/1.1 200 OK\r\n{LENGTH}\r\nContent-Length: 7"),
    "too long a length": body(f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD) + 9}"),
    "chunk of no size": body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "zz\r\nabc"),
    "chunks cut": body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "5\r\nabc"),
    "unknown transfer": body("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13"),
    "gzip that is none": body(f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n{LENGTH}"),
    "500 without end": (500, {}, 3_000_000 * b"x"),
    "503 of lists": (503, {}, b"[" * 60_000),
    "502 of HTML": (502, {"Content-Type": "text/html"}, b"<html>\x1b[2J</html>"),
    "500 of an odd error": (500, {}, b'{"error": [{"message": {"a": 1}}]}'),
    "500 of null": (500, {}, b"null"),
    "599": (599, {}, b""),
    "204": (204, {}, b""),
    "202": (202, {}, GOOD.encode()),
    "206": (206, {}, GOOD.encode()),
}


@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_trouble_on_the_wire_is_tried_again_and_for_ever_it_is_an_error_or_a_failed_record(
    start: Callable[..., Fake], name: str
) -> None:
    bad = ON_THE_WIRE[name]
    with OpenAIServer(start(lambda n, b: bad if n == 1 else completion(b)).url, "", concurrency=1, deadline=20.0) as s:
        assert [c.text for c in s.sample([REQUEST])[0]] == ["1.0", "1.1"]
    with OpenAIServer(start(lambda n, b: bad).url, "", concurrency=1, deadline=0.5) as server:
        try:
            said = server.sample([REQUEST])[0][0].failure
        except SamplerError as e:
            said = str(e)
    assert "did not complete r within 0.5 s" in said or said.startswith("bad answer: ")
    assert said.isprintable()


LISTINGS: dict[str, Answer | Wire | None] = {
    "closed": None,
    "reset": reset,
    "no HTTP": raw(b"220 smtp\r\n"),
    "HTML": (200, {}, b"<html>hello</html>"),
    "null": (200, {}, b"null"),
    "a list": (200, {}, b"[]"),
    "no data": (200, {}, b"{}"),
    "data an object": (200, {}, b'{"data": {"id": "m"}}'),
    "data of strings": (200, {}, b'{"data": ["m"]}'),
    "no id": (200, {}, b'{"data": [{}]}'),
    "id a number": (200, {}, b'{"data": [{"id": 7}]}'),
    "id null": (200, {}, b'{"data": [{"id": null}]}'),
    "checkpoint a number": (200, {}, b'{"data": [{"id": "m", "checkpoint": 7}]}'),
    "lists without end": (200, {}, b"[" * 200_000),
    "too long": (200, {}, b" " * (5 << 20) + b'{"data": []}'),
    "404": (404, {}, b"no such page\x1b[2J"),
    "401": (401, {}, b"who are you\x1b[2J"),
    "500": (500, {}, b"oops"),
    "a redirect": (302, {"Location": "http://example.org/login"}, b""),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_a_bad_list_of_models_is_a_named_error_with_the_remedy(start: Callable[..., Fake], name: str) -> None:
    fake = start(lambda n, b: completion(b), listing=lambda n: LISTINGS[name])
    with pytest.raises(SamplerError, match="Remedy: ") as e, OpenAIServer(fake.url, "m", concurrency=1, deadline=9.0):
        pass
    assert str(e.value).isprintable()


@pytest.mark.parametrize(
    "url", ["http://[::1/v1", "http://127.0.0.1:99999/v1", "nonsense", "ftp://127.0.0.1/v1", "http://"]
)
def test_an_address_that_is_none_is_a_named_error(url: str) -> None:
    with pytest.raises(SamplerError, match="Remedy: "), OpenAIServer(url, "m", concurrency=1, deadline=9.0):
        pass


@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        (top(usage={"completion_tokens": 5}), [3, 2]),
        (top(usage=None), [0, 0]),
        (top(usage=DROPPED), [0, 0]),
        (top(usage={"completion_tokens": 5.0}), [3, 2]),
        (choice(tokens=4), [2, 4]),
        (choice(logprobs={"tokens": ["a"]}, stop_reason=None, extra=[1]), [2, 2]),
        (top(object="text_completion", created=1, id="x", model="m", system_fingerprint=None), [2, 2]),
        (choice(text=""), [2, 2]),
        (choice(text="\x00 é 😀\n"), [2, 2]),
        (choice(text=1000 * "x"), [2, 2]),
    ],
)
def test_what_the_protocol_allows_is_read(change: Change, tokens: list[int]) -> None:
    answer = read(json.dumps(change(uncounted(data_of({"n": 2, "seed": 1})))).encode(), REQUEST)
    assert [c.tokens for c in answer.completions] == tokens


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.25", 0.25),
        ("86400", 86400.0),
        ("-7", 0.0),
        ("+7", 0.0),
        ("inf", 0.0),
        ("Infinity", 0.0),
        ("nan", 0.0),
        ("1e9", 0.0),
        ("0x10", 0.0),
        ("1_000", 0.0),
        ("٧", 0.0),
        ("7s", 0.0),
        ("7, 8", 0.0),
        ("soon", 0.0),
        ("9" * 5000, 0.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 59.0),
        ("Friday, 31-Dec-99 23:59:59 GMT", 59.0),
        ("Fri Dec 31 23:59:59 1999", 59.0),
        ("Sat, 01 Jan 2000 01:00:00 +0100", 60.0),
        ("Fri, 31 Dec 1999 23:58:59 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0.0),
        ("Fri, 32 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec", 0.0),
        ("\x00", 0.0),
    ],
)
def test_a_wish_to_wait_is_read_as_the_standard_says_and_else_ignored(header: str | None, seconds: float) -> None:
    assert retry_after(header, 946684740.0) == seconds  # 1999-12-31 23:59:00


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too long"}}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"msg": "x"}]}', "[{'msg': 'x'}]"),
        (b'{"message": "too long"}', "too long"),
        (b"too long\n", "too long"),
        (b"", ""),
        (b"\xff\xfe", "��"),
        (b'{"error": "\\u001b[31mred\\u202e"}', "\\x1b[31mred\\u202e"),
        (b'{"error": "a\\r\\nb\\tc"}', "a b c"),
        (b"x" * 1000, "x" * 300 + "…"),
    ],
)
def test_a_server_s_words_are_one_bounded_line_without_control_characters(body: bytes, said: str) -> None:
    assert message(body) == said


def test_words_of_any_text_print() -> None:
    text = "".join(map(chr, range(0x300))) + "\u200b\u2028\u2066\ufeff\ud800\U000e0001"
    assert words(text, 10_000).isprintable()


def test_models_are_read_with_the_checkpoints_that_are_stated() -> None:
    assert models(b'{"data": [{"id": "a", "checkpoint": "sha256:1"}, {"id": "b", "x": 1}]}') == {
        "a": "sha256:1",
        "b": "",
    }
    with pytest.raises(BadAnswer):
        models(b'{"data": 7}')


def test_an_answer_without_end_is_not_waited_for(start: Callable[..., Fake]) -> None:
    """Were it read on, nothing would be asked a second time within the deadline."""

    def endless(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        handler.close_connection = True
        with contextlib.suppress(OSError):
            while not handler.server.stopping.is_set():
                handler.wfile.write(100_000 * b" ")

    fake = start(lambda n, b: endless if n == 1 else completion(b))
    with OpenAIServer(fake.url, "", concurrency=1, deadline=50.0) as server:
        assert server.sample([REQUEST])[0][0].text == "1.0"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "X-GZIP"])
def test_an_answer_that_is_compressed_unasked_is_read(start: Callable[..., Fake], encoding: str) -> None:
    pack = zlib.compress if encoding == "deflate" else gzip.compress
    fake = start(lambda n, b: (200, {"Content-Encoding": encoding}, pack(completion(b)[2])))
    with OpenAIServer(fake.url, "", concurrency=1, deadline=20.0) as server:
        assert server.sample([REQUEST])[0][0].text == "1.0"


def test_no_more_is_unpacked_than_an_answer_can_have() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(BadAnswer, match="more than 100,000 bytes"):
        decoded(bomb, "gzip", 100_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


@pytest.mark.parametrize(("raw", "encoding"), [(b"x", "br"), (b"x", "gzip, gzip"), (b"x", "gzip"), (b"x", "\x1b[2J")])
def test_an_encoding_that_cannot_be_read_is_a_bad_answer(raw: bytes, encoding: str) -> None:
    with pytest.raises(BadAnswer) as e:
        decoded(raw, encoding, 100)
    assert str(e.value).isprintable()
