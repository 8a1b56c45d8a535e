"""`mmst serve` as a real KServe process: the protocol, batching, equality with the model in process, the end.

The samplers' common properties are tested here and in `test_samplers.py` against this same process.
"""

import concurrent.futures
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("kserve")
openai = pytest.importorskip("openai")

from mmst.core.errors import SetupError  # noqa: E402
from mmst.core.hashes import files_of  # noqa: E402
from mmst.core.records import digest  # noqa: E402
from mmst.inference.providers.openai import OpenAIServer  # noqa: E402
from mmst.inference.server.app import serve  # noqa: E402
from tests.support.serving import NAME, Served, request_of, serving  # noqa: E402

pytestmark = pytest.mark.server


@pytest.fixture
def client(served: Served) -> Any:
    return openai.OpenAI(base_url=served.url, api_key="none", max_retries=0)


def complete(client: Any, prompt: str = "Question: a\nText:\n", **settings: Any) -> Any:
    return client.completions.create(**{"model": NAME, "prompt": prompt, "max_tokens": 8, "seed": 3, **settings})


def test_the_openai_client_gets_n_completions_with_usage(client: Any) -> None:
    answer = complete(client, n=3)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    assert {c.finish_reason for c in answer.choices} <= {"stop", "length"}
    assert 3 <= answer.usage.completion_tokens <= 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_answers_say_which_weights_they_are_of(client: Any, served: Served) -> None:
    said = {complete(client, seed=i).system_fingerprint for i in range(3)}
    assert said == {digest({e.name: e.sha256 for e in files_of(served.folder)})}


def test_a_seed_gives_the_same_text_again_and_another_one_another(client: Any) -> None:
    def texts(seed: int) -> list[str]:
        return [c.text for c in complete(client, n=4, seed=seed).choices]

    assert texts(3) == texts(3) != texts(4)


def test_a_stop_string_is_cut_off(client: Any) -> None:
    whole = complete(client, max_tokens=40).choices[0].text
    stop = [c for c in whole if c.isascii()][-1]
    stopped = complete(client, max_tokens=40, stop=[stop]).choices[0]
    assert (stopped.text, stopped.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_logprobs_of_the_chosen_tokens(client: Any) -> None:
    choice = complete(client, temperature=0.0, logprobs=0).choices[0]
    assert len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) == 8
    assert all(p <= 0 for p in choice.logprobs.token_logprobs)


@pytest.mark.parametrize(
    ("settings", "status", "named"),
    [
        ({"echo": True}, 400, "echo"),
        ({"n": 0}, 400, "n"),
        ({"temperature": -1}, 400, "temperature"),
        ({"max_tokens": "many"}, 400, "max_tokens"),
        ({"logprobs": 3}, 400, "logprobs"),
        ({"stop": ""}, 400, "stop"),
        ({"prompt": ""}, 400, "prompt"),
        ({"prompt": "x" * 600}, 400, "600 tokens"),
        ({"model": "gpt-9"}, 404, "gpt-9"),
    ],
)
def test_what_is_not_served_is_refused_by_name(served: Served, settings: Any, status: int, named: str) -> None:
    body = {"model": NAME, "prompt": "a", **settings}
    answer = httpx.post(f"{served.url}/completions", json=body, timeout=60)
    assert answer.status_code == status
    assert named in answer.json()["error"]["message"]


def test_a_prompt_is_taken_as_it_is_where_nothing_would_be_added(served: Served) -> None:
    body = {"model": NAME, "prompt": "<s>a", "seed": 1, "max_tokens": 5}
    answers = [
        httpx.post(f"{served.url}/completions", json=body | more, timeout=60).json()["choices"]
        for more in ({}, {"add_special_tokens": False}, {"add_special_tokens": True})
    ]
    assert answers[0] == answers[1] == answers[2]


def test_health_models_and_metrics(served: Served, client: Any) -> None:
    complete(client)
    root = served.url.removesuffix("/openai/v1")
    assert httpx.get(f"{root}/v2/health/ready").json() == {"ready": True}
    assert httpx.get(f"{root}/v1/models").json() == {"models": [NAME]}
    assert [m.id for m in client.models.list().data] == [NAME]
    metrics = httpx.get(f"{root}/metrics").text
    for name in ('mmst_completion_requests_total{status="200"}', "mmst_completion_tokens_total", "mmst_batch_rows_sum"):
        assert name in metrics


def test_sixteen_clients_at_once_get_what_each_gets_alone_in_process(served: Served) -> None:
    requests = [request_of(i) for i in range(32)]
    with OpenAIServer(served.url, "", concurrency=16, deadline=200.0) as server:
        assert server.sample(requests) == served.in_process(requests)


def test_requests_of_many_clients_are_batched(served: Served, client: Any) -> None:
    def rows() -> tuple[float, float]:
        text = httpx.get(f"{served.url.removesuffix('/openai/v1')}/metrics").text
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("mmst_batch_rows_"))
        return float(values["mmst_batch_rows_sum"]), float(values["mmst_batch_rows_count"])

    before = rows()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: complete(client, seed=i, max_tokens=40), range(16)))
    after = rows()
    assert (after[0] - before[0]) / (after[1] - before[1]) > 2


def test_sigterm_lets_requests_under_way_end_and_exits_0(model_folder: Path) -> None:
    with serving(model_folder) as served:
        answers: list[httpx.Response] = []
        body = {"model": NAME, "prompt": "a", "max_tokens": 200, "n": 16, "temperature": 2.0}
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{served.url}/completions", json=body, timeout=120))
        )
        asking.start()
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        asking.join(120)
        assert [a.status_code for a in answers] == [200]
        assert served.process.wait(60) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{served.url}/models")


def test_a_folder_that_cannot_be_served_is_refused_with_the_reason(tmp_path: Path) -> None:
    code = f"from mmst.inference.server.app import serve; serve({str(tmp_path)!r}, name='m', port=0)"
    from tests.support.serving import PYTHON

    failed = subprocess.run([*PYTHON, code], capture_output=True, text=True, timeout=200, check=False)
    assert failed.returncode != 0
    assert "ModelError" in failed.stderr
    assert "tokenizer" in failed.stderr


def test_it_says_what_it_loads_and_then_where_it_serves(served: Served) -> None:
    port = served.url.split(":")[2].split("/")[0]
    said = (served.folder.parent / f"serve-{port}.log").read_text().splitlines()
    loading = said.index(f"mmst: loading {served.folder} as float32")
    [serves] = [n for n, line in enumerate(said) if f" at {served.url};" in line]
    assert loading < serves
    assert re.search(r"serving tiny, \d[\d,]* parameters, at ", said[serves])


def test_an_address_that_is_taken_is_refused_before_a_model_is_loaded(served: Served, tmp_path: Path) -> None:
    port = int(served.url.split(":")[2].split("/")[0])
    with pytest.raises(SetupError, match=rf"127\.0\.0\.1 port {port} \(Address already in use\).*--port"):
        serve(str(tmp_path), name="m", port=port, host="127.0.0.1")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "chat/completions"), ("GET", "completions"), ("DELETE", "models"), ("POST", "")]
)
def test_a_route_that_is_not_there_is_refused_with_those_that_are(served: Served, method: str, path: str) -> None:
    answer = httpx.request(method, f"{served.url}/{path}", timeout=60)
    assert answer.status_code == 404
    assert "POST /openai/v1/completions" in answer.json()["error"]["message"]
