"""The method, a stage a module. Here: which stage each step of a run is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mmst.core.errors import ConfigError

if TYPE_CHECKING:
    from mmst.core.stage import Stage

STEPS = {
    "prepare": "mmst.stages.prepare:Prepare",
    "base_model": "mmst.stages.base_model:BaseModel",
    "served_model": "mmst.stages.served_model:ServedModel",
    "sample": "mmst.stages.sample:Sampling",
    "verify": "mmst.stages.verify:Verify",
    "label": "mmst.stages.label:LabelProblems",
    "measure_labels": "mmst.stages.measure_labels:MeasureLabels",
    "translate": "mmst.stages.translate:Translate",
    "verify-translations": "mmst.stages.verify:Verify",
    "build_trainset": "mmst.stages.build_trainset:BuildTrainset",
    "enough": "mmst.stages.stopping:Enough",
    "train": "mmst.stages.train:Train",
    "sample-heldout": "mmst.stages.sample:Sampling",
    "verify-heldout": "mmst.stages.verify:Verify",
    "evaluate": "mmst.stages.evaluate:Evaluate",
    "promote": "mmst.stages.promote:Promote",
    "another": "mmst.stages.stopping:Another",
    "ended": "mmst.stages.stopping:Enough",
    "report": "mmst.report.stage:Report",
}
"""The steps of a run in the order in which people read them, each with where its stage is declared.

By name, so that whoever only wants the order loads none of them.
"""


def stage(step: str) -> Stage[Any]:
    """The stage that a step of a run is; a stage's own name is a step."""
    if step not in STEPS:
        raise ConfigError("unknown step of a run", value=step, remedy=f"one of {', '.join(STEPS)}")
    module, _, name = STEPS[step].partition(":")
    made: Stage[Any] = getattr(importlib.import_module(module), name)()
    return made
