"""Samplers and sandboxes of other packages, held to their protocols: what breaks them is a failure, never a result."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, get_args

from mmst.core import plugins
from mmst.core.codec import Misfit, validated
from mmst.core.errors import PlatformError, SamplerError, SandboxError
from mmst.core.ports import (
    FINISHES,
    Completion,
    Execution,
    ExitStatus,
    Limits,
    Program,
    Request,
    Sampler,
    Sandbox,
    Stating,
)
from mmst.core.records import FAILED
from mmst.datasets.importing import reader
from mmst.methods import method
from mmst.wiring import samplers, sandboxes

_STATUSES = get_args(ExitStatus)


def sampler(name: str) -> samplers.Factory:
    """What makes the samplers of this name; see `plugins.load` for errors."""
    return plugins.load(plugins.SAMPLERS, name, _sampler)


def sandbox(name: str) -> sandboxes.Factory:
    """What makes the sandboxes of this name; see `plugins.load` for errors."""
    return plugins.load(plugins.SANDBOXES, name, _sandbox)


def ready(group: str, name: str) -> object:
    """What a recipe names, loaded and looked at; see `plugins.load` for errors."""
    find: dict[str, Callable[[str], object]] = {
        plugins.METHODS: method,
        plugins.DATASETS: reader,
        plugins.SAMPLERS: sampler,
        plugins.SANDBOXES: sandbox,
    }
    return find[group](name)


def _sampler(entry: plugins.Entry, factory: Any) -> samplers.Factory:
    def held(made: Any) -> Sampler:
        kind = _Stating if isinstance(made, Stating) else _Sampler
        return kind(entry, made)

    opened: samplers.Factory = _opened(entry, factory, "sample", held)
    return opened


def _sandbox(entry: plugins.Entry, factory: Any) -> sandboxes.Factory:
    opened: sandboxes.Factory = _opened(entry, factory, "run", lambda made: _Sandbox(entry, made))
    return opened


def _opened(entry: plugins.Entry, factory: Any, does: str, held: Callable[[Any], Any]) -> Any:
    """The factory, whose products are as `held` makes them."""
    if not callable(factory):
        raise TypeError(f"it must be a function that returns a context manager, and is {type(factory).__name__}")
    if entry.ours:
        return factory

    @contextlib.contextmanager
    def opened(*args: Any) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            with plugins.blamed(entry, "starting"):
                manager = factory(*args)
                if not isinstance(manager, AbstractContextManager):
                    raise TypeError(f"it returned {type(manager).__name__}, which is no context manager")
                made = manager.__enter__()
                stack.push(functools.partial(_end, entry, manager))
                if not callable(getattr(made, does, None)):
                    raise TypeError(f"its context gave {type(made).__name__}, which has no method `{does}`")
            yield held(made)

    return opened


def _end(entry: plugins.Entry, manager: AbstractContextManager[Any], *failure: Any) -> None:
    """Leave another package's context; what failed within goes on, though the manager would swallow it."""
    with plugins.blamed(entry, "ending"):
        try:
            manager.__exit__(*failure)
        except BaseException as e:
            if e is not failure[1]:
                raise


def _check_fields(
    entry: plugins.Entry, record: Completion | Execution, of: str, error: type[PlatformError], **known: Sequence[str]
) -> None:
    """Refuse with `error` a record of the wrong types, with an amount that is none, or a text that is not `known`."""
    kind = type(record).__name__

    def refuse(says: str, value: object) -> None:
        raise error(
            f"{entry} gave for {of} one {kind} whose {says}",
            value=value,
            remedy=f"report it to the authors of {entry.package}",
        )

    fields = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    try:
        validated(type(record), fields)
    except Misfit as e:
        refuse(str(e), e.value)
    for name, value in fields.items():
        if name in known and value not in known[name]:
            refuse(f"{name} must be one of {', '.join(known[name])}", value)
        if isinstance(value, int | float) and value < 0:
            refuse(f"{name} must be at least 0", value)
    if isinstance(record, Completion):
        if (record.finish == FAILED) != bool(record.failure):
            refuse("failure must say why where finish is failed, and nothing else", record.failure)
        if record.finish == FAILED and record.text:
            refuse("text must be empty where finish is failed", record.text)


class _Sampler:
    """Fulfils `ports.Sampler`."""

    def __init__(self, entry: plugins.Entry, by: Sampler) -> None:
        self._entry, self._by = entry, by

    def sample(
        self,
        requests: Sequence[Request],
        on_done: Callable[[int], None] = lambda n: None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> list[list[Completion]]:
        """See `ports.Sampler`; `SamplerError` for an answer that is none."""
        with plugins.blamed(self._entry, "sampling"):
            answers = self._by.sample(requests, on_done, on_tokens)
        if not isinstance(answers, list) or len(answers) != len(requests):
            raise SamplerError(
                f"{self._entry} did not return a list with an answer for each of {len(requests)} requests"
            )
        for request, answer in zip(requests, answers, strict=True):
            if not isinstance(answer, list) or not all(isinstance(c, Completion) for c in answer):
                raise SamplerError(f"{self._entry} answered request {request.id} with no list of Completion")
            if len(answer) != request.n:
                raise SamplerError(f"{self._entry} answered request {request.id} with {len(answer)} of {request.n}")
            for completion in answer:
                _check_fields(self._entry, completion, f"request {request.id}", SamplerError, finish=FINISHES)
        return answers


class _Stating(_Sampler):
    """One that asks somebody else's model."""

    def stated(self) -> Mapping[str, str]:
        """See `ports.Stating`."""
        assert isinstance(self._by, Stating)
        with plugins.blamed(self._entry, "saying which model it asks"):
            return self._by.stated()


class _Sandbox:
    """Fulfils `ports.Sandbox`."""

    def __init__(self, entry: plugins.Entry, by: Sandbox) -> None:
        self.name, self._entry, self._by = entry.name, entry, by

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        """See `ports.Sandbox`; `SandboxError` for an execution that is none, of no program, or missing."""
        left = set[str]()

        def told() -> Iterator[Program]:
            for program in programs:
                left.add(program.id)
                yield program

        with plugins.blamed(self._entry, "running programs"):
            for execution in self._by.run(told(), limits):
                if not isinstance(execution, Execution) or execution.id not in left:
                    raise SandboxError(f"{self._entry} gave what is no execution of a program that it was asked for")
                _check_fields(self._entry, execution, f"program {execution.id}", SandboxError, exit_status=_STATUSES)
                left.remove(execution.id)
                yield execution
        if left:
            raise SandboxError(f"{self._entry} left {len(left)} programs without an answer", value=min(left))
