"""KFP component. See `mmst.stages.base_model`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def base_model(
    config: str,
    round: int,
    arm: str,
    step: str,
) -> str:
    """The checkpoint that a run starts from."""
    from mmst.runner.run_stage import launch

    made = launch("base_model", config, round=round, arm=arm, step=step, refs={})
    return made.ref
