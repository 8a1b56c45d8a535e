"""Methods without code of their own: a YAML file says how to ask, and which of our rules read the solutions.

    name: decompose
    answer: stated            stated (as in `text`), last-line, whole, or printed (the solution is a program)
    same: words               two solutions are the same: words (as in `text`), or python (as in `code`)
    phrasings:
      - {heading: "Sub-questions:", instruction: …, translation: …}
    shots:
      - [question, solution]

The content of such a file becomes part of the recipe that names it. Those in this folder are found by name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmst.core.codec import Misfit, spelt, validated
from mmst.core.errors import ConfigError, did_you_mean
from mmst.core.method_files import LARGEST, MethodFile, check
from mmst.core.yaml import Shipped
from mmst.methods import Method, Phrasing, method
from mmst.methods.code import METHOD as CODE
from mmst.methods.extraction import answer_in
from mmst.methods.source import parse
from mmst.methods.text import METHOD as TEXT
from mmst.methods.turns import Turn, lines_of, own_turn
from mmst.methods.values import bare

SHIPPED = Shipped("method", Path(__file__).parent, LARGEST)
_LABEL = re.compile(r"^[ \t]*([A-Za-z]+)(?:[ \t]?#?\d{1,4})?[ \t]?[:.)]", re.MULTILINE)
_HEDGES = re.compile(r"\b(?:or|if|unless|except|not|cannot|without|maybe|perhaps|unsure|doubt\w*)\b|n['’]t\b|\?", re.I)
_OURS = "question"
"""The label of a problem in our prompts: it ends a solution in every method."""


def read(name_or_file: str) -> MethodFile:
    """A shipped method by its name, or a file of the user's; `ConfigError` names the file and what is wrong in it."""
    return checked(SHIPPED.read(name_or_file), name_or_file)


def named(name_or_file: str) -> Method:
    """A method by its name, ours, an installed package's or a shipped file's, or by a file; see `method` and `read`."""
    if name_or_file in SHIPPED.names() or Path(name_or_file).suffix == ".yaml":
        return made(read(name_or_file))
    return method(name_or_file)


def checked(data: Any, where: str) -> MethodFile:
    """The method that plain data describe, each of its worked examples read as a solution."""
    try:
        file = validated(MethodFile, data)
    except Misfit as e:
        at = spelt(e.loc)
        if e.fault == "wrong":
            raise ConfigError(f"{where}: {at or 'a method'} {e.says}", value=e.value, remedy=_SEE) from None
        what = f"unknown key '{at}'" if e.fault == "unknown" else f"'{at}' is missing"
        near = did_you_mean(str(e.loc[-1]), e.known) if e.fault == "unknown" else ""
        raise ConfigError(f"{where}: {what}", remedy=f"{near}keys: {', '.join(e.known)}") from None
    check(file, where)
    by = made(file)
    for i, (_, solution) in enumerate(file.shots):
        if wrong := _unreadable(by, solution):
            raise ConfigError(f"{where}: shots[{i}] {wrong}", value=solution, remedy=f"correct the solution; {_SEE}")
    return file


_SEE = "docs/extending.md says what a method file holds"


def _unreadable(by: Method, solution: str) -> str:
    """Why a text is no solution by a method; "" if it is."""
    found = by.solution(solution)
    if by.executes:
        return "" if found and parse(found) is not None else "is no Python program"
    if found != lines_of(solution).strip():
        rest = lines_of(solution).strip().removeprefix(found).strip()
        return f"would be cut off before {rest.partition(chr(10))[0][:60]!r}, which begins another turn"
    return "" if by.answer(found, None) else "holds no answer"


@functools.lru_cache(256)
def made(file: MethodFile) -> Method:
    """The method of a file."""
    return _Program(file) if file.answer == "printed" else _Words(file)


class _Filed:
    """What all methods by file have in common."""

    executes = False

    def __init__(self, file: MethodFile) -> None:
        self.name: str = file.name
        self.phrasings: tuple[Phrasing, ...] = file.phrasings
        self.shots: tuple[tuple[str, str], ...] = tuple((question, solution) for question, solution in file.shots)
        self._same: Method = CODE if file.same == "python" else TEXT

    def canonical(self, solution: str) -> str:
        """See `Method.canonical`."""
        return self._same.canonical(solution)


class _Program(_Filed):
    """A program, read as the method `code` reads one."""

    executes = True

    def solution(self, completion: str) -> str:
        """See `Method.solution`."""
        return CODE.solution(completion)

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """See `Method.answer`."""
        return CODE.answer(solution, stdout)


class _Words(_Filed):
    """A text. Labels at the beginning of its worked examples' lines ("Q:") begin no other turn in it."""

    def __init__(self, file: MethodFile) -> None:
        super().__init__(file)
        self._answer = file.answer
        self._labels = _labels(solution for _, solution in self.shots) - {_OURS}

    def solution(self, completion: str) -> str:
        """See `Method.solution`."""
        text = lines_of(completion)
        turn = self._turn(text)
        return text[turn.start : turn.end].strip()

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """See `Method.answer`."""
        text = lines_of(solution)
        said = self._turn(text).said(text).strip()
        if self._answer == "stated":
            return answer_in(said)
        return _alone(said if self._answer == "whole" else said.rpartition("\n")[2])

    def _turn(self, text: str) -> Turn:
        def hidden(label: re.Match[str]) -> str:
            return "_" * len(label[0]) if label[1].casefold() in self._labels else label[0]

        return own_turn(_LABEL.sub(hidden, text) if self._labels else text)


def _alone(text: str) -> str | None:
    """The answer that a text is, read as if it stood after "The answer is"; None if the words around it hedge."""
    if stated := answer_in(text):
        return stated
    if "\n" in text:
        return bare(text) or None
    found = answer_in(f"The answer is {text}")
    return found if found and not _HEDGES.search(text.replace(found, "", 1)) else None


def _labels(texts: Iterable[str]) -> set[str]:
    return {label[1].casefold() for text in texts for label in _LABEL.finditer(text)}
