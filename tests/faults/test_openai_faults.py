"""A model server that misbehaves: what is retried, what fails at once, what the user is told."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mmst.core.errors import SamplerError
from mmst.core.ports import Completion, Request, Unfinished
from mmst.inference.providers import openai
from mmst.inference.providers.openai import OpenAIServer
from tests.support.openai_stub import (
    FAULTS,
    NO_HTTP,
    SLOW_BODY,
    SLOW_CHUNKS,
    SLOW_HEADERS,
    SLOW_STATUS,
    Answer,
    Behaviour,
    Fake,
    Handler,
    Wire,
    completion,
    hang,
    mixed,
    starting,
)


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    with starting() as begin:
        yield begin


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.02)


def ask(seed: int = 1, n: int = 2, **other: Any) -> Request:
    settings = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": ("\n\n",), **other}
    return Request(id=f"r{seed}", prompt="Question: ?", n=n, seed=seed, **settings)


def client(server: Fake, model: str = "", *, concurrency: int = 4, deadline: float = 20.0, **o: Any) -> OpenAIServer:
    return OpenAIServer(server.url, model, concurrency=concurrency, deadline=deadline, **o)


def failures(answers: list[list[Completion]]) -> list[str]:
    """Why each request failed; "" where it did not. A request fails whole, here."""
    assert all(c.failure == answer[0].failure for answer in answers for c in answer)
    assert all((c.finish == "failed") == bool(c.failure) and not (c.failure and c.text) for a in answers for c in a)
    return [answer[0].failure for answer in answers]


def first_bad(bad: Answer | Wire | None) -> Behaviour:
    return lambda attempt, body: bad if attempt == 1 else completion(body)


def test_choices_come_back_in_order_with_all_tokens_counted(start: Callable[..., Fake]) -> None:
    done: list[int] = []
    with client(start(lambda attempt, body: completion(body))) as server:
        answers = server.sample([ask(1), ask(2)], done.append)
    assert [[c.text for c in answer] for answer in answers] == [["1.0", "1.1"], ["2.0", "2.1"]]
    assert [c.tokens for c in answers[0]] == [2, 2]
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
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "repeat_penalty": 1.0,
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


@pytest.mark.parametrize("status", [400, 406, 411, 412, 413, 414, 415, 418, 422, 424, 431, 451])
def test_one_request_that_is_refused_fails_at_once_with_the_server_s_words_and_the_others_do_not(
    start: Callable[..., Fake], status: int
) -> None:
    refusal = json.dumps({"error": {"message": "the prompt is too long"}}).encode()
    fake = start(lambda attempt, body: (status, {}, refusal) if body["seed"] == 3 else completion(body))
    done: list[int] = []
    with client(fake) as server:
        answers = server.sample([ask(i) for i in range(6)], done.append)
    assert failures(answers) == ["", "", "", f"HTTP {status}: the prompt is too long", "", ""]
    assert [c.text for c in answers[5]] == ["5.0", "5.1"]
    assert (len(fake.bodies), sum(done)) == (6, 12)


@pytest.mark.parametrize("status", [301, 308, 401, 402, 403, 404, 405, 407, 410])
def test_what_is_refused_to_all_stops_at_once_and_hands_over_what_was_finished(
    start: Callable[..., Fake], status: int
) -> None:
    behaviour: Behaviour = lambda attempt, body: completion(body) if attempt == 1 else (status, {}, b"no")  # noqa: E731
    fake = start(behaviour)
    with client(fake, concurrency=1) as server, pytest.raises(Unfinished, match=f"HTTP {status}: no.*Remedy") as e:
        server.sample([ask(i) for i in range(6)])
    assert [a is not None for a in e.value.answers] == [True] + 5 * [False]
    assert len(fake.bodies) == 3, "the second request, and a trifle"


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404])
def test_what_else_is_refused_to_all_fails_alone_where_a_trifle_is_completed(
    start: Callable[..., Fake], status: int
) -> None:
    refusal: tuple[int, dict[str, str], bytes] = (status, {}, b'{"error": {"message": "flagged"}}')
    fake = start(lambda attempt, body: refusal if body["seed"] == 3 else completion(body))
    with client(fake) as server:
        answers = server.sample([ask(i) for i in range(6)])
    assert failures(answers) == ["", "", "", f"HTTP {status}: flagged", "", ""]


def test_a_server_that_stays_broken_fails_at_the_deadline(start: Callable[..., Fake]) -> None:
    began = time.monotonic()
    with (
        client(start(lambda attempt, body: (500, {}, b"broken")), deadline=1.0) as server,
        pytest.raises(SamplerError, match=r"within 1 s: \d+ × HTTP 500: broken"),
    ):
        server.sample([ask()])
    assert time.monotonic() - began < 60


def test_the_second_half_of_the_deadline_is_used_too(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses that double would pass the end from its middle on: trouble of half the deadline must not be the end."""
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.5)
    well = time.monotonic() + 2.2
    fake = start(lambda attempt, body: completion(body) if time.monotonic() > well else (500, {}, b"broken"))
    with client(fake, deadline=3.2) as server:
        assert [c.text for c in server.sample([ask(n=1)])[0]] == ["1.0"]


def test_a_server_that_asks_for_more_time_than_there_is_fails_at_once(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: (503, {"Retry-After": "600"}, b"later"))
    began = time.monotonic()
    with client(fake) as server, pytest.raises(SamplerError, match=r"1 × HTTP 503: later"):
        server.sample([ask()])
    assert time.monotonic() - began < 60


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
        return (401, {}, b"no") if body["seed"] == 0 else (503, {}, b"wait")

    began = time.monotonic()
    with client(start(behaviour), deadline=600.0) as server, pytest.raises(SamplerError, match="HTTP 401: no"):
        server.sample([ask(i) for i in range(20)])
    assert time.monotonic() - began < 200


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
    assert time.monotonic() - began < 60


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


@pytest.mark.parametrize(
    "slow",
    [hang, SLOW_BODY, SLOW_CHUNKS, SLOW_HEADERS, SLOW_STATUS, NO_HTTP],
    ids=["hang", "body", "chunks", "headers", "status line", "no HTTP"],
)
def test_one_lost_connection_of_200_costs_seconds(start: Callable[..., Fake], slow: Wire) -> None:
    began = time.monotonic()
    with client(start(first_bad(slow)), concurrency=16, deadline=600.0) as server:
        answers = server.sample([ask(i) for i in range(200)])
    assert [[c.text for c in answer] for answer in answers] == [[f"{i}.0", f"{i}.1"] for i in range(200)]
    assert time.monotonic() - began < 200


@pytest.mark.parametrize("slow", [SLOW_BODY, SLOW_HEADERS], ids=["body", "headers"])
def test_a_server_that_trickles_for_ever_fails_at_the_deadline(start: Callable[..., Fake], slow: Wire) -> None:
    began = time.monotonic()
    with (
        client(start(lambda attempt, body: slow), deadline=1.5) as server,
        pytest.raises(SamplerError, match="within"),
    ):
        server.sample([ask()])
    assert time.monotonic() - began < 60


def test_a_slow_answer_that_comes_after_all_counts_though_it_was_asked_for_again(start: Callable[..., Fake]) -> None:
    """Half of the requests take longer than the patience that the other half teaches."""

    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        time.sleep(3.0 if body["seed"] % 2 else 0.0)
        return completion(body)

    fake = start(behaviour)
    with client(fake, concurrency=16, deadline=8.0) as server:
        answers = server.sample([ask(i) for i in range(16)])
    assert failures(answers) == [""] * 16


@pytest.mark.parametrize("trouble", [(500, {}, b"poison"), hang, SLOW_BODY, None], ids=["500", "hang", "slow", "cut"])
def test_one_request_that_is_never_answered_is_a_failed_one_when_others_are(
    start: Callable[..., Fake], trouble: Answer | Wire | None
) -> None:
    fake = start(lambda attempt, body: trouble if body["seed"] == 2 else completion(body))
    with client(fake, deadline=2.0) as server:
        answers = server.sample([ask(i) for i in range(5)])
    assert [f.split(":")[0] for f in failures(answers)] == ["", "", "deadline", "", ""]


def test_a_request_that_is_never_answered_is_known_by_a_trifle_that_is(start: Callable[..., Fake]) -> None:
    """The last one of a run, or one that is asked again: no other is answered while it waits."""
    fake = start(lambda attempt, body: completion(body) if body["max_tokens"] == 1 else (500, {}, b"poison"))
    with client(fake, deadline=1.0) as server:
        assert failures(server.sample([ask()]))[0].startswith("deadline: no completion within 1 s: ")


def test_a_server_that_answers_nothing_but_trifles_is_found_out_by_a_few_requests(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body) if body["max_tokens"] == 1 else (500, {}, b"no GPU"))
    began = time.monotonic()
    with client(fake, deadline=1.0) as server, pytest.raises(SamplerError, match="HTTP 500: no GPU"):
        server.sample([ask(i) for i in range(400)])
    assert time.monotonic() - began < 60


def test_a_far_off_retry_after_is_not_believed_of_a_server_that_answers_others(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: (503, {"Retry-After": "86400"}, b"") if attempt == 2 else completion(body))
    with client(fake, concurrency=1, deadline=5.0) as server:
        assert failures(server.sample([ask(i) for i in range(3)])) == ["", "", ""]


@pytest.mark.parametrize("header", ["inf", "nan", "-5", "soon", "", "Sun, 06 Nov 1994 08:49:37 GMT", "9" * 400])
def test_a_retry_after_that_says_nothing_is_an_ordinary_pause(start: Callable[..., Fake], header: str) -> None:
    began = time.monotonic()
    with client(start(first_bad((503, {"Retry-After": header}, b"")))) as server:
        assert failures(server.sample([ask()])) == [""]
    assert time.monotonic() - began < 15


def test_a_thousand_requests_through_thirty_percent_of_faults_lose_and_double_nothing(
    start: Callable[..., Fake],
) -> None:
    done: list[int] = []
    fake = start(mixed(0.3, FAULTS))
    with client(fake, concurrency=32, deadline=600.0) as server:
        answers = server.sample([ask(i) for i in range(1000)], done.append)
    assert [[c.text for c in answer] for answer in answers] == [[f"{i}.0", f"{i}.1"] for i in range(1000)]
    assert sum(done) == 2000
    assert len(fake.bodies) > 1300


def sent(data: bytes) -> Wire:
    """These bytes at once; the connection stays open."""

    def write(handler: Handler) -> None:
        handler.wfile.write(data)

    return write


def whole(body: dict[str, Any]) -> bytes:
    """A good answer as it is sent."""
    data = completion(body)[2]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def test_an_answer_behind_another_is_nobodys(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: sent(2 * whole(body)) if attempt % 2 else completion(body))
    with client(fake, concurrency=1) as server:
        answers = server.sample([ask(i) for i in range(6)])
    assert [[c.text for c in answer] for answer in answers] == [[f"{i}.0", f"{i}.1"] for i in range(6)]


def test_an_answer_before_the_right_one_is_not_taken(start: Callable[..., Fake]) -> None:
    stale = whole({"seed": 99, "n": 2})
    fake = start(lambda attempt, body: sent(stale + whole(body)) if attempt == 1 else completion(body))
    with client(fake, concurrency=1) as server:
        assert [c.text for c in server.sample([ask(1)])[0]] == ["1.0", "1.1"]


def test_a_line_end_behind_an_answer_harms_nothing(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: sent(whole(body) + b"\r\n"))
    with client(fake, concurrency=1) as server:
        assert failures(server.sample([ask(i) for i in range(4)])) == 4 * [""]
    assert len(fake.bodies) == 4


def test_a_choice_that_a_filter_took_fails_alone(start: Callable[..., Fake]) -> None:
    def filtered(attempt: int, body: dict[str, Any]) -> Answer:
        status, headers, data = completion(body)
        made = json.loads(data)
        made["choices"][0] |= {"finish_reason": "content_filter", "text": None}
        return status, headers, json.dumps(made).encode()

    with client(start(filtered)) as server:
        (answer,) = server.sample([ask(n=3)])
    assert [(c.text, c.finish) for c in answer] == [("1.0", "stop"), ("1.1", "stop"), ("", "failed")]
    assert answer[2].failure.startswith("content filter: ")


def test_another_model_s_answer_is_refused_with_the_remedy(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body, model="another-model"))
    with (
        client(fake) as server,
        pytest.raises(SamplerError, match=r"as model 'another-model', not 'm'.*Remedy"),
    ):
        server.sample([ask()])


@pytest.mark.parametrize("model", ["m", "", None])
def test_the_model_that_was_asked_for_or_none_named_is_taken(start: Callable[..., Fake], model: str | None) -> None:
    with client(start(lambda attempt, body: completion(body, model=model, system_fingerprint="fp"))) as server:
        assert failures(server.sample([ask()])) == [""]
        assert server.stated() == {"fingerprint": "fp"} | ({"model": model} if model else {})


def test_a_name_that_the_recipe_declares_is_the_one_that_is_expected(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body, model="m-2024-07-18" if attempt == 1 else "m"))
    with client(fake, answered="m-2024-07-18") as server:
        assert failures(server.sample([ask()])) == [""]
        with pytest.raises(SamplerError, match="as model 'm', not 'm-2024-07-18'"):
            server.sample([ask()])


def test_a_server_that_is_exchanged_under_way_is_noticed_by_its_model_name(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body, model="m" if attempt <= 10 else "m2"))
    with client(fake, concurrency=1) as server, pytest.raises(Unfinished, match="'m2'") as e:
        server.sample([ask(i) for i in range(20)])
    assert sum(a is not None for a in e.value.answers) == 10


def test_a_server_that_is_exchanged_under_way_is_noticed_by_its_fingerprint(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: completion(body, system_fingerprint="fp_1" if attempt <= 10 else "fp_2"))
    with client(fake, concurrency=1) as server, pytest.raises(Unfinished, match=r"replaced.*fp_1.*fp_2") as e:
        server.sample([ask(i) for i in range(20)])
    assert sum(a is not None for a in e.value.answers) == 10


def test_a_server_that_is_exchanged_under_way_is_noticed_by_the_checkpoint_that_it_states(
    start: Callable[..., Fake],
) -> None:
    def listing(n: int) -> Answer:
        return 200, {}, json.dumps({"data": [{"id": "m", "checkpoint": "sha256:" + ("a" if n <= 3 else "b")}]}).encode()

    fake = start(lambda attempt, body: completion(body), listing=listing)
    with client(fake) as server:
        server.sample([ask(1)])
        with pytest.raises(SamplerError, match=r"replaced.*sha256:a.*sha256:b") as e:
            server.sample([ask(2)])
    assert not isinstance(e.value, Unfinished), "nobody knows which of them answered"


def test_the_key_is_sent_and_never_shown(start: Callable[..., Fake], caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-Secret123"
    caplog.set_level("DEBUG")
    fake = start(lambda attempt, body: (401, {}, f'{{"error": {{"message": "wrong key: {key}"}}}}'.encode()))
    server = client(fake, key=key)
    with server, pytest.raises(SamplerError, match=r"wrong key: \*\*\*") as e:
        server.sample([ask()])
    assert fake.headers[0]["Authorization"] == f"Bearer {key}"
    seen = [repr(server), repr(vars(server).get("server")), str(e.value), repr(e.value.__cause__), caplog.text]
    assert not [text for text in seen if key in text]


def test_a_server_s_words_come_as_one_plain_line(start: Callable[..., Fake]) -> None:
    words = json.dumps({"error": {"message": "\x1b]0;owned\x07\x1b[2J bad\r\n\u202eprompt\u0000" + 500 * "x"}}).encode()
    with client(start(lambda attempt, body: (400, {}, words))) as server:
        (failure,) = failures(server.sample([ask()]))
    assert failure.isprintable()
    assert "bad" in failure
    assert len(failure) < 400


def test_nothing_of_a_server_s_cookies_is_kept(start: Callable[..., Fake]) -> None:
    fake = start(lambda attempt, body: (200, {"Set-Cookie": f"a{attempt}=1; Path=/"}, completion(body)[2]))
    with client(fake) as server:
        server.sample([ask(i) for i in range(5)])
    assert not [headers for headers in fake.headers if "Cookie" in headers]
