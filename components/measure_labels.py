"""KFP component. See `mmst.stages.measure_labels`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def measure_labels(
    config: str,
    round: int,
    arm: str,
    step: str,
    labels: str,
) -> str:
    """Labels compared with answers that were kept aside."""
    from mmst.runner.run_stage import launch

    made = launch("measure_labels", config, round=round, arm=arm, step=step, refs={"labels": labels})
    return made.ref
