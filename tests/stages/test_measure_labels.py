"""The measuring of labels, and that nothing else depends on the answers that it reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mmst.core.config import Source, parse
from mmst.core.manifest import Manifest, Place
from mmst.core.records import Label, Labelling, MeasuredLabel, Problem, Votes
from mmst.core.results import Calibration, MeasuredLabelsCounts, PrepareCounts
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import records
from mmst.datasets import load, make_problem
from mmst.stages import content, measure_labels, stage
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes, Oracle

PLACE = Place(run="r", round=1, arm="mmst", step="measure_labels")
PROBLEMS = [make_problem(f"What is {i} plus 3?", "", "jsonl") for i in range(6)]


class Wired(Fakes):
    """Engines of which the stages that read problems may use the store, the progress and the algebra."""

    def algebra(self) -> contextlib.AbstractContextManager[Oracle]:
        return contextlib.nullcontext(Oracle())


def engines(store: Path, file: Path, answers: Mapping[int, str]) -> Wired:
    lines = [
        {"question": p.question} | ({"answer": answers[i]} if i in answers else {}) for i, p in enumerate(PROBLEMS)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    problems = {
        "unlabelled": [{"format": "jsonl", "path": str(file)}],
        "test": [{"format": "generated", "count": 3}],
    }
    return Wired(parse({"problems": problems}), FolderStore(store))


def measured(made: Wired, labels: Mapping[int, tuple[str, float]]) -> Manifest:
    found = [
        Label(
            problem_id=p.id,
            outcome=Labelling.LABELLED if i in labels else Labelling.TIE,
            answer=labels[i][0] if i in labels else "",
            share=labels[i][1] if i in labels else 0.5,
            votes=(Votes(answer=str(i + 3), by={"text": 1}), Votes(answer="99", by={"code": 1})),
        )
        for i, p in enumerate(PROBLEMS)
    ]
    folder = StageFolder.open(made.store, "label", version=1, config=0, inputs={})
    folder.write_records("train-00000.jsonl", PROBLEMS)
    folder.write_records("label-00000.jsonl", found)
    labelled = folder.finish(shards=["train-00000.jsonl", "label-00000.jsonl"])
    return measure_labels.MeasureLabels().run(made, PLACE, {"labels": labelled})


def test_labels_are_counted_right_and_wrong_where_the_answer_is_known(tmp_path: Path) -> None:
    made = engines(tmp_path / "store", tmp_path / "x.jsonl", {i: str(i + 3) for i in range(5)})
    counts = measured(made, {0: ("3", 0.6), 1: ("4.0", 1.0), 2: ("99", 0.5), 5: ("8", 1.0)})
    assert counts.counted(MeasuredLabelsCounts) == MeasuredLabelsCounts(
        problems=6, known=5, solved=5, labelled=3, right=2, wrong=1
    )


def test_labels_are_counted_by_their_share_of_the_votes(tmp_path: Path) -> None:
    made = engines(tmp_path / "store", tmp_path / "x.jsonl", {i: str(i + 3) for i in range(6)})
    found = measured(made, {0: ("3", 0.55), 1: ("99", 0.5), 2: ("5", 1.0), 3: ("6", 0.99)}).result(Calibration)
    assert [(b.low, b.labelled, b.right) for b in found.buckets] == [(0.5, 2, 1), (0.9, 1, 1), (1.0, 1, 1)]


def test_a_label_stands_beside_the_answer_that_was_kept_aside(tmp_path: Path) -> None:
    made = engines(tmp_path / "store", tmp_path / "x.jsonl", {0: "3.0"})
    found = list(records(made.store, measured(made, {0: ("3", 0.75)}), MeasuredLabel))
    expected = MeasuredLabel(problem_id=PROBLEMS[0].id, answer="3", share=0.75, gold="3.0", right=True)
    assert found == [expected]


def test_a_label_of_a_question_with_options_is_right_however_the_file_names_the_option(tmp_path: Path) -> None:
    line = {"question": "How many?", "options": {"A": "36", "B": "38"}, "answer": "38"}
    (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n")
    source: dict[str, Any] = {"format": "jsonl", "path": str(tmp_path / "x.jsonl")}
    problems = {"unlabelled": [source], "test": [{"format": "generated", "count": 3}]}
    made = Wired(parse({"problems": problems}), FolderStore(tmp_path / "store"))
    [p] = load(Source(**source), unlabelled=True)
    votes = (Votes(answer="B) 38", by={"text": 2}), Votes(answer="36", by={"code": 1}))
    found = Label(problem_id=p.id, outcome=Labelling.LABELLED, answer="B", share=2 / 3, votes=votes)
    folder = StageFolder.open(made.store, "label", version=1, config=0, inputs={})
    folder.write_records("train-00000.jsonl", [content.question(p)])
    folder.write_records("label-00000.jsonl", [found])
    labelled = folder.finish(shards=["train-00000.jsonl", "label-00000.jsonl"])
    counts = measure_labels.MeasureLabels().run(made, PLACE, {"labels": labelled}).counted(MeasuredLabelsCounts)
    assert (counts.solved, counts.right, counts.wrong) == (1, 1, 0)


def test_without_any_answer_nothing_is_measured(tmp_path: Path) -> None:
    made = engines(tmp_path / "store", tmp_path / "x.jsonl", {})
    counts = measured(made, {0: ("3", 1.0)}).counted(MeasuredLabelsCounts)
    assert (counts.problems, counts.known, counts.labelled) == (6, 0, 0)


def test_a_file_with_answers_is_the_same_problem_set_as_without(tmp_path: Path) -> None:
    def prepared(name: str, answers: Mapping[int, str]) -> tuple[Manifest, list[bytes | None]]:
        made = engines(tmp_path / name, tmp_path / f"{name}.jsonl", answers)
        found = stage("prepare").run(made, Place(run="r", round=0, arm="base", step="prepare"), {})
        return found, [made.store.read(f"{found.ref}/{e.name}") for e in found.files]

    without, with_answers = prepared("without", {}), prepared("with", {0: "3", 1: "an answer that is found nowhere"})
    assert without == with_answers


@pytest.mark.parametrize("answers", [{}, {0: "3"}])
def test_of_unlabelled_problems_only_the_question_is_kept(tmp_path: Path, answers: dict[int, str]) -> None:
    made = engines(tmp_path / "store", tmp_path / "x.jsonl", answers)
    found = stage("prepare").run(made, Place(run="r", round=0, arm="base", step="prepare"), {})
    assert list(records(made.store, found, Problem, "unlabelled-")) == PROBLEMS
    assert found.counted(PrepareCounts).unlabelled == 6


def test_the_answers_of_a_file_change_only_what_is_measured(tmp_path: Path) -> None:
    def key(answers: Mapping[int, str]) -> Any:
        made = engines(tmp_path / "store", tmp_path / "x.jsonl", answers)
        settings = measure_labels.MeasureLabels().settings(made.config, PLACE)
        return settings.sources[0].sha256

    assert key({0: "3"}) != key({0: "4"})
