"""Generation: what a model answers to many requests, written as shards of a stage.

The shared part of the stages that draw from a model: `sample` and `translate`.

Every completion that is asked for ends in one record. A request that failed for good has records too,
`failed` and with the reason; while the stage is unfinished, it is asked again when the stage goes on.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from mmst.core import metrics, sealed
from mmst.core.errors import SamplerError
from mmst.core.manifest import Manifest
from mmst.core.ports import Completion, Engines, Request, Sampler, Stating, Unfinished, failed
from mmst.core.records import FAILED, Sample
from mmst.core.stage import Stage

SERVER = "server.json"
"""Where an unfinished stage keeps what the server said that it is: another one must not go on with it."""
EXAMPLES = 3
"""Problems named for each kind of failure."""


class Asked(Protocol):
    """A request with whatever its stage must remember of it."""

    @property
    def request(self) -> Request:
        """What the model is asked."""


A = TypeVar("A", bound=Asked)
Record = Callable[[A, int, Completion], Sample]


def draw(
    engines: Engines,
    stage: Stage,
    checkpoint: Manifest,
    parts: Callable[[], Iterable[tuple[str, Sequence[A]]]],
    record: Record[A],
    *,
    unit: str,
    recorded: bool = False,
) -> None:
    """Write every shard of `parts()` that is not there yet; the model is loaded only if one is missing.

    `parts` tells shard names with what is asked in each, and is gone through twice, so that no
    more than one shard's requests are held at once. `record` makes the record of a request's
    i-th completion. Finished shards stay, with what failed in them: that alone is asked again.
    Raises `SamplerError` when the model fails, or more than `sampling.failures` of all requests.
    """
    done, share = stage.files(), engines.config.sampling.failures
    total = missing = 0
    for shard, part in parts():
        total += sum(asked.request.n for asked in part)
        missing += sum(asked.request.n for asked, _ in _left(part, _there(stage, shard, part, done)))
    if not missing:
        return
    failures = Failures()
    with (
        engines.progress.task(stage.name, missing, unit) as task,
        engines.sampler(checkpoint, recorded=recorded) as sampler,
    ):
        for shard, part in parts():
            there = _there(stage, shard, part, done)
            if not (left := _left(part, there)):
                continue
            answers, trouble = _ask(sampler, [asked.request for asked, _ in left], task.advance)
            _same_server(stage, sampler)
            made = dict(zip((i for _, i in left), answers, strict=True))
            samples = list(_records(part, there or {}, made, record))
            if trouble is None or any(c.finish != FAILED for answer in answers for c in answer):
                stage.write_records(shard, samples)
                metrics.count("mmst_stage_items_total", sum(c.tokens for a in answers for c in a), unit="tokens")
            if trouble is not None:
                raise trouble
            failures.add(samples)
            if failures.count / total > share:
                raise failures.error(stage.name, total, share)


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
        "failure": completion.failure,
    }


class Failures:
    """The completions that failed for good, by the kind of their failure."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.problems: defaultdict[str, dict[str, None]] = defaultdict(dict)

    @property
    def count(self) -> int:
        """How many."""
        return self.kinds.total()

    def add(self, samples: Iterable[Sample]) -> None:
        """Count those that failed."""
        for sample in samples:
            if sample.failed:
                kind, _, details = sample.failure.partition(": ")
                self.kinds[kind] += 1
                self.said.setdefault(kind, details)
                if len(self.problems[kind]) < EXAMPLES:
                    self.problems[kind][sample.problem_id] = None

    def error(self, stage: str, total: int, share: float) -> SamplerError:
        """What failed and what to do."""
        listed = "; ".join(
            f"{n:,} × {kind}{f' ({said})' if (said := self.said[kind]) else ''}, e.g. problem "
            + ", ".join(self.problems[kind])
            for kind, n in self.kinds.most_common()
        )
        return SamplerError(
            f"{stage}: {self.count:,} of {total:,} completions failed for good, and sampling.failures={share:g} allows "
            f"{int(share * total + 1e-9):,}: {listed}",
            remedy="see to the cause, then the same command asks for these alone; or go on without them: "
            f"--set sampling.failures={min(1.0, 2 * self.count / total):.2g}",
        )


def _ask(
    sampler: Sampler, requests: Sequence[Request], advance: Callable[[int], None]
) -> tuple[Sequence[Sequence[Completion]], SamplerError | None]:
    """The answers, and the trouble that kept the model from the rest, which then failed."""
    try:
        return sampler.sample(requests, advance), None
    except Unfinished as e:
        rest = failed(f"unfinished: {e}")
        return [
            [rest] * request.n if answer is None else answer
            for request, answer in zip(requests, e.answers, strict=True)
        ], e


def _same_server(stage: Stage, sampler: Sampler) -> None:
    """`SamplerError` when the server says that it is another than the one that the stage was begun with."""
    if not isinstance(sampler, Stating):
        return
    name, said = f"{stage.prefix}/{SERVER}", dict(sampler.stated())
    remedy = "delete it, if the server is still the same; else begin anew"
    text = sealed.read(stage.store, name, remedy)
    known = {} if text is None else sealed.parsed(stage.store, name, dict[str, str], text, remedy)
    for what in known.keys() & said.keys():
        if known[what] != said[what]:
            raise SamplerError(
                f"{stage.name} was begun with a server of {what} {known[what]!r:.100}, and this one says "
                f"{said[what]!r:.100}",
                remedy=f"start the first again, or delete {stage.prefix} to begin anew",
            )
    if known | said != known:
        sealed.write(stage.store, name, json.dumps(known | said, sort_keys=True))


Records = dict[int, list[Sample]]
"""By the number of a request in its shard, the records of its completions."""


def _there(stage: Stage, shard: str, part: Sequence[A], done: set[str]) -> Records | None:
    """What a shard holds already when something in it failed; nothing when it is not there, None when it is whole."""
    if shard not in done:
        return {}
    samples = list(stage.read_records(shard, Sample))
    if not any(sample.failed for sample in samples):
        return None
    each = iter(samples)  # only recorded completions may be fewer than were asked for, and those do not fail
    return {i: list(itertools.islice(each, asked.request.n)) for i, asked in enumerate(part)}


def _left(part: Sequence[A], there: Records | None) -> list[tuple[A, int]]:
    """What of a shard is still to be asked, each with its number."""
    if there is None:
        return []
    return [(a, i) for i, a in enumerate(part) if i not in there or any(s.failed for s in there[i])]


def _records(
    part: Sequence[A], there: Records, made: Mapping[int, Sequence[Completion]], record: Record[A]
) -> Iterator[Sample]:
    """The records of a shard: what was there, and what was asked again in the place of what had failed."""
    for i, asked in enumerate(part):
        old = there.get(i, [])
        if i not in made:
            yield from old
            continue
        for j, completion in enumerate(made[i]):
            yield old[j] if old and not old[j].failed else record(asked, j, completion)
