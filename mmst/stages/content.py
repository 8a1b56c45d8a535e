"""The sources of a recipe's problems by their content: what stages that read them have in their keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mmst.core.config import Source
from mmst.core.errors import UserError
from mmst.core.hashes import file_sha256
from mmst.core.records import Problem, digest
from mmst.core.stage import QUIET, WHERE
from mmst.datasets import PUBLISHED, load, located
from mmst.datasets import VERSION as READING
from mmst.datasets.files import members


@dataclass(frozen=True, slots=True, kw_only=True)
class Content(Source):
    """A source by its content: what decides which problems it yields, wherever the file is."""

    path: str = field(default="", metadata=WHERE)
    reading: int | None = field(default=None, metadata=QUIET)
    sha256: str

    @classmethod
    def of(cls, source: Source) -> Content:
        """The content that a source has now; `UserError` when its file is not there."""
        if source.format == "generated":
            return cls(**_said(source), sha256=digest(list(load(source))))
        file = located(source.path)
        if not file.exists():
            raise UserError(
                f"the {source.format} problem file does not exist",
                value=source.path,
                remedy=f"correct `path` in the recipe; {PUBLISHED}",
            )
        if file.is_dir():
            named = {f.relative_to(file).as_posix(): file_sha256(f) for f in members(file)}
            return cls(**_said(source), reading=READING, sha256=digest(named))
        return cls(**_said(source), reading=READING, sha256=file_sha256(file))

    @classmethod
    def of_questions(cls, source: Source) -> Content:
        """As `of`, by what is asked alone: with and without its answers a file of questions is the same content."""
        asked = [question(problem) for problem in load(source, unlabelled=True)]
        return cls(**_said(source), reading=READING, sha256=digest(asked))


def question(problem: Problem) -> Problem:
    """What may be known of an unlabelled problem: its question and options. All else might give its answer away."""
    p = problem
    return Problem(id=p.id, question=p.question, answer="", source=p.source, split=p.split, options=p.options)


def _said(source: Source) -> Mapping[str, Any]:
    return {f.name: getattr(source, f.name) for f in fields(Source)}
