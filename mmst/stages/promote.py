"""Promotion: a decision, carried out so that neither a race nor a kill can harm.

`run` registers the candidate, decides (`mmst.stages.decision`) against the champion on record, swaps
the record only while that champion still stands (else decides again), makes the registry's alias
follow the record, and logs the round. Killed anywhere and run again, it ends the same, with no
doubles. Complete or not, every run sets an alias right that some other process has left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmst.core.config import Config, PromoteConfig
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Champion, Ports, Registry, Store
from mmst.core.records import Decision, Outcome, Report, to_json
from mmst.core.results import Measured, Promoted
from mmst.core.stage import Job, Made, Reads, Stage, effective
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import records
from mmst.core.weights import checkpoint_folder
from mmst.stages import champion as champions
from mmst.stages import round_log
from mmst.stages.champion import ALL_METHODS, follow
from mmst.stages.decision import Evaluated, decide
from mmst.stages.reads import Checkpoint, Evaluation

COPY_BELOW = 2 << 30
"""Checkpoints of fewer bytes are copied into the registry; larger ones are referred to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a promotion depends on."""

    promote: PromoteConfig


class Promote(Stage[Settings]):
    """Decide whether a model becomes the champion, and carry that out in the registry.

    Example:

      mmst promote -r demo --evaluation stages/evaluate/a8… --checkpoint stages/train/b7… \\
      --control annotated-only=stages/evaluate/c9…
    """

    name, version = "promote", 1
    beside: ClassVar = Reads(record=Outcome, help="A control's evaluation, logged beside it.")

    def settings(self, config: Config, place: Place) -> Settings:
        """The rule, and under which name."""
        champions.check_name(config.promote.name)
        return Settings(promote=effective(config.promote))

    def stands(self, folder: StageFolder) -> bool:
        """Not where the champion had no report on this held-out set: then the next call decides anew."""
        return folder.manifest is not None and folder.manifest.result(Promoted).compared

    def work(self, job: Job[Settings], evaluation: Evaluation, checkpoint: Checkpoint) -> Made:
        """Decide on `checkpoint`, measured by `evaluation`, and carry the decision out."""
        ports, name = job.ports, job.settings.promote.name
        with ports.progress.task("promote", 2, "steps") as task:
            registry = ports.registry()
            version = _register(ports, registry, name, evaluation, checkpoint, "", {"mmst.decision": "pending"})
            task.advance(note="registered")
            decision, compared = _settle(job, evaluation, checkpoint, version)
            tags = {"mmst.decision": "promoted" if decision.promote else "rejected", "mmst.reason": decision.reason}
            _register(ports, registry, name, evaluation, checkpoint, _told(decision), tags)
            task.advance(note="decided")
        return Made(result=Promoted(decision=decision, version=version, compared=compared))

    def afterwards(
        self, job: Job[Settings], made: Manifest, beside: Mapping[str, Manifest], **inputs: Manifest
    ) -> None:
        """Set the alias right, and log the round with its controls (`beside`).

        A control named `base` is logged as the main line at its own round (0).
        """
        registry = job.ports.registry()
        follow(job.ports.store, registry, job.settings.promote.name)
        _log(job.ports, registry, made, inputs["evaluation"], beside)


def _settle(job: Job[Settings], evaluation: Manifest, checkpoint: Manifest, version: str) -> tuple[Decision, bool]:
    """Decide against the champion that stands, until the outcome also stands in the record."""
    rule, store, by = job.settings.promote, job.ports.store, job.folder.prefix
    challenger = evaluated(store, evaluation)
    reign = champions.Reign(champion=Champion(checkpoint=checkpoint.digest, ref=checkpoint.ref, version=version), by=by)
    while True:
        record = champions.read(store, rule.name)
        done = next((i for i, r in enumerate(record) if r.by == by), None)
        # Killed after it was crowned: the decision is the one against its predecessor.
        against = record[:done] if done is not None else record
        opponent = against[-1].champion if against else None
        measured = None if opponent is None else _report_of(store, opponent, evaluation)
        if opponent is not None and measured is None:
            return _incomparable(challenger.report, opponent, rule.name), False
        decision = decide(challenger, measured, rule)
        if done is not None or not decision.promote or champions.crown(store, rule.name, record, reign):
            return decision, True


def evaluated(store: Store, evaluation: Manifest) -> Evaluated:
    """An evaluate stage's report and outcomes."""
    return Evaluated(report=_report(evaluation), outcomes=list(records(store, evaluation, Outcome)))


def _report_of(store: Store, opponent: Champion, evaluation: Manifest) -> Evaluated | None:
    """The opponent's evaluation on the problems of `evaluation`, put the same way."""
    at = evaluation.result(Measured)
    measured = champions.measured(store, at.report.heldout, at.protocol, opponent.checkpoint)
    return None if measured is None else evaluated(store, measured)


def _incomparable(report: Report, opponent: Champion, name: str) -> Decision:
    return Decision(
        promote=False,
        challenger=report.checkpoint,
        champion=opponent.checkpoint,
        round=report.round,
        reason=(
            f"not comparable: the champion of '{name}' ({opponent.ref}) has no report on this held-out set with these "
            f"prompts. Remedy: promote under another name (`--set promote.name=…`), "
            "or run with the held-out problems that the champion was measured on"
        ),
        gain=0.0,
        p_value=1.0,
    )


def _register(
    ports: Ports,
    registry: Registry,
    name: str,
    evaluation: Manifest,
    checkpoint: Manifest,
    about: str,
    outcome: Mapping[str, str],
) -> str:
    """The candidate's version, tagged with where it comes from and what became of it."""
    store, run = ports.store, ports.provenance
    source: Path | str
    if sum(entry.bytes for entry in checkpoint.files) < COPY_BELOW:
        source = checkpoint_folder(store, checkpoint)
    else:
        folder = store.folder(checkpoint.ref)
        source = str(folder.absolute()) if folder else f"{store.uri.rstrip('/')}/{checkpoint.ref}"
    lineage = {f"mmst.input.{name}": value for name, value in {**evaluation.inputs, **checkpoint.inputs}.items()}
    return registry.register(
        name,
        source,
        run=run.run,
        checkpoint=checkpoint.digest,
        ref=checkpoint.ref,
        about=about,
        tags={**_tags(ports, evaluation), "mmst.round": str(_report(evaluation).round), **lineage, **outcome},
        answering=run.answering,
    )


def _tags(ports: Ports, evaluation: Manifest) -> dict[str, str]:
    return {
        "mmst.recipe": ports.provenance.recipe,
        "mmst.heldout": _report(evaluation).heldout,
        "mmst.evaluation": evaluation.ref,
        "mmst.problems": evaluation.inputs["problems"],
    }


def _log(
    ports: Ports, registry: Registry, promotion: Manifest, evaluation: Manifest, controls: Mapping[str, Manifest]
) -> None:
    """Log the round into the run's experiment, once a run: several runs may share one decision."""
    run = ports.provenance
    inputs = {"promotion": promotion, **{f"control.{arm}": m for arm, m in controls.items()}}
    done = StageFolder.open(ports.store, "log", version=1, config={"run": run.run}, inputs=inputs)
    if done.manifest is not None:
        return
    report, decision = _report(evaluation), promotion.result(Promoted).decision
    tags = _tags(ports, evaluation)
    others = {arm: _report(m) for arm, m in controls.items()}
    about = f"{run.title}\n\n{_told(decision)}\n\nAll samples: `mmst view {run.run} --out {ports.store.uri}`"
    if base := others.pop("base", None):
        registry.log_round(
            run.run,
            base.round,
            about=about,
            params=run.params,
            metrics=dict(_metrics(base)),
            curves={},
            data=(),
            artifacts={"report.json": to_json(base).encode()},
            tags=tags,
        )
    stages = round_log.stages_of(ports.store, run.run)
    metrics = dict(_metrics(report)) | {"decision.gain": decision.gain, "decision.p_value": decision.p_value}
    for arm, other in others.items():
        metrics |= _metrics(other, f"control.{arm}.")
    registry.log_round(
        run.run,
        report.round,
        about=about,
        params=run.params,
        metrics=metrics | round_log.times(ports.store, stages, report.round),
        curves=round_log.curves(ports.store, stages, report.round),
        data=list(round_log.data(ports.store, stages, report.round)),
        artifacts={
            "report.json": to_json(report).encode(),
            "decision.json": to_json(decision).encode(),
            **{f"control.{arm}.report.json": to_json(other).encode() for arm, other in others.items()},
        },
        tags=tags | {f"mmst.decision.{report.round:02d}": decision.reason},
    )
    done.finish()


def _told(decision: Decision) -> str:
    """A decision, for people."""
    return f"Round {decision.round}: {'promoted' if decision.promote else 'not promoted'}: {decision.reason}"


def _report(evaluation: Manifest) -> Report:
    return evaluation.result(Measured).report


def _metrics(report: Report, prefix: str = "") -> Iterator[tuple[str, float]]:
    for score in report.scores:
        at = f"{prefix}{score.task}.{'all' if score.method == ALL_METHODS else score.method}"
        yield f"{at}.pass_at_1", score.pass_at_1
        yield f"{at}.low", score.low
        yield f"{at}.high", score.high
        for k, value in score.pass_at_k.items():
            yield f"{at}.sampled_pass_at_{k}", value
        if score.majority is not None:
            yield f"{at}.majority", score.majority
