"""Problem sets: one module a source, each yielding `Problem`s or refusing its file whole.

    load(Source(format="gsm8k", path="train.jsonl"))      what a recipe names
    import_file("svamp", Path("SVAMP.json"))              every problem of a file
    export(problems, Path("problems.jsonl"))              in our own JSONL, whole or absent

A problem's id is the hash of its normalised question, and its split follows from the id, so no
later import can move it from test to train.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from mmst.answers import number
from mmst.config import Source, percent_range
from mmst.errors import ConfigError, DataError, UserError
from mmst.output import Output, find
from mmst.records import Problem, Split, to_json

FORMATS = {
    "gsm8k": "gsm8k",
    "svamp": "svamp",
    "asdiv": "asdiv",
    "mawps": "mawps",
    "mawps-csv": "mawps_csv",
    "math": "math_competition",
    "jsonl": "jsonl",
}
"""Format → module of this package with `read(path) -> Iterator[Problem]`."""

PUBLISHED = "docs/recipes.md says where the published problem sets are"

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\s.,;?\"]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_VARIABLE = re.compile(r"\$(\w+)")
_TYPOGRAPHY = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"})


def load(source: Source) -> Iterator[Problem]:
    """The problems that a recipe's source names, in file order, of its split and part, up to its limit."""
    problems: Iterable[Problem]
    if source.format == "generated":
        if source.count < 1:
            raise ConfigError("a generated source needs count", value=source.count, remedy="count: 1000")
        generated = importlib.import_module("mmst.problems.generated")
        problems = generated.generate(source.count, source.seed, source.task)
    else:
        problems = import_file(source.format, located(source.path))
    if source.split != "all":
        problems = (p for p in problems if p.split == source.split)
    low, high = percent_range(source.part)
    problems = (p for p in problems if low <= percent_of(p.id) < high)
    if source.annotated:
        problems = (replace(p, solutions=_only(p.solutions, source.annotated)) for p in problems)
    return islice(problems, source.limit or None)


def located(path: str) -> Path:
    """The file that a recipe's `path` names: `~` and `$NAME` stand for the home folder and a variable.

    Raises `ConfigError` when the variable is not set.
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
    """Every problem of a file; `DataError` at the first bad line, and then nothing is imported."""
    if format not in FORMATS:
        known = ", ".join(["generated", *FORMATS])
        raise ConfigError("unknown problem format", value=format, remedy=f"formats: {known}")
    path = path.expanduser()
    if not path.is_file():
        raise UserError(
            f"the {format} problem file does not exist", value=str(path), remedy=f"check the path; {PUBLISHED}"
        )
    problems = list(importlib.import_module(f"mmst.problems.{FORMATS[format]}").read(path))
    if not problems:
        raise DataError(f"{path} holds no problem", remedy=f"is it a {format} file, and whole?")
    return problems


def export(problems: Iterable[Problem], path: Path | Output) -> int:
    """Write our own JSONL, which `format: jsonl` reads back; whole or absent. Returns the count."""
    count = 0
    with find(path).writing() as out:
        for problem in problems:
            out.write((to_json(problem) + "\n").encode())
            count += 1
    return count


def describe(problems: Iterable[Problem]) -> dict[str, Any]:
    """What a problem set holds: counts by split, family, task, kind of answer; question lengths in words."""
    listed = list(problems)
    words = sorted(len(p.question.split()) for p in listed)
    return {
        "problems": len(listed),
        "duplicates": len(listed) - len({p.id for p in listed}),
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
) -> Problem:
    """A problem with the id and split that its question has; `DataError` when it asks nothing."""
    question, answer = " ".join(question.split()), answer.strip()
    if not normalise_question(question):
        raise DataError("the question is empty", value=question)
    if not answer:
        raise DataError("the answer is empty", value=answer)
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
    )


def normalise_question(question: str) -> str:
    """The question as tokens with single spaces: case, typography and tokenisation don't matter.

    Stops, commas and quotes go, so that the published forms of one question agree; what can
    change a question's meaning (signs, operators, brackets) stays.

    >>> normalise_question("Ann’s  3 cats, 1,000 mice.") == normalise_question("ann 's 3 cats 1000 mice .")
    True
    """
    plain = unicodedata.normalize("NFKC", question).translate(_TYPOGRAPHY).casefold()
    return " ".join(_TOKEN.findall(_THOUSANDS.sub("", plain)))


def problem_id(question: str) -> str:
    """`p-` and 16 hex digits of the hash of the normalised question."""
    raw = normalise_question(question).encode("utf-8", "surrogatepass")
    return "p-" + hashlib.sha256(raw).hexdigest()[:16]


def split_of(problem_id: str) -> Split:
    """The split that an id has for ever: 80 % train, 10 % dev, 10 % test."""
    bucket = int(problem_id.removeprefix("p-"), 16) % 10
    return Split.TRAIN if bucket < 8 else Split.DEV if bucket == 8 else Split.TEST


def percent_of(problem_id: str) -> int:
    """0 to 99, the same for ever: which `part` of a set a problem belongs to, whatever its split."""
    return int(hashlib.sha256(f"part/{problem_id}".encode()).hexdigest(), 16) % 100


def _only(solutions: Mapping[str, str], methods: tuple[str, ...]) -> dict[str, str]:
    return {name: solution for name, solution in solutions.items() if name in methods}


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda kv: (-kv[1], kv[0])))


def _answer_kind(answer: str) -> str:
    found = number(answer)
    if found is None:
        return "text"
    return "integer" if found.value.denominator == 1 else "decimal" if found.decimal else "fraction"
