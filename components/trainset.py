"""KFP component. See `mmst.trainset`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def trainset(
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
    from mmst.launch import launch

    made = launch(
        "trainset",
        config,
        round=round,
        arm=arm,
        step=step,
        refs={"problems": problems, "checked": checked, "translated": translated, "checkpoint": checkpoint},
    )
    return made.ref
