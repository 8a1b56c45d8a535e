"""KFP component. See `mmst.stages.translate`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def translate(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    checked: str,
    checkpoint: str,
) -> str:
    """Correct solutions rewritten by the model into the other methods."""
    from mmst.runner.run_stage import launch

    made = launch(
        "translate",
        config,
        round=round,
        arm=arm,
        step=step,
        refs={"problems": problems, "checked": checked, "checkpoint": checkpoint},
    )
    return made.ref
