"""KFP component. See `mmst.stages.served_model`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def served_model(
    config: str,
    round: int,
    arm: str,
    step: str,
) -> str:
    """Who a teacher is that is a server's model, or a file."""
    from mmst.runner.run_stage import launch

    made = launch("served_model", config, round=round, arm=arm, step=step, refs={})
    return made.ref
