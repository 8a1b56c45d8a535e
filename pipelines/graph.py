"""The order of the stages, stated here and nowhere else.

    prepare, base_model → measure → promote (round 0: the first champion)
    then per round: sample → verify (→ label → measure_labels) → translate → verify → build_trainset → enough?
                      → train → measure, beside the same for each control → promote → another?
    measure = sample (held out) → verify → evaluate
    and however it ends: finish (the page; nothing is left running)

Rounds are unrolled when the graph is built, each inside the previous one's condition; every
condition compares one plain string (kfp skips a condition that it cannot read, with only a
warning). kfp's cache is off on every task: the store resumes.
"""

import re
from collections.abc import Callable
from typing import Any

from kfp import dsl

from mmst.components.base_model import base_model
from mmst.components.build_trainset import build_trainset
from mmst.components.evaluate import evaluate
from mmst.components.finish import finish
from mmst.components.label import label
from mmst.components.measure_labels import measure_labels
from mmst.components.prepare import prepare
from mmst.components.promote import promote
from mmst.components.sample import sample
from mmst.components.stopping import another, enough
from mmst.components.train import train
from mmst.components.translate import translate
from mmst.components.verify import verify
from mmst.core.config import Config, to_text
from mmst.pipelines.placement import place
from mmst.stages.stopping import STOP, TRAIN


def build(config: Config) -> Any:
    """The pipeline of a configuration: its rounds and controls are unrolled here."""

    def step(component: Callable[..., Any], **arguments: Any) -> Any:
        """A task of the graph, with its pod's settings and without kfp's own cache."""
        name = component.name.replace("-", "_")  # type: ignore[attr-defined]
        arguments.setdefault("step", name)
        return place(component(**arguments).set_caching_options(False), name, config)

    @dsl.pipeline(name="measure")
    def measure(config: str, round: int, arm: str, problems: str, checkpoint: str) -> str:
        """Sample held-out problems from a checkpoint, check, evaluate; returns the evaluation."""
        at = {"config": config, "round": round, "arm": arm, "problems": problems}
        drawn = step(sample, **at, checkpoint=checkpoint, step="sample-heldout")
        checked = step(verify, **at, samples=drawn.output, step="verify-heldout")
        return step(evaluate, **at, checked=checked.output, checkpoint=checkpoint).outputs["Output"]

    @dsl.pipeline(name="learn")
    def learn(config: str, round: int, arm: str, problems: str, checkpoint: str, checked: str, translated: str) -> str:
        """Train and measure one control, beside the round's own arm."""
        at = {"config": config, "round": round, "arm": arm}
        chosen = step(
            build_trainset, **at, problems=problems, checked=checked, translated=translated, checkpoint=checkpoint
        )
        trained = step(train, **at, trainset=chosen.output, checkpoint=checkpoint)
        return measure(config=config, round=round, arm=arm, problems=problems, checkpoint=trained.output).output

    arm = config.loop.arm
    controls = config.loop.controls
    unlabelled = bool(config.problems.unlabelled)

    @dsl.pipeline(name="round")
    def one_round(config: str, round: int, problems: str, checkpoint: str) -> str:
        """One round from a checkpoint; returns the next round's checkpoint, or `stop`."""
        at = {"config": config, "round": round, "arm": arm}
        drawn = step(sample, **at, problems=problems, checkpoint=checkpoint)
        checked = step(verify, **at, problems=problems, samples=drawn.output)
        answers, judged = problems, checked.output
        if unlabelled:
            answers = judged = step(label, **at, problems=problems, checked=checked.output).output
            step(measure_labels, **at, labels=judged)
        rewritten = step(translate, **at, problems=answers, checked=judged, checkpoint=checkpoint)
        translated = step(verify, **at, problems=answers, samples=rewritten.output, step="verify-translations")
        verified = {"problems": problems, "checked": judged, "translated": translated.output}
        chosen = step(build_trainset, **at, **verified, checkpoint=checkpoint)
        go = step(enough, **at, trainset=chosen.output)
        with dsl.If(go.output == TRAIN):
            trained = step(train, **at, trainset=chosen.output, checkpoint=checkpoint)
            measured = measure(**at, problems=problems, checkpoint=trained.output)
            # One text with a reference of each; Kubeflow Pipelines of 2.2 and before fill it in by chance alone.
            beside = " ".join(
                f"{control}={learn(config=config, round=round, arm=control, **verified, checkpoint=checkpoint).output}"
                for control in controls
            )
            decided = step(promote, **at, evaluation=measured.output, checkpoint=trained.output, controls=beside)
            following = step(another, **at, promotion=decided.outputs["Output"], checkpoint=trained.output)
        with dsl.Else():
            ended = step(enough, **at, trainset=chosen.output, step="ended")
        return dsl.OneOf(following.output, ended.output)

    def rounds_from(first: int, later: Callable[..., Any] | None) -> Callable[..., Any]:
        """A round and those after it. Each is a pipeline of its own: kfp confuses conditions nested in one."""

        @dsl.pipeline(name=f"rounds-from-{first}")
        def rounds(config: str, problems: str, checkpoint: str) -> None:
            this = one_round(config=config, round=first, problems=problems, checkpoint=checkpoint)
            if later is not None:
                with dsl.If(this.output != STOP):
                    later(config=config, problems=problems, checkpoint=this.output)

        return rounds

    later = None
    for number in range(config.loop.rounds, 1, -1):
        later = rounds_from(number, later)

    @dsl.pipeline(name=pipeline_name(config), description=config.title or "Multi-Method Self-Training")
    def pipeline(config: str = to_text(config)) -> None:
        """The whole run; the page is made and the cluster tidied whether it succeeds or fails."""
        start = {"config": config, "round": 0, "arm": "base"}
        with dsl.ExitHandler(step(finish, **start, step="report"), name="run"):
            problems = step(prepare, **start)
            checkpoint = step(base_model, **start)
            common = {"problems": problems.output, "checkpoint": checkpoint.output}
            measured = measure(**start, **common)
            first = step(promote, **start, evaluation=measured.output, checkpoint=checkpoint.output, controls="")
            this = one_round(config=config, round=1, **common).after(first)
            if later is not None:
                with dsl.If(this.output != STOP):
                    later(config=config, problems=problems.output, checkpoint=this.output)

    return pipeline


def pipeline_name(config: Config) -> str:
    """The pipeline's name in Kubeflow, which also is a Kubernetes name: `mmst-<recipe>`."""
    return "mmst-" + (re.sub("[^a-z0-9]+", "-", config.name.lower()).strip("-") or "run")[:50].strip("-")
