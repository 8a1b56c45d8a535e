"""KFP component. See `mmst.stages.label`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def label(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    checked: str,
) -> str:
    """Problems without gold answers labelled by the votes of their samples."""
    from mmst.runner.run_stage import launch

    made = launch("label", config, round=round, arm=arm, step=step, refs={"problems": problems, "checked": checked})
    return made.ref
