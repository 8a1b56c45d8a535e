"""KFP component. See `mmst.report`."""

from kfp import dsl

from mmst.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def report(
    config: str,
    round: int,
    arm: str,
    step: str,
    page: dsl.Output[dsl.HTML],
) -> str:
    """The page that shows the whole run."""
    from pathlib import Path

    from mmst.launch import launch, page_of

    made = launch("report", config, round=round, arm=arm, step=step, refs={})
    Path(page.path).write_bytes(page_of(config))
    return made.ref
