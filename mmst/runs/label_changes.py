"""How the labels of a round differ from those of the round before, and whether for better, where that is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmst.core.ports import Store
from mmst.core.records import Label, Labelling, MeasuredLabel
from mmst.core.stored import records
from mmst.grading import equal
from mmst.runs.summary import RoundSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """Problems with a label in both rounds, `kept` or `changed`, and in one of them alone.

    Of those that changed: from a wrong label to the right one (`mended`), and from the right one to a wrong one
    (`broken`), as far as the answers are known.
    """

    kept: int = 0
    changed: int = 0
    gained: int = 0
    lost: int = 0
    mended: int = 0
    broken: int = 0


def label_changes(store: Store, rounds: Iterable[RoundSummary]) -> dict[int, LabelChanges]:
    """By round, from the second that has labels on."""
    found: dict[int, LabelChanges] = {}
    before: tuple[Mapping[str, str], Mapping[str, bool | None]] | None = None
    for r in rounds:
        label, measured = r.stage("label"), r.stage("measure_labels")
        if label is None or label.manifest is None:
            continue
        labels = {
            x.problem_id: x.answer
            for x in records(store, label.manifest, Label, "label-")
            if x.outcome is Labelling.LABELLED
        }
        manifest = measured.manifest if measured else None
        right = {m.problem_id: m.right for m in records(store, manifest, MeasuredLabel)} if manifest else {}
        if before is not None:
            found[r.round] = between(*before, labels, right)
        before = labels, right
    return found


def between(
    old: Mapping[str, str],
    was_right: Mapping[str, bool | None],
    new: Mapping[str, str],
    right: Mapping[str, bool | None],
) -> LabelChanges:
    """The changes from labels, and whether they are right, to others. Pure."""
    changed = [p for p in new if p in old and not equal(old[p], new[p])]
    return LabelChanges(
        kept=len(new.keys() & old.keys()) - len(changed),
        changed=len(changed),
        gained=len(new.keys() - old.keys()),
        lost=len(old.keys() - new.keys()),
        mended=sum(was_right.get(p) is False and right.get(p) is True for p in changed),
        broken=sum(was_right.get(p) is True and right.get(p) is False for p in changed),
    )
