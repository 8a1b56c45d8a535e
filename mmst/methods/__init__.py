"""The methods: ways of solving a problem. One module a method, ours here, others in any package, or a file of a recipe
(docs/extending.md).

A method says how to ask the model, where the solution ends, which part of it is executed, and how to extract its
answer. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from mmst.core import plugins
from mmst.core.method_files import MethodFile
from mmst.core.method_files import Phrasing as Phrasing

REMEMBERED = 1024
"""Texts whose reading is kept: a problem's samples stand together, and many of them say the same."""


class Method(Protocol):
    """One way to solve a problem."""

    @property
    def name(self) -> str:
        """Its name in recipes."""

    @property
    def phrasings(self) -> tuple[Phrasing, ...]:
        """At least one; `prompt.phrasing` chooses, counting from 1."""

    @property
    def shots(self) -> tuple[tuple[str, str], ...]:
        """Worked examples (question, solution) for few-shot prompts."""

    @property
    def executes(self) -> bool:
        """Whether solutions are programs to be run."""

    def solution(self, completion: str) -> str:
        """The part of a completion that is the solution, without fences and chatter."""

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """The answer that a solution (or its program's output) commits to; None if there is none."""

    def canonical(self, solution: str) -> str:
        """A canonical form, equal for two solutions that differ only in layout."""


def method(name: str, files: Iterable[MethodFile] = ()) -> Method:
    """The method called `name`: of a recipe's method files, or else ours or an installed package's.

    `ConfigError` lists those that there are, `SetupError` says why one can't be used.
    """
    for file in files:
        if file.name == name:
            from mmst.methods.files import made

            return made(file)
    return plugins.load(plugins.METHODS, name, _usable)


def methods() -> list[str]:
    """The names of all methods, ours first."""
    return plugins.names(plugins.METHODS)


class _Added:
    """A method of another package. What it raises or returns by mistake is no verdict, and is never trained on."""

    def __init__(self, entry: plugins.Entry, by: Method) -> None:
        self._entry, self._by = entry, by
        self.name, self.phrasings, self.shots, self.executes = by.name, by.phrasings, by.shots, by.executes

    def solution(self, completion: str) -> str:
        """See `Method.solution`."""
        with plugins.blamed(self._entry, "cutting a solution out of a completion"):
            return _text(self._by.solution(completion))

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """See `Method.answer`."""
        with plugins.blamed(self._entry, "reading the answer of a solution"):
            found = self._by.answer(solution, stdout)
            return None if found is None else _text(found)

    def canonical(self, solution: str) -> str:
        """See `Method.canonical`."""
        with plugins.blamed(self._entry, "comparing solutions"):
            return _text(self._by.canonical(solution))


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"it returned {type(found).__name__}, not str")
    return found


def _usable(entry: plugins.Entry, found: Any) -> Method:
    if entry.ours:
        by: Method = found
        return by
    lacks = [name for name in ("name", "phrasings", "shots", "executes") if not hasattr(found, name)]
    lacks += [name for name in ("solution", "answer", "canonical") if not callable(getattr(found, name, None))]
    if isinstance(found, type) or lacks:
        raise TypeError(f"it must be an object with {', '.join(lacks) or 'these methods, not a class'}")
    if found.name != entry.name:
        raise TypeError(f"its name is {found.name!r}, and its entry point's {entry.name!r}")
    if not found.phrasings or not all(isinstance(phrasing, Phrasing) for phrasing in found.phrasings):
        raise TypeError("phrasings must be a tuple of mmst.methods.Phrasing, at least one")
    pairs = [[isinstance(text, str) for text in shot] for shot in found.shots if isinstance(shot, tuple)]
    if pairs != [[True, True]] * len(found.shots) or not isinstance(found.executes, bool):
        raise TypeError("shots must be pairs of texts (question, solution), and executes True or False")
    return _Added(entry, found)
