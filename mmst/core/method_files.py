"""A method as data: what a YAML file holds of one (docs/extending.md), as it travels in a recipe.

`mmst.methods.files` reads such files, and makes the method of one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mmst.core.codec import to_json
from mmst.core.errors import ConfigError

NAME = r"[a-z][a-z0-9]{0,19}"
"""Names of methods: they are parts of arms (`own-text`) and of counts."""
LARGEST = 64 << 10
"""Bytes of a file, and of all files of a recipe, which travels between processes as one argument."""


def _key(help: str, **default: Any) -> Any:
    return dataclasses.field(metadata={"description": help}, **default)


@dataclass(frozen=True, slots=True)
class Phrasing:
    """One wording in which a method is asked for; all phrasings of a method ask for the same thing."""

    heading: str = _key("the line under which the model writes such a solution, e.g. Python:")
    instruction: str = _key("the instruction of an instruct, few-shot or chat prompt")
    translation: str = _key("the instruction to rewrite a solution into this method")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodFile:
    """A method without code of its own: how to ask for it, and which of our rules read its solutions."""

    name: str = _key("what recipes call it")
    answer: Literal["stated", "last-line", "whole", "printed"] = _key(
        "what the answer of a solution is: stated (as in text: The answer is 7), its last-line, the whole, or what it "
        "printed (the solution is a program)"
    )
    same: Literal["words", "python"] = _key(
        "when two solutions are the same: the same words, or the same python program", default="words"
    )
    phrasings: tuple[Phrasing, ...] = _key("wordings, at least one; prompt.phrasing chooses, counting from 1")
    shots: tuple[tuple[str, ...], ...] = _key("worked examples: pairs of question and solution", default=())


def check(file: MethodFile, where: str) -> None:
    """`ConfigError`, beginning with `where`, for what its fields alone show to be wrong."""
    if not re.fullmatch(NAME, file.name):
        remedy = "at most 20 of a-z and 0-9, beginning with a letter, e.g. name: decompose"
        raise ConfigError(f"{where}: name must be a lower-case word", value=file.name, remedy=remedy)
    if not file.phrasings:
        remedy = 'phrasings: [{heading: "Steps:", instruction: …, translation: …}]'
        raise ConfigError(f"{where}: phrasings must hold at least one", remedy=remedy)
    for i, phrasing in enumerate(file.phrasings):
        for key, text in dataclasses.asdict(phrasing).items():
            if not text.strip():
                raise ConfigError(f"{where}: phrasings[{i}].{key} is empty", remedy="write what the model is to read")
    for i, shot in enumerate(file.shots):
        if len(shot) != 2 or not all(text.strip() for text in shot):
            remedy = "- [question, solution]"
            raise ConfigError(
                f"{where}: shots[{i}] must be a question and its solution", value=list(shot), remedy=remedy
            )


def check_all(files: Iterable[MethodFile], methods: Iterable[str], phrasing: int) -> None:
    """`ConfigError` unless a recipe with these `methods` can use these files."""
    seen, size = set[str](), 0
    for i, file in enumerate(files):
        check(file, where := f"method_files[{i}]")
        if file.name in seen:
            raise ConfigError(f"{where}: two method files have this name", value=file.name, remedy="rename one of them")
        seen.add(file.name)
        size += len(to_json(file).encode("utf-8", "surrogatepass"))
        if file.name in methods and phrasing > len(file.phrasings):
            remedy = f"prompt.phrasing from 1 to {len(file.phrasings)}, or another phrasing in the file"
            raise ConfigError(f"method '{file.name}' does not have this phrasing", value=phrasing, remedy=remedy)
    if size > LARGEST:
        raise ConfigError(
            f"method_files hold more than {LARGEST >> 10} KiB together", value=size, remedy="leave out shots"
        )
