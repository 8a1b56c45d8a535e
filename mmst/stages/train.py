"""Training: the order in which examples are seen, then the worker that fine-tunes on them.

The order is fixed here, so that it is the same on every trainer: new and annotated examples in the
proportion of `trainset.annotated_share`, each reshuffled whenever it has been seen once. Every arm
gets the same number of steps and tokens.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mmst.core import private, sealed
from mmst.core.config import Config, TrainConfig
from mmst.core.errors import UserError
from mmst.core.hashes import file_entries
from mmst.core.manifest import LOSSES, Place
from mmst.core.ports import TrainSpec
from mmst.core.records import Example, from_data, seed_of, to_data, to_json
from mmst.core.results import TrainCounts, Trained
from mmst.core.results import Trainset as Chosen
from mmst.core.stage import Job, Made, Stage, effective
from mmst.core.stored import Losses, records
from mmst.core.weights import checkpoint_folder
from mmst.models import trusted
from mmst.stages.reads import Checkpoint, Trainset

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a fine-tuned model depends on."""

    train: TrainConfig
    annotated_share: float
    seed: int
    trust_remote_code: str


class Train(Stage[Settings]):
    """Fine-tune a model on a training set.

    Example:

      mmst train -r demo --trainset stages/build_trainset/e4… --checkpoint stages/base/9a… --set train.lora_rank=8
    """

    name, version = "train", 3

    def settings(self, config: Config, place: Place) -> Settings:
        """See `Settings`."""
        return Settings(
            train=_used(effective(config.train)),
            annotated_share=config.trainset.annotated_share,
            seed=config.sampling.seed,
            trust_remote_code=trusted(config.model),
        )

    def work(self, job: Job[Settings], trainset: Trainset, checkpoint: Checkpoint) -> Made:
        """The checkpoint fine-tuned on a training set: a Hugging Face folder as a stage.

        The weights depend on the number of threads (sums are taken in another order), so the same work
        has the same digest on machines with as many cores.
        """
        settings, ports, scratch = job.settings, job.ports, job.folder.scratch
        new = list(records(ports.store, trainset, Example, "new-"))
        annotated = list(records(ports.store, trainset, Example, "annotated-"))
        chosen, seed, t = trainset.result(Chosen), seed_of(settings.seed, "train"), settings.train
        share = annotated_share(len(new), len(annotated), settings.annotated_share, chosen)

        budget, path = t.steps * t.batch_tokens, scratch / "order.jsonl"
        with open(path, "w", encoding="utf-8", errors="surrogatepass", opener=private.opener) as file:
            file.writelines(to_json(e) + "\n" for e in enough(order(new, annotated, share, seed), budget))
        spec = TrainSpec(
            model=str(checkpoint_folder(ports.store, checkpoint)),
            examples=str(path),
            out=str(scratch / "out"),
            scratch=str(scratch / "work"),
            seed=seed,
            settings=to_data(t),
            trust_remote_code=bool(settings.trust_remote_code),
        )
        curve = scratch / "losses.jsonl"
        with (
            ports.progress.task("train", t.steps, "steps") as task,
            open(curve, "a", encoding="utf-8", opener=private.opener, buffering=1) as seen,
        ):
            before: int | None = None

            def on_step(step: int, loss: float) -> None:
                nonlocal before
                seen.write(f"{json.dumps([step, loss])}\n")
                if before is None and step > 1:  # a checkpoint's, or of a job that works already
                    task.found(step)
                else:
                    task.advance(step - (before or 0), f"loss {loss:.3f}")
                before = step

            figures = ports.trainer().train(spec, on_step)
        sealed.write(ports.store, f"{job.folder.prefix}/{LOSSES}", to_json(_losses(curve)))
        files = file_entries(Path(spec.out))
        for entry in files:
            job.folder.put_file(entry.name, Path(spec.out) / entry.name)
        return Made(
            files=files,
            counts=TrainCounts(new=len(new), annotated=len(annotated)),
            result=from_data(Trained, {"arm": chosen.arm, **figures}),
            measured={"tokens": figures["tokens"]},
        )


def _losses(curve: Path) -> Losses:
    """The loss by step, of this process and those that were stopped before it; a step done again counts once."""
    found = dict[int, float]()
    for line in curve.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # a line that a kill cut off
            step, loss = json.loads(line)
            found[step] = loss
    steps = sorted(found)
    return Losses(steps=tuple(steps), losses=tuple(found[step] for step in steps))


def _used(t: TrainConfig) -> TrainConfig:
    """Without the settings of LoRA where there is none, so that they make no other training of the same."""
    default = TrainConfig()
    return t if t.lora_rank else replace(t, lora_alpha=default.lora_alpha, lora_targets=default.lora_targets)


def annotated_share(new: int, annotated: int, wanted: float, chosen: Chosen) -> float:
    """The share of annotated examples among those seen: as wanted, or all of what there is.

    >>> annotated_share(new=0, annotated=10, wanted=0.5, chosen=Chosen(arm="mmst"))
    1.0
    """
    wanted = {"only": 1.0, "none": 0.0}.get(chosen.replay, wanted)
    share = 1.0 if chosen.replay == "only" or (not new and wanted) else wanted if annotated else 0.0
    if not (annotated if share == 1.0 else new):
        raise UserError(
            f"nothing to train on: the training set of arm '{chosen.arm}' has {new} new and {annotated} annotated "
            "examples",
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
