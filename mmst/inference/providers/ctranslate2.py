"""The model in CTranslate2, for CPUs, in int8 or float32.

A batch's rows start together and leave it as they end. What a request gets depends on the model, the
request and its seed alone (in float32: but for the last bits of sums), as with `LocalModel`:

- the random numbers are each row's own (`ctranslate2_draws`);
- integers add up to the same in any batch, and what is summed in floats, attention, is cut alike: a
  prompt's first `BUCKET` × i tokens are read at once, the rest one by one. CTranslate2 reads at once as
  many as the shortest prompt of a batch has, so a filler of just that length goes with it.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmst.core.errors import SamplerError
from mmst.core.extras import needed
from mmst.inference.folder import context_of, load_tokens
from mmst.inference.in_process import InProcess, Told
from mmst.inference.providers.ctranslate2_draws import MOST, Draws
from mmst.inference.sequences import ActiveSequence

BUCKET = 32
"""Tokens of a prompt that are read one by one at most, less one."""
PROMPTS = 15
"""Prompts of a batch at most: with the filler 16, up to which the library's sort keeps the order of equals."""
SEED = 5489
"""What the worker's generator is started with, to be recognised."""
COLDEST = 1e-6
LEAST_P = 1e-6
"""Colder temperatures and smaller shares are taken for these, as for the likeliest token."""
POLL = 0.1
Rows = list[ActiveSequence]


class Ctranslate2Model(InProcess):
    """The model in CTranslate2; a context manager that holds its memory.

    Args:
        folder: the Hugging Face folder, of which tokenizer and context are taken.
        converted: what `ctranslate2_convert.converted` made of it.
        dtype: `int8` or `float32`.
        batch: rows decoded together at most.
    """

    def __init__(self, folder: Path, converted: Path, *, dtype: str, batch: int) -> None:
        self.folder, self.converted, self.dtype, self.batch = folder, converted, dtype, batch
        self.generator: Any = None

    def __enter__(self) -> Ctranslate2Model:
        with needed("ctranslate2", "sampling.backend=ctranslate2 needs CTranslate2"):
            import ctranslate2

        self.tokens = load_tokens(self.folder, False)
        self.context = context_of(self.folder)
        self.vocabulary: list[str] = json.loads((self.converted / "vocabulary.json").read_text(encoding="utf-8"))
        self.known = len(self.vocabulary)
        ctranslate2.set_random_seed(SEED)
        try:
            self.generator = ctranslate2.Generator(
                str(self.converted),
                device="cpu",
                compute_type=self.dtype,
                inter_threads=1,
                intra_threads=int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
            )
        except (RuntimeError, ValueError) as e:
            raise SamplerError(f"CTranslate2 cannot load {self.converted} ({e})", remedy="delete that folder") from e
        self.draws = self._draws()
        return self

    def __exit__(self, *exc: object) -> None:
        self.generator = None

    def decode(self, asked: Sequence[Rows], on_done: Told, on_tokens: Told) -> None:
        """See `InProcess`."""
        for batch in self._batches(asked):
            self._decode(batch, on_done, on_tokens)

    def _batches(self, asked: Sequence[Rows]) -> Iterator[list[Rows]]:
        """Rows that can be decoded together, the longest prompts first, as CTranslate2 puts them.

        In a batch each prompt has as many rows.
        """

        def alike(rows: Rows) -> tuple[float, ...]:
            r = rows[0].request
            drawn = (r.temperature, r.top_p) if r.temperature > 0 else (0.0, 1.0)
            return (-read_at_once(len(rows[0].prompt)), len(rows), *drawn)

        most = min(self.batch, MOST // 2)
        parts = [
            rows[i : i + width]
            for rows in asked
            for width in [most if rows[0].request.temperature > 0 else 1]  # it draws several of one prompt, or one
            for i in range(0, len(rows), width)
        ]
        parts.sort(key=lambda rows: (alike(rows), -len(rows[0].prompt)))
        for _, group in itertools.groupby(parts, alike):
            together = list(group)
            size = max(1, most // len(together[0]))
            if together[0][0].request.temperature > 0:
                size = min(size, PROMPTS)
            for i in range(0, len(together), size):
                yield together[i : i + size]

    def _decode(self, batch: list[Rows], on_done: Told, on_tokens: Told) -> None:
        """Decode one batch to its end."""
        n, r = len(batch[0]), batch[0][0].request
        first = read_at_once(len(batch[0][0].prompt))
        under_way = Batch(batch, first, self.draws if r.temperature > 0 else None, self.tokens.ends, on_done, on_tokens)
        prompts = [[self.vocabulary[t] for t in rows[0].prompt] for rows in batch]
        prompts.append(prompts[-1][: first + 1])
        hot = {
            "sampling_topk": 0,
            "sampling_temperature": max(r.temperature, COLDEST),
            "sampling_topp": max(r.top_p, LEAST_P),
        }
        under_way.prepare()
        self._generate(
            prompts,
            under_way,
            num_hypotheses=n,
            max_length=BUCKET + 1 + max(row.budget for rows in batch for row in rows),
            **(hot if r.temperature > 0 else {}),
        )

    def _generate(self, prompts: list[list[str]], callback: Callable[[Any], bool], **options: Any) -> None:
        """Run CTranslate2 in its thread, so that a signal reaches this one."""
        stopping = threading.Event()
        trouble: list[BaseException] = []
        first: Any = None

        def told(step: Any) -> bool:
            if stopping.is_set():
                return True
            try:
                return callback(step)
            except BaseException as e:
                trouble.append(e)
                stopping.set()
                return True

        try:
            (first, *rest) = self.generator.generate_batch(
                prompts,
                asynchronous=True,
                include_prompt_in_result=False,
                return_scores=True,
                end_token=[],
                callback=told,
                **options,
            )
            while not first.done():
                stopping.wait(POLL)
            for result in (first, *rest):
                result.result()
        except (RuntimeError, ValueError) as e:
            raise SamplerError(f"CTranslate2 failed while sampling: {e}") from e
        finally:
            stopping.set()
            while first is not None and not first.done():  # or the next batch would find its numbers drawn by this one
                time.sleep(POLL / 10)
        if trouble:
            raise trouble[0]

    def _draws(self) -> Draws:
        """The random numbers of the thread that decodes; it draws one to show them."""
        found: list[Draws] = []

        def look(step: Any) -> bool:
            found.append(Draws())
            found[0].verify(SEED)
            return True

        self._generate([[self.vocabulary[0]]], look, max_length=1, sampling_topk=0)
        return found[0]


class Batch:
    """Rows of one call to CTranslate2; called with every token that it has chosen for one of them."""

    def __init__(
        self,
        batch: list[Rows],
        first: int,
        draws: Draws | None,
        ends: Callable[[ActiveSequence], bool],
        on_done: Told,
        on_tokens: Told,
    ) -> None:
        self.draws, self.ends, self.on_done, self.on_tokens = draws, ends, on_done, on_tokens
        self.n = len(batch[0])
        rows = [row for rows in batch for row in rows]
        self.rows: list[ActiveSequence | None] = [*rows, *[None] * self.n]  # the last are the filler's
        self.forced = [*(len(row.prompt) - 1 - first for row in rows), *[0] * self.n]
        self.silent = first > 0
        self.alive = list(range(len(self.rows)))
        self.ended: set[int] = set()
        self.step, self.told, self.drawn = 0, 0, 0
        self.callers = 0

    def __call__(self, step: Any) -> bool:
        """Whether the row that this token is for has ended."""
        at = step.batch_id * self.n + step.hypothesis_id
        ended = self._take(at, step.token_id, step.log_prob, step.step)
        if ended:
            self.ended.add(at)
        self.told += 1
        if self.told == self.callers:
            self._next()
        return ended

    def _take(self, at: int, token: int, logprob: float | None, step: int) -> bool:
        row = self.rows[at]
        if row is None:  # the filler, which is wanted as long as nobody else would tell of a step
            return step >= max(self.forced) - 1
        if step < self.forced[at]:
            return False
        if logprob is None or logprob != logprob:
            raise SamplerError("the model failed while sampling: its output is not a number (NaN): damaged weights")
        row.take(token, logprob)
        self.drawn += 1
        return self.ends(row)

    def _next(self) -> None:
        """The step is over: count, and set what the next one draws."""
        if self.draws and self.draws.taken != len(self.alive):
            raise SamplerError(f"CTranslate2 drew {self.draws.taken} numbers for {len(self.alive)} rows")
        finished = sum(self.rows[at] is not None for at in self.ended)
        self.on_tokens(self.drawn)
        self.drawn = 0
        if finished:
            self.on_done(finished)
        self.alive = [at for at in self.alive if at not in self.ended]
        self.ended.clear()
        self.step, self.told = self.step + 1, 0
        if self.alive:
            self.prepare()

    def prepare(self) -> None:
        """Set what the next step draws, and count who will tell of it."""
        self.callers = sum(not self.silent or self.forced[at] <= self.step for at in self.alive)
        if self.draws:
            self.draws.set([self._number(at) for at in self.alive])

    def _number(self, at: int) -> float:
        row = self.rows[at]
        return 0.0 if row is None or self.step < self.forced[at] else row.draws[len(row.tokens)]


def read_at_once(length: int) -> int:
    """How many tokens of a prompt of this length are read at once."""
    return (length - 1) // BUCKET * BUCKET
