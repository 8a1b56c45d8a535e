"""KFP component. See `mmst.gather`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gather(
    config: str,
    round: int,
    arm: str,
    step: str,
) -> str:
    """The problems of a run: imported or generated, split, checked for overlap."""
    from mmst.launch import launch

    made = launch("gather", config, round=round, arm=arm, step=step, refs={})
    return made.ref
