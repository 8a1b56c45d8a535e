"""KFP component. See `mmst.stages.sample`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def sample(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    checkpoint: str,
) -> str:
    """Solutions drawn from a checkpoint, by every method."""
    from mmst.runner.run_stage import launch

    refs = {"problems": problems, "checkpoint": checkpoint}
    made = launch("sample", config, round=round, arm=arm, step=step, refs=refs)
    return made.ref
