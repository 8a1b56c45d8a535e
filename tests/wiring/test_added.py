"""Samplers and sandboxes of other packages: what breaks their protocol is a named failure, never a result."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from mmst.core import plugins
from mmst.core.config import Config
from mmst.core.errors import PlatformError, SamplerError, SandboxError
from mmst.core.manifest import Manifest
from mmst.core.ports import Completion, Execution, Limits, Program, Request, Sampler, Stating, failed
from mmst.storage.folder import FolderStore
from mmst.wiring import added

MODEL = Manifest(stage="base", key="k", inputs={}, files=())
DONE = Completion(text="7", finish="stop", prompt_tokens=1, tokens=1)
RAN = Execution(id="a", exit_status="ok", stdout="7\n", stderr="")


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands behind the name `odd` in every group; set its `gives`."""

    class Factory:
        gives: Any = None

        def __call__(self, *args: object) -> Any:
            return self.gives

    made = Factory()
    entries = tuple(
        plugins.Entry(group=group, name="odd", at="odd:factory", package="acme", version="1.0")
        for group in (plugins.SAMPLERS, plugins.SANDBOXES)
    )
    plugins.forget()
    monkeypatch.setattr(plugins, "installed", lambda: (entries, ()))
    monkeypatch.setitem(sys.modules, "odd", type("odd", (), {"factory": made}))
    yield made
    monkeypatch.undo()
    plugins.forget()


def sampler(tmp_path: Path) -> AbstractContextManager[Sampler]:
    return added.sampler("odd")(Config(), FolderStore(tmp_path), MODEL)


def requests(n: int) -> list[Request]:
    common = {"prompt": "?", "seed": 0, "temperature": 1.0, "top_p": 1.0, "max_tokens": 5, "stop": ()}
    return [Request(id=str(i), n=2, **common) for i in range(n)]  # type: ignore[arg-type]


class Answers:
    def __init__(self, answers: Any) -> None:
        self.answers = answers

    def sample(self, requests: Any, on_done: Any = None, on_tokens: Any = None) -> Any:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers


class Stated(Answers):
    def stated(self) -> dict[str, str]:
        return {"model": "big"}


def test_a_sampler_that_keeps_the_protocol_is_passed_on(factory: Any, tmp_path: Path) -> None:
    factory.gives = nullcontext(Answers([[DONE, DONE]]))
    with sampler(tmp_path) as opened:
        assert opened.sample(requests(1)) == [[DONE, DONE]]
        assert not isinstance(opened, Stating)


def test_what_a_sampler_states_of_its_model_is_passed_on(factory: Any, tmp_path: Path) -> None:
    factory.gives = nullcontext(Stated([]))
    with sampler(tmp_path) as opened:
        assert isinstance(opened, Stating)
        assert opened.stated() == {"model": "big"}


@pytest.mark.parametrize(
    ("answers", "error", "why"),
    [
        ([], SamplerError, "for each of 1 requests"),
        (None, SamplerError, "for each of 1 requests"),
        ([["7", "7"]], SamplerError, "no list of Completion"),
        ([[DONE]], SamplerError, "with 1 of 2"),
        (KeyError("x"), PlatformError, "failed while sampling.*KeyError"),
        (SamplerError("busy"), SamplerError, "^busy$"),
    ],
)
def test_a_sampler_that_breaks_the_protocol_is_named(
    factory: Any, tmp_path: Path, answers: Any, error: type[Exception], why: str
) -> None:
    factory.gives = nullcontext(Answers(answers))
    with sampler(tmp_path) as opened, pytest.raises(error, match=why):
        opened.sample(requests(1))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("text", None, "must be str"),
        ("text", b"7", "must be str"),
        ("finish", "done", "must be one of stop, length, failed"),
        ("finish", None, "must be str"),
        ("prompt_tokens", -1, "must be at least 0"),
        ("tokens", True, "must be int"),
        ("tokens", math.nan, "must be int"),
        ("failure", "HTTP 400", "must say why where finish is failed, and nothing else"),
        ("failure", None, "must be str"),
    ],
)
def test_a_completion_with_a_field_that_cannot_be_is_refused(
    factory: Any, tmp_path: Path, field: str, value: Any, says: str
) -> None:
    factory.gives = nullcontext(Answers([[DONE, dataclasses.replace(DONE, **{field: value})]]))
    with sampler(tmp_path) as opened, pytest.raises(SamplerError) as e:
        opened.sample(requests(1))
    assert "acme 1.0" in str(e.value)
    assert f"for request 0 one Completion whose {field} {says}, got {value!r}" in str(e.value)


@pytest.mark.parametrize(
    ("text", "failure", "says"), [("", "", "failure must say why"), ("7", "HTTP 400", "text must be empty")]
)
def test_a_failed_completion_says_why_and_has_no_text(
    factory: Any, tmp_path: Path, text: str, failure: str, says: str
) -> None:
    odd = dataclasses.replace(failed(failure), text=text)
    factory.gives = nullcontext(Answers([[odd, failed("HTTP 400")]]))
    with sampler(tmp_path) as opened, pytest.raises(SamplerError, match=says):
        opened.sample(requests(1))


def test_a_completion_that_failed_is_passed_on(factory: Any, tmp_path: Path) -> None:
    factory.gives = nullcontext(Answers([[DONE, failed("HTTP 400")]]))
    with sampler(tmp_path) as opened:
        assert opened.sample(requests(1)) == [[DONE, failed("HTTP 400")]]


class Swallows:
    def __enter__(self) -> Answers:
        return Answers([])

    def __exit__(self, *failure: object) -> bool:
        return True


def test_a_context_cannot_swallow_a_failure(factory: Any, tmp_path: Path) -> None:
    factory.gives = Swallows()
    with pytest.raises(SamplerError, match="for each of 1 requests"), sampler(tmp_path) as opened:
        opened.sample(requests(1))


class EndsBadly(Swallows):
    def __exit__(self, *failure: object) -> bool:
        raise SystemExit(0)


def test_a_context_that_ends_badly_is_named(factory: Any, tmp_path: Path) -> None:
    factory.gives = EndsBadly()
    with pytest.raises(PlatformError, match=r"acme 1\.0.*failed while ending.*SystemExit"), sampler(tmp_path):
        pass


@pytest.mark.parametrize(("gives", "why"), [(7, "no context manager"), (nullcontext(7), "no method `sample`")])
def test_a_factory_that_gives_no_sampler_is_named(factory: Any, tmp_path: Path, gives: Any, why: str) -> None:
    factory.gives = gives
    with pytest.raises(PlatformError, match=rf"acme 1\.0.*failed while starting.*{why}"), sampler(tmp_path):
        pass


class Runs:
    name = "odd"

    def __init__(self, *executions: Any) -> None:
        self.executions = executions

    def run(self, programs: Any, limits: Limits) -> Iterator[Any]:
        list(programs)
        for execution in self.executions:
            if isinstance(execution, Exception):
                raise execution
            yield execution


def run() -> list[Execution]:
    with added.sandbox("odd")(Config()) as opened:
        return list(opened.run([Program(id="a", source="print(7)")], Limits()))


def test_a_sandbox_that_keeps_the_protocol_is_passed_on(factory: Any) -> None:
    factory.gives = nullcontext(Runs(RAN))
    assert run() == [RAN]


@pytest.mark.parametrize(
    ("executions", "error", "why"),
    [
        ((), SandboxError, "left 1 programs without an answer"),
        ((RAN, RAN), SandboxError, "no execution of a program that it was asked for"),
        (({"id": "a"},), SandboxError, "no execution of a program"),
        ((Execution(id="b", exit_status="ok", stdout="", stderr=""),), SandboxError, "no execution of a program"),
        ((Execution(id="a", exit_status="fine", stdout="", stderr=""),), SandboxError, "got 'fine'"),
        ((OSError("gone"),), PlatformError, "failed while running programs.*gone"),
    ],
)
def test_a_sandbox_that_breaks_the_protocol_is_named(
    factory: Any, executions: Any, error: type[Exception], why: str
) -> None:
    factory.gives = nullcontext(Runs(*executions))
    with pytest.raises(error, match=why):
        run()


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("stdout", b"7", "must be str"),
        ("stderr", None, "must be str"),
        ("detail", 7, "must be str"),
        ("seconds", math.nan, "must be a finite number"),
        ("seconds", -0.5, "must be at least 0"),
        ("peak_mib", math.inf, "must be a finite number"),
        ("exit_status", "fine", "must be one of ok, crashed, timed_out, out_of_memory, output_limit"),
        ("evaluation", "twice", "must be one of"),
    ],
)
def test_an_execution_with_a_field_that_cannot_be_is_refused(factory: Any, field: str, value: Any, says: str) -> None:
    factory.gives = nullcontext(Runs(dataclasses.replace(RAN, **{field: value})))
    with pytest.raises(SandboxError) as e:
        run()
    assert "acme 1.0" in str(e.value)
    assert f"for program a one Execution whose {field} {says}" in str(e.value)
    assert f"got {value!r}" in str(e.value)
