"""How good the labels are, where the files of unlabelled problems hold answers: read here, and by no other stage.

Nothing depends on what is measured: the same run with and without these answers has the same samples, labels and
examples. Shards `measured-…` hold each label beside the answer that was kept aside for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mmst.core import plugin_keys
from mmst.core.config import Config
from mmst.core.manifest import Place
from mmst.core.records import Label, Labelling, MeasuredLabel, Problem
from mmst.core.results import Calibration, MeasuredLabelsCounts, ShareBucket
from mmst.core.stage import Job, Made, Stage
from mmst.core.stage_folder import sharded
from mmst.core.stored import records
from mmst.datasets import load
from mmst.grading import settle
from mmst.stages.content import Content
from mmst.stages.reads import Labelled

SHARD = 2048
BUCKETS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Where the buckets of shares begin; the last are the unanimous votes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the answers stand."""

    sources: tuple[Content, ...]


class MeasureLabels(Stage[Settings]):
    """Compare labels with the answers that the files of the unlabelled problems hold, if they do.

    Example:

      mmst measure-labels -r my.yaml --labels stages/label/5b…
    """

    name, version = "measure_labels", 1
    writes: ClassVar = {"measured": MeasuredLabel}

    def settings(self, config: Config, place: Place) -> Settings:
        """The files with their answers."""
        return Settings(sources=tuple(map(Content.of, config.problems.unlabelled)))

    def added(self, config: Config) -> Mapping[str, Sequence[str]]:
        """Of problem formats."""
        return plugin_keys.of_problems(config)

    def work(self, job: Job[Settings], labels: Labelled) -> Made:
        """Measure `labels`."""
        store, gold = job.ports.store, dict[str, str]()
        for source in job.settings.sources:
            for p in load(source, unlabelled=True):
                gold.setdefault(p.id, p.answer)
        asked = {p.id: p for p in records(store, labels, Problem, "train-")}
        found = list(records(store, labels, Label, "label-"))
        known = [label for label in found if gold.get(label.problem_id)]
        given = {(x.problem_id, answer) for x in known for answer in (x.answer, *(v.answer for v in x.votes)) if answer}
        ordered = sorted(given)
        pairs = [(gold[id], answer) for id, answer in ordered]
        problems = [asked[id] for id, _ in ordered]
        with job.ports.algebra() as algebra, job.ports.progress.task("measure labels", len(known), "problems") as task:
            questions, options = [p.question for p in problems], [p.options for p in problems]
            compared = settle(pairs, algebra.decide, questions, options)
            right = {pair: c.equal for pair, c in zip(ordered, compared, strict=True)}
            task.advance(len(known))

        def is_right(label: Label, answer: str) -> bool | None:
            return right[label.problem_id, answer]

        measured = [
            MeasuredLabel(
                problem_id=x.problem_id,
                answer=x.answer,
                share=x.share,
                gold=gold[x.problem_id],
                right=is_right(x, x.answer),
            )
            for x in known
            if x.outcome is Labelling.LABELLED
        ]
        shards = []
        for shard, part in sharded(measured, SHARD, "measured"):
            job.folder.write_records(shard, part)
            shards.append(shard)
        counts = MeasuredLabelsCounts(
            problems=len(found),
            known=len(known),
            solved=sum(any(is_right(x, v.answer) for v in x.votes) for x in known),
            labelled=len(measured),
            right=sum(m.right is True for m in measured),
            wrong=sum(m.right is False for m in measured),
        )
        return Made(shards=shards, counts=counts, result=Calibration(buckets=calibration(measured)))


def calibration(measured: Sequence[MeasuredLabel]) -> tuple[ShareBucket, ...]:
    """How many labels are right, by their share of the votes; buckets without a label are left out."""
    buckets = []
    for low, high in zip(BUCKETS, (*BUCKETS[1:], 2.0), strict=True):
        here = [m for m in measured if low <= m.share < high]
        if here:
            buckets.append(ShareBucket(low=low, labelled=len(here), right=sum(m.right is True for m in here)))
    return tuple(buckets)
