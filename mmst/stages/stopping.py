"""The stop rule: whether a round has enough to train on, and whether another round is worth it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmst.core.config import Config
from mmst.core.manifest import Place
from mmst.core.records import Decision
from mmst.core.results import Next, Promoted, TrainsetCounts
from mmst.core.results import Trainset as Chosen
from mmst.core.stage import Job, Made, Stage
from mmst.stages.reads import Checkpoint, Promotion, Trainset

STOP = "stop"
TRAIN = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The rule, and the round that it is asked after."""

    min_new: int
    min_gain: float
    plateau: str
    rounds: int
    round: int

    @classmethod
    def of(cls, config: Config, place: Place) -> Settings:
        """That of a recipe."""
        loop = config.loop
        return cls(
            min_new=loop.min_new, min_gain=loop.min_gain, plateau=loop.plateau, rounds=loop.rounds, round=place.round
        )


class Enough(Stage[Settings]):
    """Say whether a round found enough new examples to train on."""

    name, version = "enough", 1
    stored: ClassVar = "stopping"
    steps: ClassVar = {"enough": "before training", "ended": "again, where a round ends without"}

    def settings(self, config: Config, place: Place) -> Settings:
        """See `Settings`."""
        return Settings.of(config, place)

    def work(self, job: Job[Settings], trainset: Trainset) -> Made:
        """`train`, or `stop`."""
        found = trainset.counted(TrainsetCounts).new
        reason = enough(job.settings, trainset.result(Chosen), found)
        return Made(result=Next(next=STOP if reason else TRAIN, reason=reason))


class Another(Stage[Settings]):
    """Say whether another round is worth it."""

    name, version = "another", 1
    stored: ClassVar = "stopping"

    def settings(self, config: Config, place: Place) -> Settings:
        """See `Settings`."""
        return Settings.of(config, place)

    def work(self, job: Job[Settings], promotion: Promotion, checkpoint: Checkpoint) -> Made:
        """The reference of the checkpoint that the next round starts from, or `stop`."""
        reason = another(job.settings, promotion.result(Promoted).decision)
        return Made(result=Next(next=STOP if reason else checkpoint.ref, reason=reason))


def enough(loop: Settings, chosen: Chosen, new_examples: int) -> str:
    """Empty when there is enough to train on, else why the round ends before."""
    if chosen.replay == "only" or new_examples >= loop.min_new:
        return ""
    return f"too few new examples: {new_examples} of at least {loop.min_new} (loop.min_new)"


def another(loop: Settings, decision: Decision) -> str:
    """Empty when the next round is worth it, else why not."""
    if loop.round >= loop.rounds:
        return f"all {loop.rounds} rounds done (loop.rounds)"
    if loop.plateau == "continue":
        return ""
    if not decision.promote:
        return f"plateau: the challenger was rejected ({decision.reason})"
    if decision.gain < loop.min_gain:
        return f"plateau: gained {decision.gain:.3f}, less than {loop.min_gain:g} (loop.min_gain)"
    return ""
