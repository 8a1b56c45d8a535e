"""KFP component. See `mmst.stages.build_trainset`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def build_trainset(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    checked: str,
    translated: str,
    checkpoint: str,
) -> str:
    """Training examples chosen from what was verified."""
    from mmst.runner.run_stage import launch

    made = launch(
        "build_trainset",
        config,
        round=round,
        arm=arm,
        step=step,
        refs={"problems": problems, "checked": checked, "translated": translated, "checkpoint": checkpoint},
    )
    return made.ref
