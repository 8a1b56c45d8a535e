"""What samplers with the model in this process share: requests become rows of tokens, and rows completions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmst.core.errors import ModelError, PromptError
from mmst.core.ports import Completion, Request, failed

if TYPE_CHECKING:
    from mmst.inference.sequences import ActiveSequence
    from mmst.inference.tokenizer import Tokens

Told = Callable[[int], None]


class InProcess(ABC):
    """Fulfils `ports.Sampler`. `context` is the size of the model's context in tokens, `known` of its vocabulary."""

    folder: Path
    tokens: Tokens
    context: int
    known: int

    def sample(
        self, requests: Sequence[Request], on_done: Told = lambda n: None, on_tokens: Told = lambda n: None
    ) -> list[list[Completion]]:
        """The n completions of each request; see `ports.Sampler`. If its prompt does not fit, they are `failed`."""
        asked = [self._asked(request) for request in requests]
        if refused := sum(r.n for r, a in zip(requests, asked, strict=True) if isinstance(a, Completion)):
            on_done(refused)
        self.decode([a for a in asked if isinstance(a, list)], on_done, on_tokens)
        return [
            [row.completion for row in a] if isinstance(a, list) else [a] * request.n
            for request, a in zip(requests, asked, strict=True)
        ]

    @abstractmethod
    def decode(self, asked: Sequence[list[ActiveSequence]], on_done: Told, on_tokens: Told) -> None:
        """Decode the rows of each request to their end; tell how many more rows have ended, and tokens are there."""

    def rows(self, request: Request) -> list[ActiveSequence]:
        """The rows of a request; `PromptError` if its prompt does not fit."""
        from mmst.inference.sequences import sequences_of

        about = f"problem {request.problem_id}" if request.problem_id else ""
        prompt = self.tokens.prompt(request.prompt, self.context, about)
        if max(prompt) >= self.known:
            raise ModelError(
                f"the tokenizer in {self.folder} produces token {max(prompt)}, but the model knows {self.known}",
                remedy="give the model its own tokenizer, or resize its embeddings",
            )
        return sequences_of(request, prompt, self.context, self.tokens.head(request.prompt[: request.shared], prompt))

    def _asked(self, request: Request) -> list[ActiveSequence] | Completion:
        """The rows of a request, or why there are none: a prompt that does not fit affects no other request."""
        try:
            return self.rows(request)
        except PromptError as e:
            return failed(f"prompt: {e.what}")
