"""The documents that a base model is trained on, in the prompts that the product uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mmst.core.records import Problem
from mmst.methods import method
from mmst.methods.prompts import solve_prompt, translate_prompt


@dataclass(frozen=True, slots=True)
class Document:
    """Loss on `completion` (and the end token); in `facts` on what follows each equals sign."""

    kind: str
    prompt: str
    completion: str


def solve(p: Problem) -> Iterator[Document]:
    """The question with each of its annotated solutions."""
    for name, solution in p.solutions.items():
        yield Document("solve", solve_prompt(method(name), p.question, "plain", 0), solution)


def pairs(question: str, solutions: Mapping[str, str], kind: str) -> Iterator[Document]:
    """The solution by one method rewritten into the other, both ways; none without both."""
    for source, target in (("text", "code"), ("code", "text")):
        if source in solutions and target in solutions:
            prompt = translate_prompt(method(source), method(target), question, solutions[source], "plain", 0)
            yield Document(kind, prompt, solutions[target])
