"""What the fine-tuning worker learns from: examples as token rows, rows as batches, batches in parts.

Everything is a pure function of the file and the tokenizer, so that every rank makes
the same plan, and a resumed run goes through the same batches.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmst.core.errors import UserError
from mmst.core.records import Example, from_json

CHUNK = 1024


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """Token ids of prompt, completion and end token; the loss counts from `start` on."""

    ids: list[int]
    start: int

    @property
    def first(self) -> int:
        """The first token that is learnt. A row's very first one follows from nothing."""
        return max(1, self.start)


@dataclass(slots=True)
class Plan:
    """The batches of a training run, and how many examples were too long for them."""

    examples: Path
    tokenizer: Any
    longest: int
    """Maximum tokens of a row."""
    budget: int
    """Tokens that a batch may have."""
    dropped: int = 0

    def batches(self) -> Iterator[list[TokenizedExample]]:
        """Endless: rows in their order, as many as the budget holds."""
        batch: list[TokenizedExample] = []
        tokens = 0
        for row in self._rows():
            if batch and tokens + len(row.ids) > self.budget:
                yield batch
                batch, tokens = [], 0
            batch.append(row)
            tokens += len(row.ids)

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
                    "context, train.batch_tokens and train.micro_tokens",
                    remedy="raise train.batch_tokens (or train.micro_tokens), or take shorter prompts (prompt.shots) "
                    "or another model",
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


def parts(rows: Sequence[TokenizedExample], most: int, ranks: int, *, packed: bool) -> list[list[TokenizedExample]]:
    """A batch in parts of at most `most` tokens, the same number for every rank, about equally large.

    `packed` rows are side by side; others are padded to the longest of their part. A rank's parts are every
    `ranks`-th; where there are more ranks than rows, the last parts are empty.

    >>> rows = [TokenizedExample([1] * n, 0) for n in (2, 3, 3, 8)]
    >>> [[len(row.ids) for row in part] for part in parts(rows, 9, 2, packed=True)]
    [[8], [3, 3, 2]]
    """
    if not packed:
        groups = cut(sorted(rows, key=lambda row: len(row.ids)), most)
        return groups + [[] for _ in range(-len(groups) % ranks)]
    longest_first = sorted(rows, key=lambda row: -len(row.ids))
    for count in itertools.count(ranks, ranks):
        bins: list[list[TokenizedExample]] = [[] for _ in range(count)]
        filled = [(0, i) for i in range(count)]
        for row in longest_first:
            tokens, i = heapq.heappop(filled)
            bins[i].append(row)
            heapq.heappush(filled, (tokens + len(row.ids), i))
        if max(tokens for tokens, _ in filled) <= most or count >= len(rows):
            return bins
    raise AssertionError("counting ends")


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
