"""KFP component. See `mmst.stages.promote`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def promote(
    config: str,
    round: int,
    arm: str,
    step: str,
    evaluation: str,
    checkpoint: str,
    decision: dsl.Output[dsl.Markdown],
) -> str:
    """Champion or not: the decision, carried out in the registry."""
    from pathlib import Path

    from mmst.report.content import safe
    from mmst.runner.run_stage import launch

    made = launch(
        "promote", config, round=round, arm=arm, step=step, refs={"evaluation": evaluation, "checkpoint": checkpoint}
    )
    made_decision = made.facts["decision"]
    verdict = "promoted" if made_decision["promote"] else "rejected"
    Path(decision.path).write_text(f"# Round {round}: {verdict}\n\n{safe(made_decision['reason'])}\n")
    return made.ref
