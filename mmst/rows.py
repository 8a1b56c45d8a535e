"""The completions that are being decoded, one a row, each with random numbers of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy

from mmst.ports import Completion, Request


@dataclass(slots=True, eq=False)
class Row:
    """One completion under way: the j-th of `request`, whose prompt has the ids `prompt`."""

    request: Request
    j: int
    prompt: list[int]
    budget: int
    draws: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    finish: str = ""

    @property
    def completion(self) -> Completion:
        """What came of it."""
        return Completion(text=self.text, finish=self.finish, prompt_tokens=len(self.prompt), tokens=len(self.tokens))


def rows_of(request: Request, prompt: list[int], context: int) -> list[Row]:
    """The rows of a request, each with its own random numbers."""
    budget = min(request.max_tokens, context - len(prompt))
    rows = [Row(request, j, prompt, budget) for j in range(request.n)]
    if request.temperature > 0:
        for row in rows:
            stream = numpy.random.Generator(numpy.random.Philox(key=[request.seed & 0xFFFFFFFFFFFFFFFF, row.j]))
            row.draws = stream.random(budget).tolist()
    return rows
