"""Servers that differ from the standard, each found out by its answers and asked accordingly from then on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.core.records import seed_of
from mmst.inference.providers import openai
from mmst.inference.providers.openai import OpenAIServer
from mmst.inference.providers.openai_dialect import Dialect
from tests.support.openai_stub import FAULTS, Answer, Fake, chat, completion, mixed, starting

HELLO = ({"role": "user", "content": "Hello"},)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fake]]:
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.02)
    with starting() as begin:
        yield begin


def ask(seed: int = 1, prompt: str = "<s>[INST] Hello [/INST]", n: int = 1, **other: Any) -> Request:
    settings = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "stop": (), "messages": HELLO, **other}
    return Request(id=f"r{seed}", prompt=prompt, n=n, seed=seed, **settings)


def client(fake: Fake, dialect: Dialect | None = None, **options: Any) -> OpenAIServer:
    return OpenAIServer(fake.url, "", **{"concurrency": 4, "deadline": 20.0, **options}, dialect=dialect)


def error(status: int, message: str) -> Answer:
    return status, {}, json.dumps({"error": {"message": message}}).encode()


def refusing(status: int, *keys: str) -> Callable[[int, dict[str, Any]], Answer]:
    """A server that knows the standard alone."""

    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        unknown = [key for key in keys if key in body]
        return error(status, f"Unrecognized request argument supplied: {unknown[0]}") if unknown else completion(body)

    return behaviour


# --- one start token


def test_a_prompt_that_begins_with_the_start_token_is_sent_so_that_no_second_is_added(
    start: Callable[..., Fake],
) -> None:
    fake = start(lambda n, body: completion(body))
    with client(fake, Dialect(start="<s>"), concurrency=1) as server:
        server.sample([ask(1), ask(2, "Question: ?")])
    told = [(body["prompt"], body.get("add_special_tokens")) for body in fake.bodies if body["max_tokens"] > 1]
    assert told == [("<s>[INST] Hello [/INST]", False), ("Question: ?", None)]


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_to_add_none_adds_the_only_one(start: Callable[..., Fake], status: int) -> None:
    fake = start(refusing(status, "add_special_tokens"))
    with client(fake, Dialect(start="<s>"), concurrency=1) as server:
        answers = server.sample([ask(1), ask(2), ask(3)])
    assert [a[0].text for a in answers] == ["1.0", "2.0", "3.0"]
    prompts = [body["prompt"] for body in fake.bodies]
    assert prompts == ["<s>[INST] Hello [/INST]", *3 * ["[INST] Hello [/INST]"]]


def test_many_requests_that_are_refused_for_a_key_at_once_are_all_asked_again(start: Callable[..., Fake]) -> None:
    fake = start(refusing(400, "add_special_tokens", "stop_token_ids"))
    with client(fake, Dialect(start="<s>", turn_end="<|im_end|>", turn_end_token=7), concurrency=16) as server:
        answers = server.sample([ask(i) for i in range(40)])
    assert [a[0].text for a in answers] == [f"{i}.0" for i in range(40)]


def test_a_server_that_names_the_key_for_ever_is_believed_once(start: Callable[..., Fake]) -> None:
    fake = start(
        lambda n, body: error(400, "add_special_tokens is not what I like") if body["seed"] else completion(body)
    )
    with client(fake, Dialect(start="<s>")) as server:
        (answer,) = server.sample([ask(1)])
    assert answer[0].failure == "HTTP 400: add_special_tokens is not what I like"
    assert len(fake.bodies) == 2


# --- the end of a turn


def test_a_model_with_turns_is_stopped_at_their_end(start: Callable[..., Fake]) -> None:
    fake = start(lambda n, body: completion(body))
    with client(fake, Dialect(turn_end="<|im_end|>", turn_end_token=7), concurrency=1) as server:
        server.sample([ask(1, stop=("\n\n",)), ask(2, stop=("<|im_end|>",))])
    assert [body["stop"] for body in fake.bodies] == [["\n\n", "<|im_end|>"], ["<|im_end|>"]]
    assert [body["stop_token_ids"] for body in fake.bodies] == [[7], [7]]


def test_a_server_that_takes_no_tokens_to_stop_at_gets_the_text_alone(start: Callable[..., Fake]) -> None:
    fake = start(refusing(400, "stop_token_ids"))
    with client(fake, Dialect(turn_end="<|im_end|>", turn_end_token=7), concurrency=1) as server:
        server.sample([ask(1), ask(2)])
    assert ["stop_token_ids" in body for body in fake.bodies] == [True, False, False]
    assert {tuple(body["stop"]) for body in fake.bodies} == {("<|im_end|>",)}


# --- chat alone


def chats_only(attempt: int, body: dict[str, Any]) -> Answer:
    return chat(body) if "messages" in body else error(404, "Not Found")


def test_a_server_that_has_only_the_chat_protocol_is_sent_the_messages_and_that_is_stated(
    start: Callable[..., Fake],
) -> None:
    fake = start(chats_only)
    with client(fake, Dialect(start="<s>"), concurrency=8) as server:
        answers = server.sample([ask(i, n=2) for i in range(30)])
        assert server.stated() == {"protocol": "chat"}
    assert [[c.text for c in a] for a in answers] == [[f"{i}.0", f"{i}.1"] for i in range(30)]
    asked = [body for body in fake.bodies if body["max_tokens"] > 1 and "messages" in body]
    assert [body["messages"] for body in asked] == 30 * [list(HELLO)]
    assert not [body for body in asked if "prompt" in body or "add_special_tokens" in body]
    assert fake.paths[-1] == "/v1/chat/completions"


def test_prompts_that_are_no_messages_are_not_dressed_up_as_such(start: Callable[..., Fake]) -> None:
    with (
        client(start(chats_only)) as server,
        pytest.raises(SamplerError, match=r"only the chat protocol.*prompt\.style=chat"),
    ):
        server.sample([ask(1, "Question: ?", messages=())])


def test_a_model_that_is_not_there_is_not_asked_for_by_chat(start: Callable[..., Fake]) -> None:
    fake = start(lambda n, body: error(404, "The model `m` does not exist"))
    with client(fake) as server, pytest.raises(SamplerError, match="HTTP 404: The model `m` does not exist"):
        server.sample([ask(1)])
    assert not server.dialect.chat


def test_a_server_that_has_both_protocols_and_refuses_a_prompt_is_not_asked_by_chat(start: Callable[..., Fake]) -> None:
    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        return error(404, "flagged") if body["seed"] == 1 else chat(body) if "messages" in body else completion(body)

    fake = start(behaviour)
    with client(fake, concurrency=1) as server:
        flagged, other = server.sample([ask(1), ask(2)])
    assert (flagged[0].failure, other[0].text) == ("HTTP 404: flagged", "2.0")
    assert not [body for body in fake.bodies if "messages" in body]


def test_a_chat_answer_without_text_is_a_bad_one(start: Callable[..., Fake]) -> None:
    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        answer = chats_only(attempt, body)
        if "messages" not in body or body["max_tokens"] == 1 or attempt > 4:
            return answer
        return answer[0], answer[1], answer[2].replace(b'"1.0"', b"null")

    fake = start(behaviour)
    with client(fake) as server:
        assert server.sample([ask(1)])[0][0].text == "1.0"
    assert len(fake.bodies) == 5  # no completions, two trifles, without text, and again


# --- one completion at a time


def one_whatever(attempt: int, body: dict[str, Any]) -> Answer:
    return completion({**body, "n": 1})


def one_only(attempt: int, body: dict[str, Any]) -> Answer:
    return completion(body) if body["n"] == 1 else error(400, "Only one completion choice is allowed")


@pytest.mark.parametrize("behaviour", [one_whatever, one_only])
def test_a_server_without_n_is_asked_n_times_with_seeds_of_their_own(
    start: Callable[..., Fake], behaviour: Any
) -> None:
    fake = start(behaviour)
    with client(fake, concurrency=1) as server:
        answers = server.sample([ask(1, n=4), ask(2, n=3)])
    assert [[c.text for c in a] for a in answers] == [
        [f"{seed_of(1, j)}.0" for j in range(4)],
        [f"{seed_of(2, j)}.0" for j in range(3)],
    ]
    found_out = [body for body in fake.bodies if body["n"] > 1]
    assert len(found_out) == 4  # for each n a request, and a trifle
    assert len({body["seed"] for body in fake.bodies if body["max_tokens"] > 1 and body["n"] == 1}) == 7


def test_one_answer_that_is_too_short_does_not_make_a_server_one_without_n(start: Callable[..., Fake]) -> None:
    fake = start(lambda n, body: one_whatever(n, body) if n == 1 else completion(body))
    with client(fake) as server:
        assert [c.text for c in server.sample([ask(1, n=2)])[0]] == ["1.0", "1.1"]


def test_a_server_that_gives_a_few_at_once_is_asked_one_by_one_for_more(start: Callable[..., Fake]) -> None:
    fake = start(lambda n, body: error(400, "n must be below 9") if body["n"] > 8 else completion(body))
    with client(fake) as server:
        many, few = server.sample([ask(1, n=9), ask(2, n=2)])
    assert [c.text for c in many] == [f"{seed_of(1, j)}.0" for j in range(9)]
    assert [c.text for c in few] == ["2.0", "2.1"]


def test_a_server_without_n_that_has_faults_loses_and_doubles_nothing(start: Callable[..., Fake]) -> None:
    quick = {name: kind for name, kind in FAULTS.items() if name in ("503", "429", "reset", "cut", "HTML")}
    faulty = mixed(0.3, quick)
    fake = start(lambda n, body: faulty(n, {**body, "n": 1}))
    with client(fake, concurrency=16) as server:
        answers = server.sample([ask(i, n=3) for i in range(60)])
    assert [[c.text for c in a] for a in answers] == [[f"{seed_of(i, j)}.0" for j in range(3)] for i in range(60)]


# --- a prompt that is too long, in the servers' own words

TOO_LONG = {
    "vLLM": (400, b'{"object":"error","message":"This model\'s maximum context length is 2048 tokens. However, you '
    b'requested 2100 tokens (2093 in the messages, 7 in the completion). Please reduce the length of the messages or '
    b'completion.","type":"BadRequestError","param":null,"code":400}'),
    "vLLM since 0.10": (400, b'{"error":{"message":"This model\'s maximum context length is 2048 tokens. However, your '
    b'request has 2093 input tokens.","type":"BadRequestError","param":null,"code":400}}'),
    "TGI": (422, b'{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2093 '
    b'`inputs` tokens and 7 `max_new_tokens`","error_type":"validation"}'),
    "llama.cpp": (400, b'{"error":{"code":400,"message":"the request exceeds the available context size. try '
    b'increasing the context size or enable context shift","type":"exceed_context_size_error","n_ctx":2048}}'),
}  # fmt: skip


@pytest.mark.parametrize("server_of", TOO_LONG)
def test_a_prompt_that_is_too_long_fails_its_request_by_name_and_no_other(
    start: Callable[..., Fake], server_of: str
) -> None:
    status, said = TOO_LONG[server_of]
    fake = start(lambda n, body: (status, {}, said) if len(body["prompt"]) > 100 else completion(body))
    with client(fake) as server:
        short, long, other = server.sample([ask(1, n=2), ask(2, 200 * "x", n=2), ask(3, n=2)])
    assert [c.finish for c in (*short, *other)] == 4 * ["stop"]
    assert [c.finish for c in long] == ["failed", "failed"]
    assert long[0].failure.startswith(f"HTTP {status}: ")
    assert "context" in long[0].failure or "inputs" in long[0].failure
