"""What every sampler fulfils: the model in process, the same model behind HTTP, recorded completions."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mmst.core.ports import Request, Sampler  # noqa: E402
from mmst.inference.providers.openai import OpenAIServer  # noqa: E402
from mmst.inference.providers.own_server import started  # noqa: E402
from mmst.inference.providers.recorded import Recorded  # noqa: E402
from mmst.inference.providers.transformers import LocalModel  # noqa: E402
from tests.support.serving import MMST_SERVE, Served, request_of  # noqa: E402

KINDS = (
    "recorded",
    "local",
    "ctranslate2",
    pytest.param("openai", marks=pytest.mark.server),
    pytest.param("server", marks=pytest.mark.server),
)
REQUESTS = [request_of(i) for i in range(6)]


@pytest.fixture(scope="module", params=KINDS)
def sampler(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampler]:
    if request.param == "local":
        folder: Path = request.getfixturevalue("model_folder")
        with LocalModel(folder, dtype="float32", batch=64, trust_remote_code=False) as model:
            yield model
    elif request.param == "ctranslate2":
        pytest.importorskip("ctranslate2")
        from mmst.inference.providers.ctranslate2 import Ctranslate2Model
        from mmst.inference.providers.ctranslate2_convert import converted

        folder = request.getfixturevalue("model_folder")
        with Ctranslate2Model(folder, converted(folder, "int8"), dtype="int8", batch=64) as fast:
            yield fast
    elif request.param == "server":
        pytest.importorskip("kserve")
        folder = request.getfixturevalue("model_folder")
        with started(MMST_SERVE, folder, "float32") as url, OpenAIServer(url, "", concurrency=4, deadline=60.0) as own:
            yield own
    elif request.param == "openai":
        pytest.importorskip("kserve")
        served: Served = request.getfixturevalue("served")
        with OpenAIServer(served.url, "", concurrency=4, deadline=200.0) as server:
            yield server
    else:
        path = tmp_path_factory.mktemp("recorded") / "completions.jsonl"
        lines = [
            {"problem_id": r.problem_id, "method": r.method, "completion": f"{r.id}.{j}"}
            for r in REQUESTS
            for j in range(r.n)
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
        yield Recorded(path)


def test_each_request_gets_its_n_completions_in_order(sampler: Sampler) -> None:
    assert [len(answer) for answer in sampler.sample(REQUESTS)] == [r.n for r in REQUESTS]


def test_the_same_requests_get_the_same_completions(sampler: Sampler) -> None:
    assert sampler.sample(REQUESTS) == sampler.sample(REQUESTS)


def test_the_order_of_the_requests_changes_nothing_else(sampler: Sampler) -> None:
    assert sampler.sample(REQUESTS[::-1])[::-1] == sampler.sample(REQUESTS)


def test_a_request_alone_gets_what_it_gets_among_others(sampler: Sampler) -> None:
    assert sampler.sample(REQUESTS[3:4]) == sampler.sample(REQUESTS)[3:4]


def test_progress_adds_up(sampler: Sampler) -> None:
    done: list[int] = []
    sampler.sample(REQUESTS, done.append)
    assert sum(done) == sum(r.n for r in REQUESTS)


def test_tokens_are_told_as_they_come(sampler: Sampler) -> None:
    told: list[int] = []
    answers = sampler.sample(REQUESTS, lambda n: None, told.append)
    if told:  # recorded completions are no work
        assert sum(told) == sum(c.tokens for answer in answers for c in answer)


def test_no_request_is_no_answer(sampler: Sampler) -> None:
    sample: Callable[[Sequence[Request]], object] = sampler.sample
    assert sample([]) == []


def test_completions_say_how_they_ended_and_what_they_cost(sampler: Sampler) -> None:
    for request, answer in zip(REQUESTS, sampler.sample(REQUESTS), strict=True):
        for c in answer:
            assert c.finish in ("stop", "length")
            assert 0 < c.tokens <= request.max_tokens
            assert c.prompt_tokens > 0
            assert not any(s in c.text for s in request.stop)
