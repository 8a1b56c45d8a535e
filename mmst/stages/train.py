"""Training: the order in which examples are seen, then the worker that fine-tunes on them.

The order is fixed here, so that it is the same on every trainer: new and annotated examples in the
proportion of `trainset.annotated_share`, each reshuffled whenever it has been seen once. Every arm
gets the same number of steps and tokens.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mmst.core import private
from mmst.core.config import Config, identity
from mmst.core.errors import UserError
from mmst.core.hashes import file_entries
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines, Progress, Task, TrainSpec
from mmst.core.records import Example, seed_of, to_data, to_json
from mmst.core.stage import Stage, records
from mmst.core.weights import checkpoint_folder

T = TypeVar("T")

VERSION = 3


def run(engines: Engines, place: Place, trainset: Manifest, checkpoint: Manifest) -> Manifest:
    """The checkpoint fine-tuned on a training set: a Hugging Face folder as a stage.

    Facts: `arm`, and the worker's figures (`loss`, `steps`, `tokens`, `dropped`, `threads`). The
    weights depend on the number of threads (sums are taken in another order), so the same work
    has the same digest on machines with as many cores.
    """
    config, store = engines.config, engines.store
    stage = Stage.open(
        store,
        "train",
        version=VERSION,
        config=config_slice(config),
        inputs={"trainset": trainset, "checkpoint": checkpoint},
        place=place,
    )
    if stage.manifest is not None:
        return stage.manifest
    with _waiting(engines.progress) as waiting, stage.alone(waiting) as scratch:
        return stage.manifest or _trained(engines, stage, trainset, checkpoint, scratch)


@contextlib.contextmanager
def _waiting(progress: Progress) -> Iterator[Callable[[str], None]]:
    """Shows who trains this already, in another run."""
    with contextlib.ExitStack() as stack:
        tasks: list[Task] = []

        def waiting(holder: str) -> None:
            tasks[:] = tasks or [stack.enter_context(progress.task("wait for another run", 1, "stage"))]
            tasks[0].advance(0, f"trained by {holder}")

        yield waiting


def _trained(engines: Engines, stage: Stage, trainset: Manifest, checkpoint: Manifest, scratch: Path) -> Manifest:
    config, store, started = engines.config, engines.store, time.monotonic()
    new = list(records(store, trainset, Example, "new-"))
    annotated = list(records(store, trainset, Example, "annotated-"))
    arm, seed = str(trainset.facts["arm"]), seed_of(config.sampling.seed, "train")
    share = annotated_share(len(new), len(annotated), config.trainset.annotated_share, arm)

    budget = config.train.steps * config.train.batch_tokens
    with open(scratch / "order.jsonl", "w", encoding="utf-8", errors="surrogatepass", opener=private.opener) as file:
        file.writelines(to_json(e) + "\n" for e in enough(order(new, annotated, share, seed), budget))
    folder = checkpoint_folder(store, checkpoint)
    spec = TrainSpec(
        model=str(folder),
        examples=str(scratch / "order.jsonl"),
        out=str(scratch / "out"),
        scratch=str(scratch / "work"),
        seed=seed,
        settings=to_data(config.train),
        trust_remote_code=bool(config.model.trust_remote_code) and config.model.trust_remote_code == config.model.base,
    )
    with engines.progress.task("train", config.train.steps, "steps") as task:
        before: int | None = None

        def on_step(step: int, loss: float) -> None:
            nonlocal before
            if before is None and step > 1:  # a checkpoint's, or of a job that works already
                task.found(step)
            else:
                task.advance(step - (before or 0), f"loss {loss:.3f}")
            before = step

        figures = engines.trainer().train(spec, on_step)
    files = file_entries(Path(spec.out))
    for entry in files:
        stage.put_file(entry.name, Path(spec.out) / entry.name)
    return stage.finish(
        files=files,
        counts={"new": len(new), "annotated": len(annotated)},
        facts={"arm": arm, **figures},
        timing={"seconds": time.monotonic() - started, "tokens": figures["tokens"]},
    )


def config_slice(config: Config) -> dict[str, object]:
    """The settings that a fine-tuned model depends on."""
    return {
        "train": identity(config.train),
        "annotated_share": config.trainset.annotated_share,
        "seed": config.sampling.seed,
        "trust_remote_code": config.model.trust_remote_code,
    }


def annotated_share(new: int, annotated: int, wanted: float, arm: str) -> float:
    """The share of annotated examples among those seen: as wanted, or all of what there is.

    >>> annotated_share(new=0, annotated=10, wanted=0.5, arm="mmst")
    1.0
    """
    share = 1.0 if arm == "annotated-only" or (not new and wanted) else wanted if annotated else 0.0
    if not (annotated if share == 1.0 else new):
        raise UserError(
            f"nothing to train on: the training set of arm '{arm}' has {new} new and {annotated} annotated examples",
            remedy="raise sampling.k or add problems to problems.train, or give annotated ones as problems.annotated"
            + (" (and trainset.annotated_share above 0)" if annotated else ""),
        )
    return share


def order(new: Sequence[T], annotated: Sequence[T], share: float, seed: int) -> Iterator[T]:
    """An endless sequence of examples in which `share` of any stretch are annotated. Pure."""
    from_new, from_annotated = epochs(new, seed_of(seed, "new")), epochs(annotated, seed_of(seed, "seeds"))
    for i in itertools.count():
        yield next(from_annotated if int((i + 1) * share) > int(i * share) else from_new)


def epochs(examples: Sequence[T], seed: int) -> Iterator[T]:
    """All examples in a random order, again and again, each time another one."""
    for epoch in itertools.count():
        turn = list(examples)
        random.Random(seed_of(seed, epoch)).shuffle(turn)
        yield from turn


def enough(examples: Iterator[Example], tokens: int) -> Iterator[Example]:
    """As many examples as surely fill `tokens`; the worker starts over if they did not.

    No tokenizer is asked: a token seldom spans two words, or more than 16 characters.
    """
    seen = 0
    while seen < tokens:
        e = next(examples)
        text = e.prompt + e.completion
        seen += max(len(text.split()), len(text) // 16) + 1
        yield e
