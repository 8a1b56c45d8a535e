"""Import a problem file row by row: each problem with its place, and what was noticed about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmst.core import plugins
from mmst.core.errors import DataError
from mmst.core.records import Problem
from mmst.core.rows import Row
from mmst.datasets.files import rows
from mmst.grading import compare


@dataclass(frozen=True, slots=True)
class Imported:
    """A problem; `place` is its position within its file or folder ("line 7"), without the name of that."""

    problem: Problem
    place: str
    notes: tuple[str, ...] = ()


Reader = Callable[[Row], Problem]
"""What a format is: the problem of a row; `DataError` for a row that holds none."""


def reader(format: str) -> Reader:
    """The reader of a format; `ConfigError` lists those that there are, `SetupError` says why one can't be used."""
    return plugins.load(plugins.DATASETS, format, _usable)


def _usable(entry: plugins.Entry, found: Any) -> Reader:
    if entry.ours:
        ours: Reader = found
        return ours
    if not callable(found):
        raise TypeError(f"it must be a function of a row, and is {type(found).__name__}")

    def read(row: Row) -> Problem:
        with plugins.blamed(entry, f"reading {row.where}"):
            made = found(row)
            if not isinstance(made, Problem):
                raise TypeError(f"it returned {type(made).__name__}, not mmst.core.records.Problem")
            return made

    return read


def stream(problem: Reader, path: Path, *, unlabelled: bool = False) -> Iterator[Imported]:
    """The problems of a file or folder, one at a time; `DataError` at the first that is wrong.

    One without an answer is wrong unless `unlabelled`.
    """
    where = str(path)
    try:
        for row in rows(path):
            where = row.where
            made = _problem(problem, replace(row, unlabelled=unlabelled))
            yield Imported(made, where.removeprefix(str(path)).lstrip(",/ "), tuple(row.notes))
    except RecursionError:
        raise DataError(
            f"{where}: this object or the text after it is nested too deeply", remedy="flatten the object"
        ) from None


def _problem(problem: Reader, row: Row) -> Problem:
    try:
        made = problem(row)
    except DataError as e:
        if e.what.startswith(row.where):
            raise
        raise DataError(f"{row.where}: {e.what}", value=e.value, remedy=e.remedy or "correct the entry") from None
    if row.repaired and not row.unlabelled and "\ufffd" in made.answer:
        what = f"{row.where}: the answer contains half a character (a lone surrogate)"
        raise DataError(what, value=made.answer, remedy="write the whole character, or remove the entry")
    if not made.answer and not row.unlabelled:
        raise DataError(f"{row.where}: the answer is empty", remedy="correct the entry")
    further = dict(made.further) | row.further()
    return replace(made, further=further) if further else made


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A question that appears several times, with answers that cannot be shown to be the same."""

    question: str
    answers: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        shown = self.question if len(self.question) <= 100 else self.question[:100] + "…"
        return f"{shown!r}: " + ", ".join(f"{answer!r} ({place})" for place, answer in self.answers)


@dataclass(slots=True)
class Repeats:
    """Finds repeated questions while problems are seen one by one; keeps the first answer of each."""

    count: int = 0
    _first: dict[str, tuple[str, str]] = field(default_factory=dict)
    _others: dict[str, tuple[str, list[tuple[str, str]]]] = field(default_factory=dict)

    def first(self, item: Imported) -> bool:
        """Whether the question is new; if not, it is counted and compared with the first."""
        problem, here = item.problem, (item.place, item.problem.answer)
        before = self._first.setdefault(problem.id, here)
        if before is here:
            return True
        self.count += 1
        if before[1] != here[1] and compare(before[1], here[1]).equal is not True:
            self._others.setdefault(problem.id, (problem.question, []))[1].append(here)
        return False

    def contradictions(self) -> list[Contradiction]:
        """The questions with different answers, with every place that differs from the first."""
        return [Contradiction(q, (self._first[id], *others)) for id, (q, others) in self._others.items()]


def as_data(found: Iterable[Contradiction]) -> list[dict[str, Any]]:
    """The contradictions as plain values."""
    return [{"question": c.question, "answers": [{"at": p, "answer": a} for p, a in c.answers]} for c in found]
