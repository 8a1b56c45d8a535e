"""The champion as a function from questions to answers: what a consumer of the registry gets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas
import pytest

from mmst import pyfunc, wiring
from mmst.core.errors import ConfigError, DataError, SetupError
from mmst.core.ports import Completion, Request
from mmst.sandbox.providers.subprocess import SubprocessSandbox

ANSWERING = {"methods": ["text", "code"], "prompt": {"style": "plain", "shots": 4}, "sampling": {"max_tokens": 8}}
WRITES = {"text": "3 + 4 = 7 .\nThe answer is 7", "code": "print(3 + 4)"}


class Scripted:
    """Engines whose model writes what the test says, and whose sandbox may be missing."""

    def __init__(self, writes: dict[str, str], sandbox: bool = True) -> None:
        self.writes, self.has_sandbox = writes, sandbox
        self.asked: list[Request] = []

    @contextlib.contextmanager
    def sampler(self, checkpoint: Any) -> Iterator[Scripted]:
        yield self

    def sample(self, requests: Sequence[Request], *told: Callable[[int], None]) -> list[list[Completion]]:
        self.asked += requests
        return [[Completion(text=self.writes[r.method], finish="stop", prompt_tokens=1, tokens=1)] for r in requests]

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[SubprocessSandbox]:
        if not self.has_sandbox:
            raise SetupError("gVisor is not installed", remedy="install runsc")
        with SubprocessSandbox(workers=1) as box:
            yield box


@pytest.fixture
def solver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[pyfunc.Solver, Scripted]]:
    def make(writes: dict[str, str] = WRITES, **kind: Any) -> tuple[pyfunc.Solver, Scripted]:
        engines = Scripted(writes, **kind)
        monkeypatch.setattr(wiring, "connect", lambda config, progress: engines)
        return pyfunc._load_pyfunc("/checkpoint", ANSWERING), engines

    return make


def test_questions_are_answered_by_every_method(solver: Any) -> None:
    rows = solver()[0].predict(["Sum of 3 and 4?", "Again?"]).to_dict("records")
    assert [(r["question"], r["method"], r["answer"], r["reason"]) for r in rows] == [
        (q, m, "7", "") for q in ("Sum of 3 and 4?", "Again?") for m in ("text", "code")
    ]
    assert [r["solution"] for r in rows[:2]] == [WRITES["text"], WRITES["code"]]


def test_the_model_is_asked_with_the_prompts_that_it_was_measured_with(solver: Any) -> None:
    model, engines = solver()
    model.predict(["Sum?"])
    assert [r.prompt for r in engines.asked] == ["Question: Sum?\nText:\n", "Question: Sum?\nPython:\n"]
    assert {(r.temperature, r.max_tokens, r.n) for r in engines.asked} == {(0.0, 8, 1)}


def test_a_table_with_methods_gets_a_row_per_row(solver: Any) -> None:
    table = pandas.DataFrame({"question": ["a", "b"], "method": ["code", "text"]})
    assert list(solver()[0].predict(table)["method"]) == ["code", "text"]


def test_without_a_sandbox_a_program_is_not_run_and_the_reason_stands_there(solver: Any) -> None:
    rows = solver(sandbox=False)[0].predict(["Sum?"]).to_dict("records")
    assert rows[0]["answer"] == "7"
    assert rows[1]["answer"] is None
    assert "gVisor is not installed" in rows[1]["reason"]


def test_a_program_that_crashes_has_no_answer_but_its_error(solver: Any) -> None:
    row = solver({"code": "print(7)\n1 / 0", "text": "so it is"})[0].predict(["Sum?"]).to_dict("records")
    assert (row[1]["answer"], row[1]["reason"][:17]) == (None, "ZeroDivisionError")
    assert (row[0]["answer"], row[0]["reason"]) == (None, "no answer in the solution")


def test_what_cannot_be_asked_is_said(solver: Any) -> None:
    with pytest.raises(DataError, match="no column 'question'"):
        solver()[0].predict(pandas.DataFrame({"q": ["a"]}))
    with pytest.raises(ConfigError, match="not trained for this method"):
        solver()[0].predict(pandas.DataFrame({"question": ["a"], "method": ["poetry"]}))


def test_no_questions_give_an_empty_table_with_the_same_columns(solver: Any) -> None:
    assert list(solver()[0].predict([]).columns) == list(pyfunc.COLUMNS)


def test_how_to_ask_is_checked_when_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown recipe key"):
        pyfunc._load_pyfunc(str(tmp_path), {"promt": {}})
