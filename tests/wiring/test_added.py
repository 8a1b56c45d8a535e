"""Samplers and sandboxes of other packages: what breaks their protocol is a named failure, never a result."""

from __future__ import annotations

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
from mmst.core.ports import Completion, Execution, Limits, Program, Request, Sampler, Stating
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
