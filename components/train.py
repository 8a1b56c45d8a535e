"""KFP component. See `mmst.stages.train`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    config: str,
    round: int,
    arm: str,
    step: str,
    trainset: str,
    checkpoint: str,
) -> str:
    """The model fine-tuned on a training set."""
    from mmst.runner.run_stage import launch

    made = launch(
        "train", config, round=round, arm=arm, step=step, refs={"trainset": trainset, "checkpoint": checkpoint}
    )
    return made.ref
