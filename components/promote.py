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
    controls: str,
    decision: dsl.Output[dsl.Markdown],
) -> str:
    """Champion or not: the decision, carried out in the registry. `controls`: NAME=REFERENCE, separated by spaces."""
    from pathlib import Path

    from mmst.core.results import Promoted
    from mmst.report.content import safe
    from mmst.runner.run_stage import launch

    refs = {"evaluation": evaluation, "checkpoint": checkpoint}
    beside = dict(item.split("=", 1) for item in controls.split())
    made = launch("promote", config, round=round, arm=arm, step=step, refs=refs, beside=beside)
    found = made.result(Promoted).decision
    verdict = "promoted" if found.promote else "rejected"
    Path(decision.path).write_text(f"# Round {round}: {verdict}\n\n{safe(found.reason)}\n")
    return made.ref
