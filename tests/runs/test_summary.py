"""What a run has done, where others write beside the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmst.core.config import parse, run_id
from mmst.core.manifest import Place
from mmst.core.results import Tally, TrainsetCounts, VerifyCounts
from mmst.core.stage_folder import StageFolder
from mmst.runs.summary import RunSummary, record_config, summarise
from mmst.storage.folder import FolderStore


def verified(asked: int, passed: int) -> VerifyCounts:
    tally = Tally(asked=asked, verdicts={"passed": passed, "wrong": asked - passed})
    return VerifyCounts(total=tally, methods={"code": tally}, lacks={"torch": 1})


@pytest.fixture
def run(tmp_path: Path) -> RunSummary:
    """A round in which the arm `own-code` is trained on what the model and a teacher wrote."""
    config = parse({"out": str(tmp_path), "teachers": {"big": {"base": "mmst:tiny"}}, "loop": {"arm": "own-code"}})
    store, name = FolderStore(tmp_path), run_id(config)
    record_config(store, config)
    made = {
        ("own-code", "sample"): None,
        ("own-code", "verify"): verified(10, 4),
        ("teacher:big", "sample"): None,
        ("teacher:big", "verify"): verified(20, 15),
        ("teacher:big", "verify-translations"): verified(8, 6),
        ("own-code", "build_trainset"): TrainsetCounts(new=9, writers={"big": 7}),
    }
    for (arm, step), counts in made.items():
        place = Place(run=name, round=1, arm=arm, step=step)
        folder = StageFolder.open(store, step, version=1, config=[arm, step], inputs={}, place=place)
        folder.finish(counts=counts.stored() if counts else {})
    return summarise(store, name)


def test_the_funnel_is_of_all_who_write_and_of_each(run: RunSummary) -> None:
    (found,) = run.rounds
    assert found.funnel == {"asked": 30, "passed": 19, "translated": 8, "passed_again": 6, "kept": 9}
    assert found.writers == {
        "": {"asked": 10, "passed": 4, "kept": 2},
        "big": {"asked": 20, "passed": 15, "translated": 8, "passed_again": 6, "kept": 7},
    }
    assert found.verdicts["lacks torch"] == 2


def test_the_run_s_own_arm_is_no_teacher_s(run: RunSummary) -> None:
    assert run.rounds[0].main_arm == "own-code"


def test_a_teacher_that_is_the_model_itself_is_told(tmp_path: Path) -> None:
    config = parse({"out": str(tmp_path), "teachers": {"same": {"base": "mmst:tiny"}, "other": {"base": "/m"}}})
    record_config(FolderStore(tmp_path), config)
    notes = [note for note in summarise(FolderStore(tmp_path), run_id(config)).notes if "teacher" in note]
    assert [("same" in note, "self-training" in note) for note in notes] == [(True, True)]
