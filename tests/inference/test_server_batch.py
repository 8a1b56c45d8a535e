"""The server's batcher outlives what its clients and its model do."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.inference.server.batch import Batcher

ASKED = Request(id="r", prompt="a", n=2, seed=1, temperature=1.0, top_p=1.0, max_tokens=3, stop=())


class Loop:
    """A decode loop that ends every row in its first step, after failing as often as it is told."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures, self.waiting = failures, []  # type: ignore[var-annotated]

    @property
    def busy(self) -> bool:
        return bool(self.waiting)

    def add(self, rows: list[Any]) -> None:
        self.waiting += rows

    def step(self) -> list[Any]:
        if self.failures:
            raise self.failures.pop()
        ended, self.waiting = self.waiting, []
        return ended


def batcher(*failures: Exception) -> Batcher:
    left = list(failures)
    model: Any = SimpleNamespace(
        rows=lambda request: [SimpleNamespace(j=j) for j in range(request.n)], decoding=lambda: Loop(left)
    )
    return Batcher(model)


def test_a_failing_model_fails_the_requests_under_way_and_serves_the_next() -> None:
    running = batcher(KeyError("odd"), RuntimeError("CUDA error"))
    running.start()
    for _ in range(2):
        with pytest.raises(SamplerError):
            running.submit(ASKED).result(20)
    assert [row.j for row in running.submit(ASKED).result(20)] == [0, 1]
    running.stop()


def test_a_client_that_has_gone_stops_nobody_else() -> None:
    running = batcher()
    gone = running.submit(ASKED)
    assert gone.cancel()
    kept = running.submit(ASKED)
    running.start()
    assert len(kept.result(20)) == 2
    running.stop()


def test_what_was_submitted_is_done_before_it_stops() -> None:
    running = batcher()
    pending = [running.submit(ASKED) for _ in range(5)]
    running.start()
    running.stop()
    assert all(p.done() for p in pending)


def test_what_is_aborted_fails_and_nothing_is_taken_any_more() -> None:
    running = batcher()
    pending = [running.submit(ASKED) for _ in range(3)]
    running._refuse(SamplerError("over"))
    running.start()
    assert running.abort(SamplerError("over"), 20)
    for p in pending:
        with pytest.raises(SamplerError, match="over"):
            p.result(0)
    with pytest.raises(SamplerError):
        running.submit(ASKED)


def test_rows_beyond_the_limit_are_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmst.inference.server.batch.MOST_ROWS", 5)
    running = batcher()
    kept = [running.submit(ASKED), running.submit(ASKED)]
    with pytest.raises(SamplerError, match="busy"):
        running.submit(ASKED)
    kept[0].cancel()
    kept[0] = running.submit(ASKED)
    running.start()
    assert [len(k.result(20)) for k in kept] == [2, 2]
    running.stop()
