"""The decode loop: many completions at once from one causal language model, one per row.

Rows start and end independently. A prompt is read once (prefill), and its keys and values are
copied into the slots of its n completions. What prompts share, such as worked examples, is read
once for all of them. When a row ends, its slot takes the next row.

A completion does not depend on its neighbours, down to the last bit on a CPU in float32. Each row
starts at column 0 of the cache (a left-padded row would be shifted by its batch's longest
prompt, and sums over shifted columns round differently); columns are a multiple of 16 and rows
at least `FLOOR`, because the matrix kernels change their order of summation for remainders
below that. Each completion has its own random stream, keyed by its request's seed and index.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from mmst.core.errors import SamplerError
from mmst.inference.sequences import ActiveSequence
from mmst.inference.tokenizer import Tokens

FLOOR = 64
"""Minimum number of rows decoded together (idle ones are computed and thrown away); 1 for a large model."""
FLOOR_BELOW = 200_000_000
"""Below this number of parameters, idle rows cost less than they gain."""
HEADS = 16
"""Beginnings of prompts whose keys and values are kept."""
COLUMNS = 16
WIDER = 64
"""Columns by which the cache grows at a time, because growing copies it."""
PREFILL_TOKENS = 8192
"""Prompt tokens that are read at once, at most."""
WELL_FILLED, PADDED = 1024, 5
"""With so many tokens, no prompt is added of which more than a fifth would be padding."""
COLDEST = 1e-6
"""Lower temperatures are raised to it, or the division would overflow: the most likely token is chosen."""
SORTED_NUMBERS = 1 << 23
"""Probabilities sorted or summed at once, to bound memory for large vocabularies."""


class Decoding:
    """Rows in progress in one model. `add` at any time, `step` until not `busy`; one thread only."""

    def __init__(self, model: Any, tokens: Tokens, most: int) -> None:
        self.model, self.tokens, self.most = model, tokens, most
        small = sum(p.numel() for p in model.parameters()) < FLOOR_BELOW
        self.floor = FLOOR if small else 1
        self.device = model.device
        self.drawn = 0
        """Tokens drawn so far."""
        self.waiting: deque[ActiveSequence] = deque()
        self.slots: list[ActiveSequence | None] = []
        self.cache = AlignedCache()
        self.heads: dict[tuple[int, ...], DynamicCache] = {}
        self.length = torch.zeros(0, dtype=torch.long, device=self.device)
        self.last = torch.zeros(0, dtype=torch.long, device=self.device)

    @property
    def busy(self) -> bool:
        """Whether rows are in progress or waiting."""
        return bool(self.waiting) or any(self.slots)

    def add(self, rows: Sequence[ActiveSequence]) -> None:
        """Queue rows; rows of one request are kept together, so that its prompt is read once."""
        self.waiting.extend(rows)

    @torch.inference_mode()
    def drop(self) -> None:
        """Drop the rows that are `gone`: their slots are free for the next step."""
        self.waiting = deque(row for row in self.waiting if not row.gone)
        for i, row in enumerate(self.slots):
            if row is not None and row.gone:
                self.slots[i] = None
                self.length[i] = 0

    @torch.inference_mode()
    def step(self) -> list[ActiveSequence]:
        """Decode one token for every row in progress; returns the rows that ended with it.

        Rows that are `gone` when their prompt is due are not read; call `drop` for rows in progress.
        """
        self._admit()
        live = [(i, row) for i, row in enumerate(self.slots) if row is not None]
        if not live:
            return []
        columns = _rounded(int(self.length.max()) + 1, COLUMNS)
        self.cache.at(self.length, columns)
        mask = (torch.arange(columns, device=self.device) <= self.length[:, None]).long()
        logits = self.model(
            input_ids=self.last[:, None],
            attention_mask=mask,
            position_ids=self.length[:, None],
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        at = torch.tensor([i for i, _ in live], device=self.device)
        chosen, logprobs = pick(logits[at], [row for _, row in live])
        if logprobs.isnan().any():
            raise ArithmeticError("the model's output is not a number (NaN): damaged weights, or dtype too narrow")
        self.drawn += len(live)
        self.last[at] = chosen
        self.length[at] += 1
        ended = []
        for (i, row), token, logprob in zip(live, chosen.tolist(), logprobs.tolist(), strict=True):
            row.take(token, logprob)
            if self.tokens.ends(row):
                ended.append(row)
                self.slots[i] = None
                self.length[i] = 0
        return ended

    def _admit(self) -> None:
        """Put waiting rows into the free slots, if all of them or a quarter of the batch fit."""
        busy = sum(row is not None for row in self.slots)
        size = min(self.most, max(self.floor, _power(busy + len(self.waiting))))
        if size > len(self.slots) or (not self.waiting and busy <= len(self.slots) // 2 and size < len(self.slots)):
            self._resize(max(size, self.floor))
        free = [i for i, row in enumerate(self.slots[: self.most]) if row is None]
        if not self.waiting or (len(free) < len(self.waiting) and len(free) < self.most // 4 and busy):
            return
        rows = [self.waiting.popleft() for _ in range(min(len(free), len(self.waiting)))]
        by_prompt: dict[int, list[ActiveSequence]] = {}
        for row in rows:
            by_prompt.setdefault(id(row.prompt), []).append(row)
        for head, prompts in _parts([row for row, *_ in by_prompt.values()]):
            mine = [[row for row in by_prompt[id(prompt)] if not row.gone] for prompt in prompts]
            part = [prompt for prompt, wanted in zip(prompts, mine, strict=True) if wanted]
            if not part:
                continue
            source = [n for n, wanted in enumerate(filter(None, mine)) for _ in wanted]
            slots, free = free[: len(source)], free[len(source) :]
            self._prefill(head, part, source, slots)
            for slot, row in zip(slots, itertools.chain(*mine), strict=True):
                self.slots[slot] = row

    def _prefill(self, head: int, prompts: list[list[int]], source: list[int], slots: list[int]) -> None:
        """Read prompts (all except the last token, which the next step feeds) into slots.

        The first `head` tokens of all of them are the same. `source[i]` is the prompt of `slots[i]`.
        """
        read = self._read([prompt[head:] for prompt in prompts], self._head(tuple(prompts[0][:head])))
        to, of = torch.tensor(slots, device=self.device), torch.tensor(source, device=self.device)
        self.cache.fill(read, to, of, len(self.slots))
        self.length[to] = torch.tensor([len(prompts[s]) - 1 for s in source], device=self.device)
        self.last[to] = torch.tensor([prompts[s][-1] for s in source], device=self.device)

    def _head(self, tokens: tuple[int, ...]) -> DynamicCache:
        """The keys and values of a beginning of prompts, as one row."""
        if tokens in self.heads:
            self.heads[tokens] = self.heads.pop(tokens)  # the one used last
        elif tokens:
            if len(self.heads) == HEADS:
                del self.heads[next(iter(self.heads))]
            self.heads[tokens] = self._read([list(tokens)], DynamicCache())
        return self.heads.get(tokens, DynamicCache())

    def _read(self, prompts: list[list[int]], head: DynamicCache) -> DynamicCache:
        """The keys and values of prompts, each of which goes on from `head`."""
        width, known = _rounded(max(map(len, prompts)), COLUMNS), head.get_seq_length()
        height = max(len(prompts), -(-self.floor // width))
        ids = torch.zeros(height, width, dtype=torch.long)
        mask = torch.zeros(height, known + width, dtype=torch.long)
        mask[:, :known] = 1
        for i in range(height):
            prompt = prompts[min(i, len(prompts) - 1)]
            ids[i, : len(prompt)] = torch.tensor(prompt)
            mask[i, known : known + len(prompt)] = 1
        read = DynamicCache()
        for n, layer in enumerate(head.layers):
            read.update(*(t[:1].expand(height, -1, -1, -1) for t in (layer.keys, layer.values)), n)
        positions = torch.arange(known, known + width, device=self.device).expand(height, -1)
        self.model(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            position_ids=positions,
            past_key_values=read,
            use_cache=True,
            logits_to_keep=1,
        )
        return read

    def _resize(self, size: int) -> None:
        """Set the number of slots to `size`, with the rows in progress in the first ones."""
        live = [i for i, row in enumerate(self.slots) if row is not None]
        kept = torch.tensor(live, dtype=torch.long, device=self.device)
        self.cache.keep(kept, size)
        self.length = torch.cat([self.length[kept], self.length.new_zeros(size - len(live))])
        self.last = torch.cat([self.last[kept], self.last.new_zeros(size - len(live))])
        self.slots = [self.slots[i] for i in live] + [None] * (size - len(live))


class AlignedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [rows, heads, columns, size] of one layer, written at the length of each row."""

    rows: torch.Tensor
    length: torch.Tensor
    columns: int

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one new column per row; returns the columns in use."""
        self.keys[self.rows, :, self.length] = key_states[:, :, 0]
        self.values[self.rows, :, self.length] = value_states[:, :, 0]
        return self.keys[:, :, : self.columns], self.values[:, :, : self.columns]

    def get_seq_length(self) -> int:
        """As if the new token were in the last column: only the mask decides what is seen."""
        return self.columns - 1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """All columns in use, from the first."""
        return self.columns, 0


class AlignedCache(DynamicCache):  # type: ignore[misc]
    """A cache in which every row starts at column 0 and has its own length."""

    def at(self, length: torch.Tensor, columns: int) -> None:
        """The next token of row i goes to column `length[i]`; `columns` are in use."""
        rows = torch.arange(len(length), device=length.device)
        for layer in self.layers:
            layer.rows, layer.length, layer.columns = rows, length, columns
            if (more := _rounded(columns - layer.keys.shape[2], WIDER)) > 0:
                layer.keys = _wider(layer.keys, more)
                layer.values = _wider(layer.values, more)

    def fill(self, read: Any, to: torch.Tensor, of: torch.Tensor, size: int) -> None:
        """Copy row `of[i]` of the cache `read` into row `to[i]` of this one of `size` rows."""
        for n, source in enumerate(read.layers):
            if n == len(self.layers):
                layer = AlignedLayer()
                layer.is_initialized = True
                layer.keys = source.keys.new_zeros(size, *source.keys.shape[1:])
                layer.values = source.values.new_zeros(size, *source.values.shape[1:])
                self.layers.append(layer)
            layer, width = self.layers[n], source.keys.shape[2]
            if (more := width - layer.keys.shape[2]) > 0:
                layer.keys, layer.values = _wider(layer.keys, more), _wider(layer.values, more)
            layer.keys[to, :, :width] = source.keys[of]
            layer.values[to, :, :width] = source.values[of]

    def keep(self, rows: torch.Tensor, size: int) -> None:
        """Keep these rows, which ascend, as the first ones of `size`; fewer than there were stay in their memory."""
        moved = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
        for layer in self.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)
                if size > len(old):
                    new = old.new_zeros(size, *old.shape[1:])
                    new[: len(rows)] = old[rows]
                else:
                    new = old[:size]
                    new[moved] = old[rows[moved]]
                setattr(layer, name, new)


@contextmanager
def failures() -> Iterator[None]:
    """Turn every error of the model into a `SamplerError`."""
    try:
        yield
    except torch.OutOfMemoryError as e:
        raise SamplerError(f"out of GPU memory while sampling; set a smaller sampling.batch ({e})") from e
    except MemoryError as e:
        raise SamplerError("out of memory while sampling; set a smaller sampling.batch") from e
    except (RuntimeError, ArithmeticError) as e:
        raise SamplerError(f"the model failed while sampling: {e}") from e


def pick(logits: torch.Tensor, rows: Sequence[ActiveSequence]) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row, and its log-probability under the model as it is.

    `logits` is [rows, vocabulary]. The row's next random number selects the token from the cumulative probabilities
    at its temperature, among the most likely tokens that make up `top_p`.
    """
    logits = logits.float()
    chosen = logits.argmax(-1)
    drawn = [i for i, row in enumerate(rows) if row.request.temperature > 0]
    at_once = max(1, SORTED_NUMBERS // logits.shape[-1])
    # Rows with top_p go through sorted probabilities, the others don't: never mixed, or a
    # neighbour's top_p would decide on which side of the split a row's number falls.
    for nucleus in (False, True):
        mine = [i for i in drawn if (rows[i].request.top_p < 1) is nucleus]
        for part in (mine[i : i + at_once] for i in range(0, len(mine), at_once)):
            at = torch.tensor(part, device=logits.device)
            chosen[at] = _draw(logits[at], [rows[i] for i in part], nucleus)
    logprobs = logits.log_softmax(-1).gather(-1, chosen[:, None])[:, 0]
    return chosen, logprobs


def _draw(logits: torch.Tensor, rows: Sequence[ActiveSequence], nucleus: bool) -> torch.Tensor:
    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    p = (logits.double() / column([max(row.request.temperature, COLDEST) for row in rows])).softmax(-1)
    order = None
    if nucleus:
        p, order = p.sort(dim=-1, descending=True, stable=True)
        p = p * (p.cumsum(-1) - p < column([row.request.top_p for row in rows]))
    cumulated = p.cumsum(-1)
    u = column([row.draws[len(row.tokens)] for row in rows])
    found = torch.searchsorted(cumulated, u * cumulated[:, -1:], right=True).clamp_(max=logits.shape[-1] - 1)
    return (found if order is None else order.gather(-1, found))[:, 0]


def _parts(rows: Sequence[ActiveSequence]) -> Iterator[tuple[int, list[list[int]]]]:
    """Prompts to read together, each part with how many tokens it shares.

    They are of similar length and, with padding, have at most `PREFILL_TOKENS` to read.
    """
    by_head: dict[tuple[int, ...], list[list[int]]] = {}
    for row in rows:
        shared = min(row.head, len(row.prompt) - 1) // COLUMNS * COLUMNS
        by_head.setdefault(tuple(row.prompt[:shared]), []).append(row.prompt)
    for head, prompts in by_head.items():
        part: list[list[int]] = []
        for prompt in sorted(prompts, key=len, reverse=True):
            width = _rounded(len((part or [prompt])[0]) - len(head), COLUMNS)
            padded, read = width - (len(prompt) - len(head)), len(part) * width
            if part and (read + width > PREFILL_TOKENS or (read >= WELL_FILLED and padded > width // PADDED)):
                yield len(head), part
                part = []
            part.append(prompt)
        yield len(head), part


def _wider(tensor: torch.Tensor, more: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.new_zeros(*tensor.shape[:2], more, tensor.shape[3])], 2)


def _rounded(n: int, to: int) -> int:
    return -(-n // to) * to


def _power(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, n - 1).bit_length()
