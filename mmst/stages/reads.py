"""What stages read: each input with the record that it holds, and where it comes from, for the commands' help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from mmst.core.manifest import Manifest
from mmst.core.records import CheckedSample, Example, Label, Outcome, Problem, Sample
from mmst.core.stage import Reads

CHECKED = "shard-"
"""The shards of checked samples: what labelled them has others beside these."""
LEARNT = ("train-", "unlabelled-")
"""The shards of problems that solutions are sampled of, to train on."""
PROBLEMS = ("train-", "heldout-", "annotated-", "unlabelled-")
"""All shards of problems."""

Problems = Annotated[Manifest, Reads(record=Problem, help="What `mmst prepare` made.")]
Samples = Annotated[Manifest, Reads(record=Sample, help="What `mmst sample` or `mmst translate` made.")]
Checked = Annotated[Manifest, Reads(record=CheckedSample, help="What `mmst verify` made of samples.")]
Written = Annotated[
    Mapping[str, Manifest],
    Reads(
        record=CheckedSample,
        help="What `mmst verify` made of samples; of teachers' too, in one text with spaces: REF NAME=REF.",
        several=True,
    ),
]
Translated = Annotated[
    Mapping[str, Manifest],
    Reads(record=CheckedSample, help="What `mmst verify` made of translations, as of samples.", several=True),
]
Checkpoint = Annotated[Manifest, Reads(record=None, help="A model: what `mmst base-model` or `mmst train` made.")]
Labelled = Annotated[Manifest, Reads(record=Label, help="What `mmst label` made.")]
Trainset = Annotated[Manifest, Reads(record=Example, help="What `mmst build-trainset` made.")]
Evaluation = Annotated[Manifest, Reads(record=Outcome, help="What `mmst evaluate` made.")]
Promotion = Annotated[Manifest, Reads(record=None, help="What `mmst promote` made.")]
