"""KFP component. See `mmst.stages.evaluate`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    config: str,
    round: int,
    arm: str,
    step: str,
    problems: str,
    checked: str,
    checkpoint: str,
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Accuracy on held-out problems, with intervals."""
    from mmst.core.results import Measured
    from mmst.runner.run_stage import launch

    made = launch(
        "evaluate",
        config,
        round=round,
        arm=arm,
        step=step,
        refs={"problems": problems, "checked": checked, "checkpoint": checkpoint},
    )
    for score in made.result(Measured).report.scores:
        metrics.log_metric(f"{score.task} {score.method} pass@1", score.pass_at_1)
    return made.ref
