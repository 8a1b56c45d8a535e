"""Promotion: a decision, carried out so that neither a race nor a kill can harm.

`run` registers the candidate, decides (`mmst.stages.decision`) against the champion on record, swaps
the record only while that champion still stands (else decides again), makes the registry's alias
follow the record, and logs the round. Killed anywhere and run again, it ends the same, with no
doubles. Complete or not, every run sets an alias right that some other process has left behind.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmst.core.config import Config, identity
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Champion, Engines, Registry, Store
from mmst.core.records import Decision, Outcome, Report, from_data, to_data, to_json
from mmst.core.stage import Stage, records
from mmst.core.weights import checkpoint_folder
from mmst.stages import champion as champions
from mmst.stages.champion import ALL_METHODS, follow
from mmst.stages.decision import Evaluated, decide

VERSION = 1
COPY_BELOW = 2 << 30
"""Checkpoints of fewer bytes are copied into the registry; larger ones are referred to."""


def run(
    engines: Engines, place: Place, evaluation: Manifest, checkpoint: Manifest, controls: Mapping[str, Manifest]
) -> Manifest:
    """Decide on `checkpoint`, measured by `evaluation`, and carry the decision out.

    `controls` are the evaluations logged beside it, by arm; one named `base` is logged as the
    main line at its own round (0). facts: `decision` (a `Decision`), `version` (the candidate's
    in the registry), `compared` (False when the champion has no report on this held-out set: then
    the next call decides anew).
    """
    config = engines.config
    champions.check_name(config.promote.name)
    stage = Stage.open(
        engines.store,
        "promote",
        version=VERSION,
        config={"promote": identity(config.promote)},
        inputs={"evaluation": evaluation, "checkpoint": checkpoint},
        place=place,
    )
    if stage.manifest is None or not stage.manifest.facts["compared"]:
        with engines.progress.task("promote", 3, "steps") as task:
            started = time.monotonic()
            registry = engines.registry()
            version = _register(engines, registry, place, evaluation, checkpoint, {"mmst.decision": "pending"})
            task.advance(note="registered")
            decision, compared = _settle(engines.store, config, stage.prefix, evaluation, checkpoint, version)
            tags = {"mmst.decision": "promoted" if decision.promote else "rejected", "mmst.reason": decision.reason}
            _register(engines, registry, place, evaluation, checkpoint, tags)
            task.advance(note="decided")
            follow(engines.store, registry, config.promote.name)
            task.advance(note="alias set")
        stage.finish(
            facts={"decision": to_data(decision), "version": version, "compared": compared},
            timing={"seconds": time.monotonic() - started},
        )
    else:
        follow(engines.store, engines.registry(), config.promote.name)
    assert stage.manifest is not None
    _log(engines, place, stage.manifest, evaluation, controls)
    return stage.manifest


def _settle(
    store: Store, config: Config, by: str, evaluation: Manifest, checkpoint: Manifest, version: str
) -> tuple[Decision, bool]:
    """Decide against the champion that stands, until the outcome also stands in the record."""
    name, rule = config.promote.name, config.promote
    challenger = evaluated(store, evaluation)
    reign = champions.Reign(champion=Champion(checkpoint=checkpoint.digest, ref=checkpoint.ref, version=version), by=by)
    while True:
        record = champions.read(store, name)
        done = next((i for i, r in enumerate(record) if r.by == by), None)
        # Killed after it was crowned: the decision is the one against its predecessor.
        against = record[:done] if done is not None else record
        opponent = against[-1].champion if against else None
        measured = None if opponent is None else _report_of(store, opponent, evaluation)
        if opponent is not None and measured is None:
            return _incomparable(challenger.report, opponent, name), False
        decision = decide(challenger, measured, rule)
        if done is not None or not decision.promote or champions.crown(store, name, record, reign):
            return decision, True


def evaluated(store: Store, evaluation: Manifest) -> Evaluated:
    """An evaluate stage's report and outcomes."""
    return Evaluated(
        report=from_data(Report, evaluation.facts["report"]), outcomes=list(records(store, evaluation, Outcome))
    )


def _report_of(store: Store, opponent: Champion, evaluation: Manifest) -> Evaluated | None:
    """The opponent's evaluation on the problems of `evaluation`, put the same way."""
    heldout, protocol = evaluation.facts["report"]["heldout"], evaluation.facts["protocol"]
    measured = champions.measured(store, heldout, protocol, opponent.checkpoint)
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
    engines: Engines,
    registry: Registry,
    place: Place,
    evaluation: Manifest,
    checkpoint: Manifest,
    outcome: Mapping[str, str],
) -> str:
    """The candidate's version, tagged with where it comes from and what became of it."""
    config, store = engines.config, engines.store
    source: Path | str
    if sum(entry.bytes for entry in checkpoint.files) < COPY_BELOW:
        source = checkpoint_folder(store, checkpoint)
    else:
        folder = store.folder(checkpoint.ref)
        source = str(folder.absolute()) if folder else f"{store.uri.rstrip('/')}/{checkpoint.ref}"
    lineage = {f"mmst.input.{name}": value for name, value in {**evaluation.inputs, **checkpoint.inputs}.items()}
    return registry.register(
        config.promote.name,
        source,
        run=place.run,
        checkpoint=checkpoint.digest,
        ref=checkpoint.ref,
        tags={**_provenance(config, evaluation), "mmst.round": str(place.round), **lineage, **outcome},
        answering=answering(config),
    )


def answering(config: Config) -> dict[str, Any]:
    """What a consumer needs to put a problem to the model as the evaluation did: a recipe's part."""
    return {
        "methods": list(config.methods),
        "prompt": identity(config.prompt),
        "sampling": {"max_tokens": config.sampling.max_tokens},
        "model": {"dtype": config.model.dtype},
        "check": {"timeout": config.check.timeout, "memory_mib": config.check.memory_mib},
    }


def _provenance(config: Config, evaluation: Manifest) -> dict[str, str]:
    return {
        "mmst.recipe": config.name,
        "mmst.heldout": evaluation.facts["report"]["heldout"],
        "mmst.evaluation": evaluation.ref,
        "mmst.problems": evaluation.inputs["problems"],
    }


def _log(
    engines: Engines, place: Place, promotion: Manifest, evaluation: Manifest, controls: Mapping[str, Manifest]
) -> None:
    """Log the round into the run's experiment, once a run: several runs may share one decision."""
    inputs = {"promotion": promotion, **{f"control.{arm}": m for arm, m in controls.items()}}
    done = Stage.open(engines.store, "log", version=VERSION, config={"run": place.run}, inputs=inputs)
    if done.manifest is not None:
        return
    config, registry = engines.config, engines.registry()
    report, decision = _report(evaluation), from_data(Decision, promotion.facts["decision"])
    params = {name: v if isinstance(v, str) else json.dumps(v) for name, v in _flat(identity(config))}
    tags = _provenance(config, evaluation)
    others = {arm: _report(m) for arm, m in controls.items()}
    if base := others.pop("base", None):
        registry.log_round(
            place.run,
            base.round,
            params=params,
            metrics=dict(_metrics(base)),
            artifacts={"report.json": to_json(base).encode()},
            tags=tags,
        )
    metrics = dict(_metrics(report)) | {"decision.gain": decision.gain, "decision.p_value": decision.p_value}
    for arm, other in others.items():
        metrics |= _metrics(other, f"control.{arm}.")
    registry.log_round(
        place.run,
        place.round,
        params=params,
        metrics=metrics,
        artifacts={
            "report.json": to_json(report).encode(),
            "decision.json": to_json(decision).encode(),
            **{f"control.{arm}.report.json": to_json(other).encode() for arm, other in others.items()},
        },
        tags=tags | {f"mmst.decision.{place.round:02d}": decision.reason},
    )
    done.finish()


def _report(evaluation: Manifest) -> Report:
    return from_data(Report, evaluation.facts["report"])


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


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, v in value.items():
        if isinstance(v, Mapping):
            yield from _flat(v, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", v
