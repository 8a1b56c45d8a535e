"""KFP component. See `mmst.check`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def check(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    samples: str,
) -> str:
    """Programs run in the sandbox, answers compared: a verdict a sample."""
    from mmst.launch import launch

    made = launch("check", config, round=round, arm=arm, step=step, refs={"problems": problems, "samples": samples})
    return made.ref
