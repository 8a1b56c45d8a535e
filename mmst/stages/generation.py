"""Generation: what a model answers to many requests, written as shards of a stage.

The shared part of the stages that draw from a model: `sample` and `translate`.

Every completion that is asked for ends in one record. A request that failed for good has records too,
`failed` and with the reason; while the stage is unfinished, it is asked again when the stage goes on.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from mmst.core import metrics, sealed
from mmst.core.errors import MmstError, SamplerError, UserError
from mmst.core.manifest import Manifest
from mmst.core.ports import Completion, Request, Sampler, Stating, Task, Unfinished, failed
from mmst.core.records import FAILED, Sample
from mmst.core.stage import Job
from mmst.core.stage_folder import StageFolder

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
    job: Job[Any],
    checkpoint: Manifest,
    parts: Callable[[], Iterable[tuple[str, Sequence[A]]]],
    record: Record[A],
    *,
    asked: Callable[[Sequence[A]], None],
    answered: Callable[[Sample], None],
    unit: str,
    recorded: bool = False,
) -> list[str]:
    """Write every shard of `parts()` that is not there yet; the model is loaded only if one is missing. All shards.

    `parts` tells shard names with what is asked in each, and is gone through twice, so that no
    more than one shard's requests are held at once. `record` makes the record of a request's
    i-th completion. `asked` and `answered` are told of each shard's requests and of every record, once.
    Finished shards stay, with what failed in them: that alone is asked again.
    Raises `SamplerError` when the model fails, or more than `sampling.failures` of all requests, and `UserError` when
    more tokens are written than the user allows.
    """
    folder, ports = job.folder, job.ports
    done, whole = folder.files(), dict[str, bool]()
    total = missing = spent = 0
    for shard, part in parts():
        asked(part)
        there = _there(folder, shard, done)
        left = _left(part, _by_request(part, there))
        whole[shard] = there is not None and not any(sample.failed for sample in there)
        total += sum(a.request.n for a in part)
        spent += sum(sample.tokens for sample in there or ())
        if whole[shard]:
            for sample in there or ():
                answered(sample)
        else:
            missing += sum(a.request.n for a, _ in left)
    if not missing:
        return list(whole)
    failures = Failures()
    with (
        ports.progress.task(folder.name, missing, unit) as task,
        ports.sampler(checkpoint, recorded=recorded) as sampler,
    ):
        told = _Told(task, Budget(folder.name, ports.most_tokens, spent))
        for shard, part in parts():
            if whole[shard]:
                continue
            old = _by_request(part, _there(folder, shard, done))
            left = _left(part, old)
            told.budget.check()
            answers, trouble = _ask(sampler, [a.request for a, _ in left], told)
            _same_server(folder, sampler)
            made = dict(zip((i for _, i in left), answers, strict=True))
            samples = list(_records(part, old, made, record))
            if trouble is None or any(c.finish != FAILED for answer in answers for c in answer):
                folder.write_records(shard, samples)
                metrics.count("mmst_stage_items_total", sum(c.tokens for a in answers for c in a), unit="tokens")
            if trouble is not None:
                raise trouble
            for sample in samples:
                answered(sample)
            failures.add(samples)
            if failures.count / total > ports.failures:
                raise failures.error(folder.name, total, ports.failures)
    return list(whole)


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


class _Told:
    """Tells a task of completions as they end, and of tokens from the first one on."""

    def __init__(self, task: Task, budget: Budget) -> None:
        self.task, self.budget, self.count, self.began = task, budget, 0, time.monotonic()

    def done(self, n: int) -> None:
        """`n` more completions are there."""
        self.task.advance(n, self._note())

    def tokens(self, n: int) -> None:
        """`n` more tokens are there."""
        self.count += n
        self.task.advance(0, self._note())
        self.budget.spend(n)

    def _note(self) -> str:
        rate = self.count / max(time.monotonic() - self.began, 1e-9)
        return f"{self.count:,} tokens, {rate:.3g}/s" if self.count else ""


class Spent(SamplerError):
    """More is written than the user allows: whoever is asked stops, and hands over what there is."""


class Budget:
    """The tokens that a stage has written, of at most so many (0: any number)."""

    def __init__(self, stage: str, most: int, spent: int) -> None:
        self.stage, self.most, self.spent = stage, most, spent

    def spend(self, n: int) -> None:
        """`Spent` when these are too many."""
        self.spent += n
        if self.over:
            raise Spent(self.error().what)

    def check(self) -> None:
        """`UserError` when there are too many."""
        if self.over:
            raise self.error()

    @property
    def over(self) -> bool:
        """Whether more is written than may be."""
        return bool(self.most) and self.spent > self.most

    def error(self) -> UserError:
        """What to do."""
        return UserError(
            f"{self.stage}: {self.spent:,} tokens are written, and sampling.most_tokens allows {self.most:,}; all of "
            "them are kept",
            remedy=f"--set sampling.most_tokens={2 * self.most}, and the same command goes on; or a smaller sampling.k",
        )


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
    sampler: Sampler, requests: Sequence[Request], told: _Told
) -> tuple[Sequence[Sequence[Completion]], MmstError | None]:
    """The answers, and the trouble that kept the model from the rest, which then failed."""
    try:
        return sampler.sample(requests, told.done, told.tokens), None
    except Unfinished as e:
        rest = failed(f"unfinished: {e}")
        return [
            [rest] * request.n if answer is None else answer
            for request, answer in zip(requests, e.answers, strict=True)
        ], told.budget.error() if told.budget.over else e
    except Spent:
        raise told.budget.error() from None


def _same_server(folder: StageFolder, sampler: Sampler) -> None:
    """`SamplerError` when the server says that it is another than the one that the stage was begun with."""
    if not isinstance(sampler, Stating):
        return
    name, said = f"{folder.prefix}/{SERVER}", dict(sampler.stated())
    remedy = "delete it, if the server is still the same; else begin anew"
    text = sealed.read(folder.store, name, remedy)
    known = {} if text is None else sealed.parsed(folder.store, name, dict[str, str], text, remedy)
    for what in known.keys() & said.keys():
        if known[what] != said[what]:
            raise SamplerError(
                f"{folder.name} was begun with a server of {what} {known[what]!r:.100}, and this one says "
                f"{said[what]!r:.100}",
                remedy=f"start the first again, or delete {folder.prefix} to begin anew",
            )
    if known | said != known:
        sealed.write(folder.store, name, json.dumps(known | said, sort_keys=True))


Records = dict[int, list[Sample]]
"""By the number of a request in its shard, the records of its completions."""


def _there(folder: StageFolder, shard: str, done: set[str]) -> list[Sample] | None:
    """What a shard holds already; None when it is not there."""
    return list(folder.read_records(shard, Sample)) if shard in done else None


def _by_request(part: Sequence[A], there: Iterable[Sample] | None) -> Records:
    """What of a shard was asked already, where something in it failed."""
    if there is None:
        return {}
    each = iter(there)  # only recorded completions may be fewer than were asked for, and those do not fail
    return {i: list(itertools.islice(each, a.request.n)) for i, a in enumerate(part)}


def _left(part: Sequence[A], there: Records) -> list[tuple[A, int]]:
    """What of a shard is still to be asked, each with its number."""
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
