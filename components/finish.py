"""KFP component: the end of a run, however it went. See `mmst.report.stage` and `mmst.runner.run_stage.clean_up`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def finish(
    config: str,
    round: int,
    arm: str,
    step: str,
    page: dsl.Output[dsl.HTML],
) -> str:
    """Make the page that shows the whole run; delete what the run left in the cluster."""
    from pathlib import Path

    from mmst.runner.run_stage import clean_up, launch, page_of

    try:
        made = launch("report", config, round=round, arm=arm, step=step, refs={})
        Path(page.path).write_bytes(page_of(config))
    finally:
        clean_up(config)
    return made.ref
