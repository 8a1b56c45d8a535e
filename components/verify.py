"""KFP component. See `mmst.stages.verify`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def verify(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    samples: str,
) -> str:
    """Programs run in the sandbox, answers compared: a verdict a sample."""
    from mmst.runner.run_stage import launch

    made = launch("verify", config, round=round, arm=arm, step=step, refs={"problems": problems, "samples": samples})
    return made.ref
