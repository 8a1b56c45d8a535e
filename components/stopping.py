"""KFP components: the stop rule. See `mmst.stages.stopping`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def enough(config: str, round: int, arm: str, step: str, trainset: str) -> str:
    """`train`, or `stop` when a round found too few new examples."""
    from mmst.core.results import Next
    from mmst.runner.run_stage import launch

    made = launch("enough", config, round=round, arm=arm, step=step, refs={"trainset": trainset})
    return made.result(Next).next


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def another(config: str, round: int, arm: str, step: str, promotion: str, checkpoint: str) -> str:
    """The checkpoint that the next round starts from, or `stop`."""
    from mmst.core.results import Next
    from mmst.runner.run_stage import launch

    refs = {"promotion": promotion, "checkpoint": checkpoint}
    made = launch("another", config, round=round, arm=arm, step=step, refs=refs)
    return made.result(Next).next
