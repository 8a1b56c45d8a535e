"""The champion as a function from questions to answers: what a consumer of the registry gets."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from mlflow.exceptions import MlflowException

from mmst import pyfunc, wiring
from mmst.core.errors import ConfigError, SamplerError, SandboxError, SetupError
from mmst.core.ports import Completion, Request
from mmst.sandbox.providers.subprocess import SubprocessSandbox

ANSWERING = {"methods": ["text", "code"], "prompt": {"style": "plain", "shots": 4}, "sampling": {"max_tokens": 8}}
WRITES = {"text": "3 + 4 = 7 .\nThe answer is 7", "code": "print(3 + 4)"}


class Scripted:
    """Engines whose model writes what the test says, and whose sandbox may be missing."""

    def __init__(self, writes: dict[str, str], sandbox: bool = True) -> None:
        self.writes, self.has_sandbox = writes, sandbox
        self.asked: list[Request] = []
        self.opened: list[str] = []

    @contextlib.contextmanager
    def sampler(self, checkpoint: Any) -> Iterator[Scripted]:
        self.opened.append("sampler")
        yield self
        self.opened.append("sampler closed")

    def sample(self, requests: Sequence[Request], *told: Callable[[int], None]) -> list[list[Completion]]:
        self.asked += requests
        return [[Completion(text=self.writes[r.method], finish="stop", prompt_tokens=1, tokens=1)] for r in requests]

    @contextlib.contextmanager
    def sandbox(self) -> Iterator[SubprocessSandbox]:
        if not self.has_sandbox:
            raise SetupError("gVisor is not installed", remedy="install runsc")
        self.opened.append("sandbox")
        with SubprocessSandbox(workers=1) as box:
            yield box
        self.opened.append("sandbox closed")


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


def test_worked_examples_are_said_to_be_shared_by_all_prompts_of_a_method(
    monkeypatch: pytest.MonkeyPatch, solver: Any
) -> None:
    monkeypatch.setitem(ANSWERING, "prompt", {"style": "few-shot", "shots": 2})
    model, engines = solver()
    model.predict({"question": ["Sum?", "Another?"], "method": ["code", "code"]})
    one, other = engines.asked
    assert one.prompt[: one.shared] == other.prompt[: other.shared]
    assert one.prompt[one.shared :] == "Question: Sum?\nPython:\n"


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
    with pytest.raises(MlflowException, match="no column 'question'"):
        solver()[0].predict(pandas.DataFrame({"q": ["a"]}))
    with pytest.raises(MlflowException, match="not trained for this method") as refused:
        solver()[0].predict(pandas.DataFrame({"question": ["a"], "method": ["poetry"]}))
    assert refused.value.get_http_status_code() == 400


def test_trouble_of_the_model_is_no_fault_of_the_question(solver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, engines = solver()
    monkeypatch.setattr(engines, "sample", lambda *_: (_ for _ in ()).throw(SamplerError("it is out of memory")))
    with pytest.raises(MlflowException, match="it is out of memory") as failed:
        model.predict(["Sum?"])
    assert failed.value.get_http_status_code() == 500


@pytest.mark.parametrize(
    "data",
    [
        "Sum?",
        ["Sum?"],
        ("Sum?",),
        pandas.Series(["Sum?"]),
        numpy.array(["Sum?"]),
        {"question": "Sum?"},
        {"question": ["Sum?"]},
        {"question": numpy.array(["Sum?"])},
        [{"question": "Sum?"}],
        pandas.DataFrame({"question": ["Sum?"], "id": [7]}),
        pandas.DataFrame([{"question": ["Sum?"]}]),
        pandas.DataFrame({"question": ["Sum?"], "method": [float("nan")]}),
    ],
)
def test_questions_come_in_every_form_that_mlflow_hands_over(solver: Any, data: Any) -> None:
    found = solver()[0].predict(data)
    assert list(zip(found["question"], found["method"], strict=True)) == [("Sum?", "text"), ("Sum?", "code")]


@pytest.mark.parametrize(
    "data",
    [
        {"question": ["a", "b"], "method": ["code", "text"]},
        [{"question": "a", "method": "code"}, {"question": "b", "method": "text"}],
        pandas.DataFrame([{"question": ["a", "b"], "method": ["code", "text"]}]),
    ],
)
def test_each_row_may_name_its_method(solver: Any, data: Any) -> None:
    assert list(solver()[0].predict(data)["method"]) == ["code", "text"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"q": ["a"]}, "no column 'question', got ['q']"),
        ([{"q": "a"}], "row 0: the table has no column 'question'"),
        (["a", 7], "row 1 is no text, got 7"),
        ([["a"]], "row 0 is no text"),
        ({"question": ["a", None]}, "question 1 is no text"),
        (pandas.DataFrame({"question": ["a", float("nan")]}), "question 1 is no text"),
        ({"question": ["a"], "method": ["code", "text"]}, "1 questions and 2 methods"),
        ({"question": ["a"], "method": [1]}, "method is no text"),
        (7, "predict takes questions"),
        (None, "predict takes questions"),
    ],
)
def test_what_is_no_question_is_refused_in_one_line(solver: Any, data: Any, said: str) -> None:
    with pytest.raises(MlflowException) as refused:
        solver()[0].predict(data)
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.get_http_status_code() == 400


def test_weights_and_sandbox_are_opened_once_and_closed_with_the_model(solver: Any) -> None:
    model, engines = solver()
    assert engines.opened == ["sampler"]
    for _ in range(3):
        model.predict(["Sum?"])
    assert engines.opened == ["sampler", "sandbox"]
    del model
    gc.collect()
    assert sorted(engines.opened) == ["sampler", "sampler closed", "sandbox", "sandbox closed"]


def test_a_sandbox_that_failed_is_started_anew(solver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, engines = solver()
    model.predict(["Sum?"])
    with monkeypatch.context() as broken:
        broken.setattr(SubprocessSandbox, "run", lambda *_: (_ for _ in ()).throw(SandboxError("it died")))
        assert "it died" in model.predict(["Sum?"])["reason"][1]
    assert list(model.predict(["Sum?"])["answer"]) == ["7", "7"]
    assert engines.opened.count("sandbox") == 2


def test_no_questions_give_an_empty_table_with_the_same_columns(solver: Any) -> None:
    assert list(solver()[0].predict([]).columns) == list(pyfunc.COLUMNS)


def test_how_to_ask_is_checked_when_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown recipe key"):
        pyfunc._load_pyfunc(str(tmp_path), {"promt": {}})
