"""The completions that are being decoded, one per row, each with its own random numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy

from mmst.core.ports import Completion, Request

AHEAD = 64
"""Random numbers drawn at a time, so that a long row holds no more of them than it needs."""


@dataclass(slots=True, eq=False)
class ActiveSequence:
    """One completion in progress: the j-th of `request`, whose prompt has the ids `prompt`.

    The first `head` of them are shared with other prompts.
    `gone` may be set from any thread; it means that the row is not wanted any more.
    """

    request: Request
    j: int
    prompt: list[int]
    budget: int
    head: int = 0
    draws: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    finish: str = ""
    gone: bool = False
    stream: numpy.random.Generator | None = None

    @property
    def completion(self) -> Completion:
        """The completion as it ended."""
        return Completion(text=self.text, finish=self.finish, prompt_tokens=len(self.prompt), tokens=len(self.tokens))

    def take(self, token: int, logprob: float) -> None:
        """Advance the row by one token; then there is a random number for the next one."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        if self.stream is not None and len(self.tokens) == len(self.draws):
            self.draws += self.stream.random(AHEAD).tolist()


def sequences_of(request: Request, prompt: list[int], context: int, head: int = 0) -> list[ActiveSequence]:
    """The rows of a request, each with its own random numbers."""
    budget = min(request.max_tokens, context - len(prompt))
    rows = [ActiveSequence(request, j, prompt, budget, head) for j in range(request.n)]
    if request.temperature > 0:
        for row in rows:
            row.stream = numpy.random.Generator(numpy.random.Philox(key=[request.seed & 0xFFFFFFFFFFFFFFFF, row.j]))
            row.draws = row.stream.random(min(budget, AHEAD)).tolist()
    return rows
