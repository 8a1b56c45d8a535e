"""What real servers said on the wire, and how they are asked from then on: the answers are theirs, recorded."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.core.records import seed_of
from mmst.inference.providers import openai, openai_trifles
from mmst.inference.providers.openai import OpenAIServer
from mmst.inference.providers.openai_dialect import NEUTRAL, Dialect
from tests.support.openai_stub import Answer, Behaviour, Fake, completion, hang, starting

LLAMA = "/models/qwen-0.5b.gguf"
PINNED = "/models/qwen-0.5b"


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Fake]]:
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.02)
    with starting() as begin:
        yield begin


def ask(seed: int = 1, n: int = 1, **other: Any) -> Request:
    settings = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 8, "stop": (), "prompt": "Q: 2+3? A:", **other}
    return Request(id=f"r{seed}", n=n, seed=seed, **settings)


def client(fake: Fake, model: str = "", **options: Any) -> OpenAIServer:
    return OpenAIServer(fake.url, model, **{"concurrency": 4, "deadline": 20.0, **options})


# --- llama.cpp


def llama(attempt: int, body: dict[str, Any]) -> Answer:
    """Four slots; `usage` counts the first completion alone, and unknown keys are ignored."""
    if body["n"] > 4:
        said = f"Field 'n': Value must be between 1 <= value <= 4, but got {body['n']}"
        return 400, {}, json.dumps({"error": {"code": 400, "message": said, "type": "invalid_request_error"}}).encode()
    choices = [
        {"text": f"{body['seed']}.{j}", "index": j, "logprobs": None, "finish_reason": "length"}
        for j in range(body["n"])
    ]
    read, drawn = 9 + body["prompt"].startswith("<s>"), body["max_tokens"]
    data = {
        "choices": choices,
        "created": 1796026807,
        "model": LLAMA,
        "system_fingerprint": "b0-unknown",
        "object": "text_completion",
        "usage": {
            "completion_tokens": drawn,
            "prompt_tokens": read,
            "total_tokens": read + drawn,
            "prompt_tokens_details": {"cached_tokens": 8},
        },
        "id": "chatcmpl-F98byN22y5GhdrlN9DU3Jt2r8bPIHYVx",
        "timings": {"cache_n": 8, "prompt_n": 1, "prompt_ms": 147.402, "predicted_n": drawn, "predicted_ms": 1748.09},
    }
    return 200, {}, json.dumps(data).encode()


@pytest.mark.parametrize("n", [3, 9])
def test_completions_that_a_server_refuses_or_does_not_count_are_asked_for_one_by_one(
    start: Callable[..., Fake], n: int
) -> None:
    with client(start(llama, models=(LLAMA,))) as server:
        (answer,) = server.sample([ask(1, n)])
    assert [(c.text, c.tokens) for c in answer] == [(f"{seed_of(1, j)}.0", 8) for j in range(n)]


def test_a_server_that_counts_the_tokens_of_all_its_completions_is_asked_for_all_at_once(
    start: Callable[..., Fake],
) -> None:
    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        status, headers, raw = llama(attempt, body)
        data = json.loads(raw)
        data["usage"]["completion_tokens"] *= body["n"]
        return status, headers, json.dumps(data).encode()

    with client(start(behaviour, models=(LLAMA,))) as server:
        (answer,) = server.sample([ask(1, 3)])
    assert [(c.text, c.tokens) for c in answer] == [(f"1.{j}", 8) for j in range(3)]


def test_a_server_that_puts_a_second_start_token_whatever_it_is_told_gets_prompts_without_one(
    start: Callable[..., Fake],
) -> None:
    fake = start(llama, models=(LLAMA,))
    with client(fake, dialect=Dialect(start="<s>", start_tokens=9), concurrency=1) as server:
        server.sample([ask(1, prompt="<s>Hello"), ask(2, prompt="<s>World")])
    asked = [body["prompt"] for body in fake.bodies if body["max_tokens"] > 1]
    assert asked == ["<s>Hello", "Hello", "World"]


def test_a_server_that_adds_no_start_token_by_itself_keeps_that_of_the_prompts(start: Callable[..., Fake]) -> None:
    fake = start(llama, models=(LLAMA,))
    with client(fake, dialect=Dialect(start="<s>", start_tokens=10), concurrency=1) as server:
        server.sample([ask(1, prompt="<s>Hello"), ask(2, prompt="<s>World")])
    assert [body["prompt"] for body in fake.bodies if body["max_tokens"] > 1] == ["<s>Hello", "<s>World"]


def test_what_a_server_would_do_by_default_is_switched_off(start: Callable[..., Fake]) -> None:
    fake = start(llama, models=(LLAMA,))
    with client(fake) as server:
        server.sample([ask()])
    assert {key: fake.bodies[0][key] for key in NEUTRAL} == NEUTRAL


# --- transformers serve


def transformers(attempt: int, body: dict[str, Any]) -> Answer:
    """Greedy whatever the temperature, one completion whatever `n`; unknown keys are refused all at once."""
    if unknown := [key for key in NEUTRAL if key in body]:
        return 422, {}, json.dumps({"detail": f"Unexpected fields in the request: {set(unknown)}"}).encode()
    if body["model"] != PINNED:
        return 400, {}, json.dumps({"detail": f"Server is pinned to '{PINNED}'; requested '{body['model']}'."}).encode()
    data = {
        "id": "2e092101-c099-4b47-a2af-b01c0cda60a0",
        "choices": [{"finish_reason": "stop", "index": 0, "text": " 2+3=5"}],
        "created": 1796027324,
        "model": f"{PINNED}@main",
        "object": "text_completion",
        "usage": {"completion_tokens": 6, "prompt_tokens": 9, "total_tokens": 15},
    }
    return 200, {}, json.dumps(data).encode()


def no_list(attempt: int) -> Answer:
    return 500, {"Content-Type": "text/plain; charset=utf-8"}, b"Internal Server Error"


def greedy(**settings: Any) -> Request:
    return ask(temperature=0.0, **settings)


@pytest.mark.parametrize("listing", [no_list, lambda attempt: (200, {}, b'{"object":"list","data":[]}')])
def test_a_model_that_the_server_does_not_list_is_there_if_it_answers_in_its_name(
    start: Callable[..., Fake], listing: Any
) -> None:
    fake = start(transformers, listing=listing)
    with client(fake, PINNED, answered=f"{PINNED}@main") as server:
        assert server.sample([greedy()])[0][0].text == " 2+3=5"


def test_the_first_trifle_of_a_server_that_lists_nothing_may_take_long(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_trifles, "OPEN_TIMEOUT", 0.2)
    fake = start(lambda n, body: hang if n == 1 else transformers(n, body), listing=no_list)
    with client(fake, own=PINNED) as server:
        assert server.stated() == {"model": f"{PINNED}@main"}


@pytest.mark.parametrize(
    ("model", "listing", "said"),
    [
        ("other", no_list, "no model server answers at .*HTTP 500: Internal Server Error"),
        ("other", None, "serves m, not 'other': set sampling.served_model"),
        (PINNED, None, f"answers as model '{PINNED}@main', not '{PINNED}'.*sampling.answered_model"),
    ],
)
def test_a_model_that_is_not_there_is_one_error(
    start: Callable[..., Fake], model: str, listing: Any, said: str
) -> None:
    with pytest.raises(SamplerError, match=said), client(start(transformers, listing=listing), model):
        pass


def test_a_server_that_was_started_here_is_asked_by_its_folder_and_may_answer_by_any_one_name(
    start: Callable[..., Fake],
) -> None:
    fake = start(lambda n, body: completion(body, model="b") if n > 2 else transformers(n, body), listing=no_list)
    with client(fake, own=PINNED, concurrency=1) as server:
        with pytest.raises(SamplerError, match=f"answers as model 'b', not '{PINNED}@main'"):
            server.sample([greedy(), greedy()])
        assert server.stated() == {"model": f"{PINNED}@main"}


def test_a_stop_string_that_a_server_leaves_in_the_text_is_cut_off(start: Callable[..., Fake]) -> None:
    fake = start(transformers, listing=no_list)
    with client(fake, own=PINNED, dialect=Dialect(turn_end="=")) as server:
        (one,), (other,) = server.sample([greedy(stop=("5", "3")), greedy(stop=("5",))])
    assert (one.text, one.finish, other.text) == (" 2+", "stop", " 2+3")


def test_a_server_that_draws_nothing_stops_the_stage(start: Callable[..., Fake]) -> None:
    fake = start(transformers, listing=no_list)
    with client(fake, own=PINNED) as server, pytest.raises(SamplerError, match=r"does not sample.*do_sample"):
        server.sample([ask(1, 4)])


def test_completions_that_are_the_same_by_chance_are_believed(start: Callable[..., Fake]) -> None:
    def behaviour(attempt: int, body: dict[str, Any]) -> Answer:
        status, headers, raw = completion(body)
        data = json.loads(raw)
        for choice in data["choices"] if body["temperature"] < 1 else ():
            choice["text"] = "5"
        return status, headers, json.dumps(data).encode()

    with client(start(behaviour)) as server:
        assert [c.text for c in server.sample([ask(1, 4)])[0]] == 4 * ["5"]


def test_a_greedy_request_may_have_the_same_completion_n_times(start: Callable[..., Fake]) -> None:
    with client(start(transformers, listing=no_list), own=PINNED) as server:
        assert [c.text for c in server.sample([greedy(n=2)])[0]] == 2 * [" 2+3=5"]


# --- vLLM


def vllm(attempt: int, body: dict[str, Any]) -> Answer:
    """Several completions at once, except greedy ones."""
    if body["n"] > 1 and body["temperature"] == 0:
        said = f"n must be 1 when using greedy sampling, got {body['n']}."
        data: dict[str, Any] = {"message": said, "type": "BadRequestError", "param": None, "code": 400}
        return 400, {}, json.dumps({"error": data}).encode()
    nothing = {"stop_reason": None, "token_ids": None, "prompt_logprobs": None, "prompt_token_ids": None}
    choices = [
        {"index": j, "text": f"{body['seed']}.{j}", "logprobs": None, "finish_reason": "length", **nothing}
        for j in range(body["n"])
    ]
    tokens = body["n"] * body["max_tokens"]
    data = {
        "id": "cmpl-b2c19e5bfc2a630c",
        "object": "text_completion",
        "created": 1796029852,
        "model": "m",
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": "vllm-0.32.0-0353e00a",
        "usage": {"prompt_tokens": 9, "total_tokens": 9 + tokens, "completion_tokens": tokens},
    }
    return 200, {}, json.dumps(data).encode()


def test_a_server_that_gives_one_greedy_completion_gives_others_at_once(start: Callable[..., Fake]) -> None:
    with client(start(vllm)) as server:
        drawn, sure = server.sample([ask(1, 3), greedy(seed=2, n=2)])
    assert [(c.text, c.tokens) for c in drawn] == [(f"1.{j}", 8) for j in range(3)]
    assert [c.text for c in sure] == [f"{seed_of(2, j)}.0" for j in range(2)]


# --- any


def test_a_server_that_refuses_our_keys_without_naming_them_is_asked_by_the_standard(
    start: Callable[..., Fake],
) -> None:
    behaviour: Behaviour = lambda n, body: (422, {}, b"{}") if NEUTRAL.keys() & body.keys() else completion(body)  # noqa: E731
    with client(start(behaviour)) as server:
        answers = server.sample([ask(i) for i in range(8)])
    assert [a[0].text for a in answers] == [f"{i}.0" for i in range(8)]
