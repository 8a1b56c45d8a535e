"""How labels change from round to round, and what of them `mmst show`, `mmst status` and the report say."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mmst.cli import story, tables
from mmst.core.records import CheckedSample, Label, Labelling, MeasuredLabel, Verdict, Votes, to_data
from mmst.core.results import Calibration, LabelCounts, MeasuredLabelsCounts, ShareBucket, Tally, VerifyCounts
from mmst.report.page import page
from mmst.report.stage import collect
from mmst.runs import problem_history, summary
from mmst.runs.label_changes import LabelChanges, between, label_changes
from tests.support.runs import PROBLEMS, Made, sample_of


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A run of two rounds that label the first problem, rightly at last."""
    made = Made(tmp_path / "out")
    made.stage(0, "base", "prepare", {"unlabelled-00000.jsonl": PROBLEMS}, counts={"unlabelled": 3})
    for number, answer in ((1, "5"), (2, "0")):
        labelled(made, number, answer)
    return made


def labelled(made: Made, number: int, answer: str) -> None:
    p = PROBLEMS[0]
    sample = sample_of(p, "text", f"The answer is {answer}")
    c = CheckedSample(sample=sample, verdict=Verdict.PASSED, solution=answer, answer=answer, share=0.75)
    votes = (Votes(answer=answer, by={"code": 1, "text": 2}), Votes(answer="8", by={"text": 1}))
    label = Label(problem_id=p.id, outcome=Labelling.LABELLED, answer=answer, share=0.75, votes=votes)
    counts = LabelCounts(
        unlabelled=3,
        outcomes={"labelled": 1, "tie": 2},
        verify=VerifyCounts(methods={"text": Tally(asked=4, verdicts={"passed": 3})}, total=Tally(asked=4)),
    )
    made.stage(number, "mmst", "sample", finish=False)
    shards: dict[str, list[Any]] = {
        "shard-00000.jsonl": [c],
        "train-00000.jsonl": PROBLEMS,
        "label-00000.jsonl": [label],
    }
    made.stage(number, "mmst", "label", shards, counts=counts.stored())
    right = answer == p.answer
    measured = MeasuredLabel(problem_id=p.id, answer=answer, share=0.75, gold=p.answer, right=right)
    found = MeasuredLabelsCounts(problems=3, known=3, solved=1, labelled=1, right=int(right), wrong=int(not right))
    bucket = ShareBucket(low=0.7, labelled=1, right=int(right))
    made.stage(
        number, "mmst", "measure_labels", {"measured-00000.jsonl": [measured]},
        counts=found.stored(), facts=to_data(Calibration(buckets=(bucket,))),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "was", "new", "right", "changes"),
    [
        ({"a": "1"}, {}, {"a": "1.0"}, {}, {"kept": 1}),
        ({"a": "1"}, {"a": False}, {"a": "2"}, {"a": True}, {"changed": 1, "mended": 1}),
        ({"a": "1"}, {"a": True}, {"a": "2"}, {"a": False}, {"changed": 1, "broken": 1}),
        ({"a": "1"}, {}, {"a": "2"}, {}, {"changed": 1}),
        ({"a": "1"}, {}, {"b": "2"}, {}, {"gained": 1, "lost": 1}),
    ],
)
def test_labels_are_kept_changed_gained_or_lost(
    old: Mapping[str, str], was: Mapping[str, bool], new: Mapping[str, str], right: Mapping[str, bool],
    changes: Mapping[str, int],
) -> None:  # fmt: skip
    assert between(old, was, new, right) == LabelChanges(**changes)


def test_each_round_is_compared_with_the_one_before(made: Made) -> None:
    rounds = summary.summarise(made.store, made.run).rounds
    assert label_changes(made.store, rounds) == {2: LabelChanges(changed=1, mended=1)}


def test_the_story_of_an_unlabelled_problem_has_its_votes_label_and_hidden_answer(made: Made) -> None:
    told = problem_history.story(made.store, made.run, PROBLEMS[0].id)
    out = io.StringIO()
    Console(file=out, width=200).print(*story.tell(told))
    assert "label: 5, with 75 % of the votes (votes: 5: code 1, text 2; 8: text 1)" in out.getvalue()
    assert "kept aside is 0: wrong" in out.getvalue()
    assert [s.verdict.value for s in told.rounds[-1].samples] == ["passed"]


def test_the_tables_of_a_run_say_what_became_of_its_problems(made: Made) -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(*tables.labels(summary.summarise(made.store, made.run)))
    rows = [line.replace("│", " ").split() for line in out.getvalue().splitlines() if " of 1" in line]
    assert rows == [[number, *"310200", right, "of", "1"] for number, right in (("1", "0"), ("2", "1"))]


def test_the_report_shows_outcomes_changes_and_calibration(made: Made) -> None:
    found = summary.summarise(made.store, made.run)
    html = page(collect(made.store, found, made.config))
    assert "Labels by vote" in html
    assert "0 labels kept, 1 changed; of these 1 to the right one, 0 away from it" in html
    assert "70.0 and more" in html


def test_the_funnel_of_a_labelled_round_counts_what_the_labels_call_right(made: Made) -> None:
    assert summary.summarise(made.store, made.run).rounds[1].funnels["text"]["passed"] == 3
