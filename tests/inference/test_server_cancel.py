"""A request that nobody waits for any more leaves the decode loop within a step, wherever it is."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmst.core.errors import SamplerError  # noqa: E402
from mmst.core.ports import Request  # noqa: E402
from mmst.inference import decoding as decodings  # noqa: E402
from mmst.inference.decoding import Decoding  # noqa: E402
from mmst.inference.providers.transformers import LocalModel  # noqa: E402
from mmst.inference.server.batch import Batcher  # noqa: E402
from tests.support.tiny_models import tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny_model(tmp_path_factory.mktemp("model"), "llama")
    with LocalModel(folder, dtype="float32", batch=64, trust_remote_code=False) as loaded:
        loaded.tokens.end_tokens = frozenset()  # nothing ends before its budget
        yield loaded


def ask(i: int = 0, **other: Any) -> Request:
    settings: dict[str, Any] = {
        "n": 8,
        "seed": i,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 300,
        "stop": (),
    } | other
    return Request(id=f"r{i}", prompt=f"Question: {i}\nText:\n", **settings)


class Steps:
    """Holds the loop between its steps: what happens then happens at a known place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may, self.did, self.n, plain = threading.Semaphore(0), threading.Semaphore(0), 0, Decoding.step

        def step(decoding: Decoding) -> Any:
            self.decoding = decoding
            self.did.release()
            assert self.may.acquire(timeout=30)
            self.n += 1
            return plain(decoding)

        monkeypatch.setattr(Decoding, "step", step)
        assert self.n == 0

    def wait(self) -> None:
        """Until the loop is about to make a step."""
        assert self.did.acquire(timeout=30)

    def step(self) -> None:
        """One step, until the next is due."""
        self.may.release()
        self.wait()

    def free(self) -> None:
        """No holding any more."""
        self.may.release(100_000)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.fixture
def batcher(model: LocalModel, steps: Steps) -> Iterator[Batcher]:
    running = Batcher(model)
    yield running
    steps.free()
    assert running.abort(SamplerError("over"), 30)


def live(steps: Steps) -> list[Any]:
    return [row for row in steps.decoding.slots if row is not None]


@pytest.mark.parametrize("n", [1, 8, 64])
def test_rows_under_way_are_decoded_at_most_once_more(batcher: Batcher, steps: Steps, n: int) -> None:
    rows = batcher.model.rows(ask(n=n))
    going, staying = batcher.add(rows), batcher.submit(ask(1, n=4, max_tokens=20))
    batcher.start()
    steps.wait()
    for _ in range(3):
        steps.step()
    before = len(rows[0].tokens)
    assert going.cancel()
    steps.step()
    assert {len(row.tokens) for row in rows} <= {before, before + 1}
    assert not [row for row in live(steps) if row.request.id == "r0"]
    assert not [row for row in steps.decoding.waiting if row.request.id == "r0"]
    assert len(batcher.owners) == 4
    steps.free()
    assert len(staying.result(30)) == 4


def test_rows_that_wait_for_a_slot_are_never_read(batcher: Batcher, steps: Steps) -> None:
    first = batcher.submit(ask(n=64))
    rows = batcher.model.rows(ask(1))
    waiting = batcher.add(rows)
    batcher.start()
    steps.wait()
    steps.step()
    assert len(steps.decoding.waiting) == 8
    assert waiting.cancel()
    steps.step()
    assert not steps.decoding.waiting
    assert len(batcher.owners) == 64
    assert first.cancel()
    assert not any(row.tokens for row in rows)


def test_rows_whose_prompts_turn_comes_in_a_long_reading_are_not_read(
    batcher: Batcher, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts are read in parts; who goes while one is read is not in the next."""
    monkeypatch.setattr(decodings, "PREFILL_TOKENS", 16)
    asked = [ask(i, n=2) for i in range(6)]
    futures = [batcher.submit(request) for request in asked]
    read: list[int] = []
    plain: Callable[..., None] = Decoding._prefill

    def prefill(decoding: Decoding, head: int, prompts: list[list[int]], *to: list[int]) -> None:
        plain(decoding, head, prompts, *to)
        read.append(len(prompts))
        for future in futures[:5]:
            future.cancel()

    monkeypatch.setattr(Decoding, "_prefill", prefill)
    batcher.start()
    steps.wait()
    steps.step()
    steps.step()
    assert sum(read) <= 2  # the one that was being read, and the one that stays
    assert {row.request.id for row in live(steps)} == {"r5"}
    steps.free()
    assert len(futures[5].result(60)) == 2


def test_those_who_stay_get_what_they_get_alone(model: LocalModel) -> None:
    alone = model.sample([ask(9, max_tokens=40)])[0]
    running = Batcher(model)
    going = [running.submit(ask(i, n=16)) for i in range(6)]
    staying = running.submit(ask(9, max_tokens=40))
    running.start()
    for future in going:
        future.cancel()
    assert [row.completion for row in staying.result(60)] == alone
    running.stop()


def test_after_all_have_gone_the_loop_takes_the_next(model: LocalModel) -> None:
    running = Batcher(model)
    running.start()
    for i in range(20):
        running.submit(ask(i)).cancel()
    assert len(running.submit(ask(1, max_tokens=3)).result(60)) == 8
    assert (running.open_rows, running.owners) == (0, {})
    running.stop()
