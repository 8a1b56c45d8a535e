"""Counts as records: what a manifest holds of them is what stands in stores since before there were such records."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mmst.core.results import (
    Counts,
    PrepareCounts,
    SampleCounts,
    Tally,
    TrainCounts,
    TrainsetCounts,
    TranslateCounts,
    VerifyCounts,
)

CASES: list[tuple[Counts, Mapping[str, int]]] = [
    (
        PrepareCounts(train=3, heldout=2, related=1, notes=4),
        {"train": 3, "heldout": 2, "annotated": 0, "related": 1, "duplicates": 0, "near_duplicates": 0, "notes": 4},
    ),
    (
        SampleCounts(problems=2, asked=4, samples=3, failed=1, tokens=9, methods={"text": 3, "code": 0}),
        {"problems": 2, "asked": 4, "samples": 3, "failed": 1, "tokens": 9, "text.samples": 3, "code.samples": 0},
    ),
    (TranslateCounts(), {"failed": 0}),
    (TranslateCounts(failed=1, sources=1, directions={("text", "code"): 1}), {
        "failed": 1, "sources": 1, "text→code": 1, "tokens": 0
    }),
    (TrainCounts(new=1, annotated=2), {"new": 1, "annotated": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "stored"), CASES)
def test_counts_are_stored_by_name_and_read_back(counts: Counts, stored: Mapping[str, int]) -> None:
    assert counts.stored() == stored
    assert type(counts).read(stored) == counts


def test_a_verdict_nobody_got_is_named_over_all_and_by_method() -> None:
    code = Tally.of({"asked": 2, "passed": 1, "crashed": 1, "nondeterministic": 1})
    counts = VerifyCounts(total=code, methods={"code": code}, lacks={"a.b": 3, "requests": 1})
    stored = counts.stored()
    assert (stored["code.wrong"], stored["wrong"], stored["code.crashed"], stored["lacks a.b"]) == (0, 0, 1, 3)
    assert VerifyCounts.read(stored) == counts


def test_new_examples_are_counted_by_method_and_origin() -> None:
    counts = TrainsetCounts(new=3, methods={("code", "own"): 2, ("text", "translation"): 1})
    assert counts.stored().items() >= {"new": 3, "new.code.own": 2, "new.text.translation": 1, "cut": 0}.items()
    assert TrainsetCounts.read(counts.stored()) == counts
    assert (counts.new_by("code"), counts.new_by("other")) == (2, 0)


def test_what_an_older_stage_did_not_count_is_nothing_and_what_is_unknown_is_passed_over() -> None:
    assert PrepareCounts.read({"train": 3, "of another version": 1}) == PrepareCounts(train=3)
    assert VerifyCounts.read({"passed": 1, "text.passed": 1}).methods["text"].passed == 1
