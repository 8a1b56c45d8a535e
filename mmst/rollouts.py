"""Rollouts: what a model answers to many requests, written as shards of a stage.

The shared part of the stages that draw from a model: `sample` and `translate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from mmst import metrics
from mmst.manifest import Manifest
from mmst.ports import Completion, Engines, Request
from mmst.records import Sample
from mmst.store import Stage


class Asked(Protocol):
    """A request with whatever its stage must remember of it."""

    @property
    def request(self) -> Request:
        """What the model is asked."""


A = TypeVar("A", bound=Asked)


def draw(
    engines: Engines,
    stage: Stage,
    checkpoint: Manifest,
    parts: Callable[[], Iterable[tuple[str, Sequence[A]]]],
    record: Callable[[A, int, Completion], Sample],
    *,
    unit: str,
    recorded: bool = False,
) -> None:
    """Write every shard of `parts()` that is not there yet; the model is loaded only if one is missing.

    `parts` tells shard names with what is asked in each, and is gone through twice, so that no
    more than one shard's requests are held at once. `record` makes the record of a request's
    i-th completion. Raises `SamplerError` when the model fails; finished shards stay.
    """
    done = stage.files()
    missing = sum(asked.request.n for shard, part in parts() if shard not in done for asked in part)
    if not missing:
        return
    with (
        engines.progress.task(stage.name, missing, unit) as task,
        engines.sampler(checkpoint, recorded=recorded) as sampler,
    ):
        for shard, part in parts():
            if shard not in done:
                answers = sampler.sample([asked.request for asked in part], task.advance)
                stage.write_records(shard, _records(part, answers, record))
                metrics.count("mmst_stage_items_total", sum(c.tokens for a in answers for c in a), unit="tokens")


def drawn(request: Request, completion: Completion) -> dict[str, Any]:
    """The fields of a `Sample` that follow from a request and one completion of it."""
    return {
        "problem_id": request.problem_id,
        "method": request.method,
        "prompt": request.prompt,
        "completion": completion.text,
        "finish": completion.finish,
        "prompt_tokens": completion.prompt_tokens,
        "tokens": completion.tokens,
        "seed": request.seed,
        "temperature": request.temperature,
    }


def _records(
    part: Sequence[A], answers: Sequence[Sequence[Completion]], record: Callable[[A, int, Completion], Sample]
) -> Iterator[Sample]:
    for asked, completions in zip(part, answers, strict=True):
        for i, completion in enumerate(completions):
            yield record(asked, i, completion)
