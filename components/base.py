"""KFP component. See `mmst.base`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def base(
    config: str,
    round: int,
    arm: str,
    step: str,
) -> str:
    """The checkpoint that a run starts from."""
    from mmst.launch import launch

    made = launch("base", config, round=round, arm=arm, step=step, refs={})
    return made.ref
