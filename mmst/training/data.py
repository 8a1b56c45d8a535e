"""The training data of the fine-tuning worker: examples as token rows, rows as padded batches.

Everything is a pure function of the file, the tokenizer and the seed, so that every rank makes
the same plan, and a resumed run goes through the same batches.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmst.core.errors import UserError
from mmst.core.records import Example, from_json

CHUNK = 1024
WINDOW = 64


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """Token ids of prompt, completion and end token; the loss counts from `start` on."""

    ids: list[int]
    start: int


@dataclass(slots=True)
class Plan:
    """The batches of a training run, and how many examples were too long for them."""

    examples: Path
    tokenizer: Any
    longest: int
    """Maximum tokens of a row."""
    budget: int
    """Maximum tokens of a batch, including padding."""
    seed: int
    dropped: int = 0

    def batches(self) -> Iterator[list[TokenizedExample]]:
        """Endless batches: rows sorted by length within windows, cut to the budget, shuffled."""
        rng = random.Random(self.seed)
        for window in self._windows():
            groups = cut(sorted(window, key=lambda row: len(row.ids)), self.budget)
            rng.shuffle(groups)
            yield from groups

    def _windows(self) -> Iterator[list[TokenizedExample]]:
        window: list[TokenizedExample] = []
        tokens = 0
        for row in self._rows():
            window.append(row)
            tokens += len(row.ids)
            if tokens >= WINDOW * self.budget:
                yield window
                window, tokens = [], 0

    def _rows(self) -> Iterator[TokenizedExample]:
        while True:
            fitting = 0
            with self.examples.open("rb") as lines:
                while part := [from_json(Example, line) for line in itertools.islice(lines, CHUNK)]:
                    rows = encode(self.tokenizer, part)
                    fits = [row for row in rows if len(row.ids) <= self.longest]
                    self.dropped += len(rows) - len(fits)
                    fitting += len(fits)
                    yield from fits
            if not fitting:
                raise UserError(
                    f"every training example is longer than {self.longest} tokens, the least of the model's "
                    "context and train.batch_tokens",
                    remedy="raise train.batch_tokens, or use shorter prompts (prompt.shots) or another model",
                )


def encode(tokenizer: Any, examples: Sequence[Example]) -> list[TokenizedExample]:
    """Rows of token ids, with the prompt tokenised as for sampling.

    A completion's tokens are those that follow the prompt's when both are tokenised as one text, because that is
    what the model has to write. If the boundary falls inside a token, the completion is tokenised alone.
    """
    bos = tokenizer.bos_token
    special = not (bos and examples[0].prompt.startswith(bos))  # chat templates write it themselves
    prompts = tokenizer([e.prompt for e in examples], add_special_tokens=special)["input_ids"]
    wholes = tokenizer([e.prompt + e.completion for e in examples], add_special_tokens=special)["input_ids"]
    end = tokenizer.eos_token_id
    rows = []
    for e, prompt, whole in zip(examples, prompts, wholes, strict=True):
        given, both = _without(prompt, end), _without(whole, end)
        if both[: len(given)] == given:
            ids = both
        else:
            ids = given + tokenizer(e.completion, add_special_tokens=False)["input_ids"]
        rows.append(TokenizedExample([*ids, end], len(given)))
    return rows


def _without(ids: list[int], end: int) -> list[int]:
    """The ids without an end token, which some tokenizers add to every text."""
    return ids[:-1] if ids and ids[-1] == end else ids


def cut(rows: Sequence[TokenizedExample], budget: int) -> list[list[TokenizedExample]]:
    """Groups of neighbours whose padded size is within the budget. `rows` are sorted by length.

    >>> [len(g) for g in cut([TokenizedExample([1] * n, 0) for n in (2, 3, 3, 8)], 9)]
    [3, 1]
    """
    groups: list[list[TokenizedExample]] = []
    for row in rows:
        if groups and (len(groups[-1]) + 1) * len(row.ids) <= budget:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
