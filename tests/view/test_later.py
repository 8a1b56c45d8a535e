"""Work that a page does not wait for is done once, and its error is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mmst.view import later
from mmst.view.later import Later, NotYet


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later, "PATIENCE", 0.05)


def in_the_end(found: Later, work: Callable[[], str]) -> str:
    while True:
        try:
            return found.get("a", work)
        except NotYet:
            continue


def test_who_comes_again_finds_what_was_begun_once() -> None:
    found, begun, go = Later(), list[int](), threading.Event()

    def work() -> str:
        begun.append(1)
        go.wait(20)
        return "done"

    for _ in range(5):
        with pytest.raises(NotYet):
            found.get("a", work)
    assert found.get("b", lambda: "another goes on meanwhile") == "another goes on meanwhile"
    go.set()
    assert in_the_end(found, work) == "done"
    assert found.get("a", work) == "done"
    assert begun == [1]


def test_an_error_that_comes_late_is_told_and_then_it_is_tried_again() -> None:
    found, go = Later(), threading.Event()

    def work() -> str:
        go.wait(20)
        raise TimeoutError("the store's own")

    with pytest.raises(NotYet):
        found.get("a", work)
    go.set()
    with pytest.raises(TimeoutError, match="the store's own"):
        in_the_end(found, work)
    assert found.get("a", lambda: "now") == "now"


def test_only_so_many_results_are_kept() -> None:
    found, made = Later(), list[int]()
    for i in [*range(later.KEPT + 10), later.KEPT + 9, 0]:
        found.get(i, lambda i=i: made.append(i))  # type: ignore[misc]
    assert made == [*range(later.KEPT + 10), 0]
