"""The order of the stages, stated here and nowhere else.

    prepare, base_model → measure → promote (round 0: the first champion)
    then per round: sample → verify (→ label → measure_labels) → translate → verify → build_trainset → enough?
                    (beside it the same for each teacher that writes, after base_model or served_model: its own)
                      → train → measure, beside the same for each control → promote → another?
    measure = sample (held out) → verify → evaluate
    and however it ends: finish (the page; nothing is left running)

Rounds are unrolled when the graph is built, each inside the previous one's condition; every
condition compares one plain string (kfp skips a condition that it cannot read, with only a
warning). kfp's cache is off on every task: the store resumes.
"""

import functools
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
from mmst.components.served_model import served_model
from mmst.components.stopping import another, enough
from mmst.components.train import train
from mmst.components.translate import translate
from mmst.components.verify import verify
from mmst.core import teachers
from mmst.core.config import Config, to_text
from mmst.pipelines.placement import place
from mmst.stages.stopping import STOP, TRAIN


def build(config: Config) -> Any:
    """The pipeline of a configuration: its rounds, teachers and controls are unrolled here."""
    recipe, unlabelled = config, bool(config.problems.unlabelled)

    def step(component: Callable[..., Any], seen: Config = config, /, **arguments: Any) -> Any:
        """A task of the graph, with its pod's settings and without kfp's own cache; `seen` as who writes sees it."""
        name = component.name.replace("-", "_")  # type: ignore[attr-defined]
        arguments.setdefault("step", name)
        task = component(**arguments).set_caching_options(False)
        if seen.writer:
            task.set_display_name(f"{arguments['step']} by {seen.writer}")
        return place(task, name, seen)

    def written(seen: Config, at: dict[str, Any], problems: Any, checkpoint: Any) -> tuple[Any, Any]:
        """What one writer makes of the problems, verified: its solutions, and its translations of them (or None)."""
        drawn = step(sample, seen, **at, problems=problems, checkpoint=checkpoint)
        checked = step(verify, seen, **at, problems=problems, samples=drawn.output)
        answers, judged = problems, checked.output
        if unlabelled:
            answers = judged = step(label, seen, **at, problems=problems, checked=checked.output).output
            step(measure_labels, seen, **at, labels=judged)
        if not teachers.translates(seen):
            return judged, None
        rewritten = step(translate, seen, **at, problems=answers, checked=judged, checkpoint=checkpoint)
        again = step(verify, seen, **at, problems=answers, samples=rewritten.output, step="verify-translations")
        return judged, again.output

    def taught(name: str, config: str, round: int, problems: Any) -> tuple[Any, Any]:
        """As `written`, by a teacher, whose model is first put into the store."""
        seen = teachers.seen_by(recipe, name)
        at = {"config": config, "round": round, "arm": teachers.place_of(name)}
        who = step(base_model if teachers.has_folder(seen) else served_model, seen, **at)
        return written(seen, at, problems, who.output)

    @dsl.pipeline(name="measure")
    def measure(config: str, round: int, arm: str, problems: str, checkpoint: str) -> str:
        """Sample held-out problems from a checkpoint, check, evaluate; returns the evaluation."""
        at = {"config": config, "round": round, "arm": arm, "problems": problems}
        drawn = step(sample, **at, checkpoint=checkpoint, step="sample-heldout")
        checked = step(verify, **at, samples=drawn.output, step="verify-heldout")
        return step(evaluate, **at, checked=checked.output, checkpoint=checkpoint).outputs["Output"]

    @dsl.pipeline(name="learn")
    def learn(config: str, round: int, arm: str, problems: str, checkpoint: str, trainset: str) -> str:
        """Train and measure one control, beside the round's own arm."""
        at = {"config": config, "round": round, "arm": arm}
        trained = step(train, **at, trainset=trainset, checkpoint=checkpoint)
        return measure(config=config, round=round, arm=arm, problems=problems, checkpoint=trained.output).output

    arm = config.loop.arm
    controls = config.loop.controls

    def solutions(writing: tuple[str, ...], config: str, round: int, problems: Any, checkpoint: Any) -> dict[str, Any]:
        """What all who write in a round make, verified."""
        made = {name: taught(name, config, round, problems) for name in writing if name}
        if teachers.SELF in writing:
            at = {"config": config, "round": round, "arm": arm}
            made = {teachers.SELF: written(recipe, at, problems, checkpoint), **made}
        checked, translated = ({w: both[i] for w, both in made.items() if both[i] is not None} for i in (0, 1))
        return {"problems": problems, "checked": _references(checked), "translated": _references(translated)}

    def measured_beside(config: str, round: int, given: dict[str, Any]) -> str:
        """The round's controls, trained and measured on what is `given`: one text with a reference of each.

        Kubeflow Pipelines of 2.2 and before fill such a text in by chance alone, and kfp.local only for a task,
        not for a pipeline.
        """
        found = []
        for control in controls:
            at = {"config": config, "round": round, "arm": control}
            chosen = step(build_trainset, **at, **given)
            where = {"problems": given["problems"], "checkpoint": given["checkpoint"]}
            found.append(f"{control}={learn(**at, **where, trainset=chosen.output).output}")
        return " ".join(found)

    @functools.cache
    def round_by(writing: tuple[str, ...]) -> Callable[..., Any]:
        """The round in which these write; kfp wants it whole before the pipeline that it stands in is begun."""

        @dsl.pipeline(name="-".join(("round", *(f"by-{name}" for name in writing if name))))
        def one_round(config: str, round: int, problems: str, checkpoint: str) -> str:
            """One round from a checkpoint; returns the next round's checkpoint, or `stop`."""
            at = {"config": config, "round": round, "arm": arm}
            given = {**solutions(writing, config, round, problems, checkpoint), "checkpoint": checkpoint}
            chosen = step(build_trainset, **at, **given)
            go = step(enough, **at, trainset=chosen.output)
            with dsl.If(go.output == TRAIN):
                trained = step(train, **at, trainset=chosen.output, checkpoint=checkpoint)
                measured = measure(**at, problems=problems, checkpoint=trained.output)
                beside = measured_beside(config, round, given)
                decided = step(promote, **at, evaluation=measured.output, checkpoint=trained.output, controls=beside)
                following = step(another, **at, promotion=decided.outputs["Output"], checkpoint=trained.output)
            with dsl.Else():
                ended = step(enough, **at, trainset=chosen.output, step="ended")
            return dsl.OneOf(following.output, ended.output)

        return one_round

    def rounds_from(first: int, later: Callable[..., Any] | None) -> Callable[..., Any]:
        """A round and those after it. Each is a pipeline of its own: kfp confuses conditions nested in one."""
        one_round = round_by(teachers.writers(recipe, first))

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

    first_round = round_by(teachers.writers(recipe, 1))

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
            this = first_round(config=config, round=1, **common).after(first)
            if later is not None:
                with dsl.If(this.output != STOP):
                    later(config=config, problems=problems.output, checkpoint=this.output)

    return pipeline


def _references(made: dict[str, Any]) -> Any:
    """One text with a reference of each writer; of the model itself alone, its reference."""
    if set(made) == {teachers.SELF}:
        return made[teachers.SELF]
    return " ".join(f"{writer}={ref}" if writer else f"{ref}" for writer, ref in made.items())


def pipeline_name(config: Config) -> str:
    """The pipeline's name in Kubeflow, which also is a Kubernetes name: `mmst-<recipe>`."""
    return "mmst-" + (re.sub("[^a-z0-9]+", "-", config.name.lower()).strip("-") or "run")[:50].strip("-")
