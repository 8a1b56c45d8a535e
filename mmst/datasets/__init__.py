"""Problem sets: one module a format, which makes a `Problem` of a row; a file is read whole or refused.

Ours are here, others in any package (docs/extending.md).

    load(Source(format="gsm8k", path="train.jsonl"))      what a recipe names
    import_file("svamp", Path("SVAMP.json"))              every problem of a file or folder
    export(problems, Path("problems.jsonl"))              as MMST's JSONL, atomically

A problem's id is the hash of its normalised question, and its split follows from the id, so no
later import can move it from test to train.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mmst.core import plugins
from mmst.core.config import Source
from mmst.core.consistency import percent_range
from mmst.core.errors import ConfigError, DataError, UserError
from mmst.core.output import Output, find
from mmst.core.records import Problem, Split, to_json
from mmst.datasets.identity import normalise_question, percent_of, problem_id, split_of
from mmst.datasets.importing import Imported, Repeats, reader, stream
from mmst.grading import number

GENERATED = "generated"

VERSION = 2
"""Increase it if a file gives other problems than before; part of the key of what is prepared from files."""

PUBLISHED = "docs/recipes.md says where the published problem sets are"

_VARIABLE = re.compile(r"\$(\w+)")
_LINE_END = re.compile("\r\n?|[\n\v\f\x85\u2028\u2029]")

__all__ = [
    "PUBLISHED", "VERSION", "describe", "export", "formats", "found", "import_file", "laid_out", "load", "located",
    "make_problem", "normalise_question", "percent_of", "problem_id", "read_file", "split_of",
]  # fmt: skip


def load(source: Source, *, unlabelled: bool = False) -> Iterator[Problem]:
    """The problems of a recipe's source, in file order, limited to its split, part and limit.

    Only `unlabelled` ones may lack their answers.
    """
    return (item.problem for item in found(source, unlabelled=unlabelled))


def found(source: Source, *, unlabelled: bool = False) -> Iterator[Imported]:
    """As `load`, each with its place. A file is read to its end first, so that it is refused whole."""
    low, high = percent_range(source.part)

    def wanted(items: Iterable[Imported]) -> Iterator[Imported]:
        for item in items:
            id, split = item.problem.id, item.problem.split
            if source.split in ("all", split) and low <= percent_of(id) < high:
                yield replace(item, problem=_annotated(item.problem, source.annotated))

    if source.format != GENERATED:
        held = list[Imported]()
        for item in wanted(read_file(source.format, located(source.path), unlabelled=unlabelled)):
            if not source.limit or len(held) < source.limit:
                held.append(item)
        return iter(held)
    if source.count < 1:
        raise ConfigError("a generated source needs count", value=source.count, remedy="count: 1000")
    problems = plugins.load(plugins.DATASETS, GENERATED, _generator)(source.count, source.seed, source.task)
    numbered = (Imported(problem, f"number {number}") for number, problem in enumerate(problems, 1))
    return islice(wanted(numbered), source.limit or None)


def formats() -> list[str]:
    """The formats that a file can have, ours first; `generated` is none."""
    return [name for name in plugins.names(plugins.DATASETS) if name != GENERATED]


def located(path: str) -> Path:
    """The file that a recipe's `path` names, with `~` and `$NAME` expanded.

    Raises `ConfigError` if the variable is not set.
    """
    unset = [name for name in _VARIABLE.findall(path) if not os.environ.get(name)]
    if unset:
        raise ConfigError(
            f"the path of a problem file needs the environment variable {unset[0]}",
            value=path,
            remedy=f"export {unset[0]}=FOLDER; {PUBLISHED}",
        )
    return Path(_VARIABLE.sub(lambda name: os.environ[name[1]], path)).expanduser()


def import_file(format: str, path: Path) -> list[Problem]:
    """All problems of a file or folder; `DataError` at the first bad line, and then nothing is imported."""
    return [item.problem for item in read_file(format, path)]


def read_file(format: str, path: Path, *, unlabelled: bool = False) -> Iterator[Imported]:
    """As `import_file`, a problem at a time, each with its place; the errors come as the file is read."""
    if format == GENERATED:
        raise ConfigError("generated problems are in no file", value=format, remedy=f"formats: {', '.join(formats())}")
    problem = reader(format)
    path = path.expanduser()
    if not path.exists():
        raise UserError(
            f"the {format} problem file does not exist", value=str(path), remedy=f"check the path; {PUBLISHED}"
        )
    items = stream(problem, path, unlabelled=unlabelled)
    first = next(items, None)
    if first is None:
        raise DataError(f"{path} contains no problem", remedy=f"check that it is a complete {format} file")
    return chain([first], items)


def export(problems: Iterable[Problem], path: Path | Output) -> int:
    """Write JSONL that `format: jsonl` reads back, atomically. Returns the count."""
    count = 0
    with find(path).writing() as out:
        for problem in problems:
            out.write((to_json(problem) + "\n").encode())
            count += 1
    return count


def describe(problems: Iterable[Problem]) -> dict[str, Any]:
    """Describe a problem set: counts by split, family, task, kind of answer; question lengths in words."""
    listed = list(problems)
    words = sorted(len(p.question.split()) for p in listed)
    repeats = Repeats()
    for problem in listed:
        repeats.first(Imported(problem, ""))
    return {
        "problems": len(listed),
        "duplicates": repeats.count,
        "contradictions": len(repeats.contradictions()),
        "split": {str(s): sum(p.split == s for p in listed) for s in Split},
        "task": _counts(p.task for p in listed),
        "family": _counts(p.family or "(none)" for p in listed),
        "answer": _counts(_answer_kind(p.answer) for p in listed),
        "solutions": _counts(m for p in listed for m in p.solutions),
        "question_words": {"least": words[0], "median": words[len(words) // 2], "most": words[-1]} if words else {},
    }


def make_problem(
    question: str,
    answer: str,
    source: str,
    *,
    task: str = "main",
    family: str = "",
    solutions: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Problem:
    """A problem with the id and split of its question; `DataError` if the question is empty.

    Whether it may lack its answer is up to who reads it: files may only as unlabelled problems.
    """
    question, answer = laid_out(question), answer.strip()
    if not normalise_question(question):
        raise DataError("the question is empty", value=question)
    id = problem_id(question)
    return Problem(
        id=id,
        question=question,
        answer=answer,
        source=source,
        split=split_of(id),
        task=task,
        family=family,
        solutions=dict(solutions or {}),
        options=dict(options or {}),
    )


def laid_out(question: str) -> str:
    """The question with its line breaks; in a single line, runs of spaces become one.

    >>> laid_out(" How  many \\n"), laid_out("Sum up:\\r\\n  1   2 \\r\\n  3   4")
    ('How many', 'Sum up:\\n  1   2\\n  3   4')
    """
    lines = [line.rstrip() for line in _LINE_END.split(question.strip())]
    return "\n".join(lines) if len(lines) > 1 else " ".join(question.split())


def _generator(entry: plugins.Entry, found: Any) -> Any:
    return found


def _annotated(problem: Problem, methods: tuple[str, ...]) -> Problem:
    """The problem with only the solutions of these methods; with all if none is named."""
    if not methods:
        return problem
    return replace(problem, solutions={m: text for m, text in problem.solutions.items() if m in methods})


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda kv: (-kv[1], kv[0])))


def _answer_kind(answer: str) -> str:
    found = number(answer)
    if found is None:
        return "text"
    return "integer" if found.value.denominator == 1 else "decimal" if found.decimal else "fraction"
