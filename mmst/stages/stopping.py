"""The stop rule: whether a round has enough to train on, and whether another round is worth it. Pure but for `run`."""

from __future__ import annotations

from collections.abc import Mapping

from mmst.core.config import LoopConfig
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Engines
from mmst.core.records import Decision, from_data
from mmst.core.stage import Stage

VERSION = 1
STOP = "stop"
TRAIN = "train"


def enough(loop: LoopConfig, new_examples: int) -> str:
    """`train`, or why the round ends before training."""
    if loop.arm == "annotated-only" or new_examples >= loop.min_new:
        return ""
    return f"too few new examples: {new_examples} of at least {loop.min_new} (loop.min_new)"


def another(loop: LoopConfig, round: int, decision: Decision) -> str:
    """Empty when the next round is worth it, else why not."""
    if round >= loop.rounds:
        return f"all {loop.rounds} rounds done (loop.rounds)"
    if loop.plateau == "continue":
        return ""
    if not decision.promote:
        return f"plateau: the challenger was rejected ({decision.reason})"
    if decision.gain < loop.min_gain:
        return f"plateau: gained {decision.gain:.3f}, less than {loop.min_gain:g} (loop.min_gain)"
    return ""


def run(
    engines: Engines,
    place: Place,
    trainset: Manifest | None = None,
    promotion: Manifest | None = None,
    checkpoint: Manifest | None = None,
) -> Manifest:
    """With `trainset`: go on to training? With `promotion` and `checkpoint`: another round?

    facts["next"] is `train`, or the reference of the checkpoint that the next round starts from,
    or `stop`; facts["reason"] says why it stops.
    """
    loop = engines.config.loop
    inputs: Mapping[str, Manifest | None] = {"trainset": trainset, "promotion": promotion, "checkpoint": checkpoint}
    config = {name: getattr(loop, name) for name in ("min_new", "min_gain", "plateau", "rounds")}
    stage = Stage.open(
        engines.store,
        "stopping",
        version=VERSION,
        config={**config, "round": place.round},
        place=place,
        inputs={name: m for name, m in inputs.items() if m is not None},
    )
    if stage.manifest is not None:
        return stage.manifest
    if trainset is not None:
        reason, following = enough(loop, trainset.counts.get("new", 0)), TRAIN
    else:
        assert promotion is not None, "the stop rule needs a training set or a promotion"
        assert checkpoint is not None, "a promotion comes with its checkpoint"
        reason = another(loop, place.round, from_data(Decision, promotion.facts["decision"]))
        following = checkpoint.ref
    return stage.finish(facts={"next": STOP if reason else following, "reason": reason})
