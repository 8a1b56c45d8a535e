"""The methods: ways to solve a problem, one module each. To add a method, add a module.

A method says how to ask the model, where the solution ends, which part of it is executed, and how to extract its
answer. Everything here is pure.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import ClassVar, Protocol

from mmst.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Phrasing:
    """One wording in which a method is asked for; all phrasings of a method ask for the same thing."""

    heading: str
    """The line under which the model writes such a solution ("Python:")."""
    instruction: str
    """The instruction of an instruct, few-shot or chat prompt."""
    translation: str
    """The instruction to rewrite a solution into this method."""


class Method(Protocol):
    """One way to solve a problem."""

    name: ClassVar[str]
    phrasings: ClassVar[tuple[Phrasing, ...]]
    """At least one; `prompt.phrasing` chooses one, counting from 1."""
    shots: ClassVar[tuple[tuple[str, str], ...]]
    """Worked examples (question, solution) for few-shot prompts."""
    executes: ClassVar[bool]
    """Whether solutions are programs to run."""

    def solution(self, completion: str) -> str:
        """The part of a completion that is the solution, without fences and chatter."""

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """The answer that a solution (or its program's output) commits to; None if there is none."""

    def canonical(self, solution: str) -> str:
        """A canonical form, equal for two solutions that differ only in layout."""


def method(name: str) -> Method:
    """The method called `name`; `ConfigError` lists the known ones."""
    found = methods()
    if name not in found:
        raise ConfigError(f"unknown method '{name}'", remedy=f"methods: {', '.join(sorted(found))}")
    return found[name]


def methods() -> dict[str, Method]:
    """All methods: each module of this package that defines `METHOD`."""
    found: dict[str, Method] = {}
    for info in pkgutil.iter_modules(__path__):
        made: Method | None = getattr(importlib.import_module(f"{__name__}.{info.name}"), "METHOD", None)
        if made is not None:
            found[made.name] = made
    return found
