"""KFP component. See `mmst.stages.prepare`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def prepare(
    config: str,
    round: int,
    arm: str,
    step: str,
) -> str:
    """The problems of a run: imported or generated, split, checked for overlap."""
    from mmst.runner.run_stage import launch

    made = launch("prepare", config, round=round, arm=arm, step=step, refs={})
    return made.ref
