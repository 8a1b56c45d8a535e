"""Which format a problem file has, found by reading its beginning in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mmst.core.errors import DataError, UserError
from mmst.datasets import formats, read_file

LOOKED_AT = 200
"""Problems of a file that are read."""
_FIRST = ("gsm8k", "jsonl")
"""GSM8K's answers have a mark (####), without which they are not its own; others read MMST's lines, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """A file's format; whether its problems have gold answers, and the methods of their annotated solutions."""

    path: Path
    format: str
    answers: bool
    solutions: Sequence[str]


def detect(path: Path) -> Detected:
    """The format that reads the file's beginning and finds most kinds of solutions in it; of several the first.

    Without answers, where no format finds any. `DataError` when none reads it, and why not as MMST's own.
    """
    if not path.exists():
        raise UserError("there is no such problem file", value=str(path), remedy="check the path")
    if not (path.is_file() or path.is_dir()):
        raise UserError("this is no file and no folder", value=str(path), remedy="write the problems to a file")
    others = [format for format in formats() if format not in _FIRST]
    read, complaints = list[Detected](), dict[str, DataError]()
    for unlabelled, order in ((False, (*_FIRST, *others)), (True, ("jsonl", *others))):
        if read:
            break
        for format in order:
            try:
                problems = [i.problem for i in islice(read_file(format, path, unlabelled=unlabelled), LOOKED_AT)]
            except DataError as e:
                complaints.setdefault(format, e)
                continue
            solutions = tuple({method: None for p in problems for method in p.solutions})
            read.append(Detected(path=path, format=format, answers=not unlabelled, solutions=solutions))
    if not read:
        remedy = '`mmst problems list` has the formats; one of ours is lines of {"question": …, "answer": …}'
        raise DataError(f"no format reads {path}", why=f"as jsonl: {complaints['jsonl'].what}", remedy=remedy)
    return max(read, key=lambda found: len(found.solutions))
