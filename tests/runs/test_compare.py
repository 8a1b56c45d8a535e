"""Two models of a store, problem by problem."""

from pathlib import Path

import pytest

from mmst.core.config import parse, run_id
from mmst.core.errors import UserError
from mmst.core.manifest import Place
from mmst.core.records import Outcome
from mmst.core.stage_folder import StageFolder
from mmst.runs.compare import Difference, compare
from mmst.runs.summary import record_config
from mmst.storage.folder import FolderStore


def measured(out: Path, seed: int, solved: dict[tuple[int, str], dict[str, bool | None]]) -> str:
    """A run whose arms solved these problems, by round and arm; returns its name."""
    config = parse({"out": str(out), "name": "made", "sampling": {"seed": seed}})
    store, name = FolderStore(out), run_id(config)
    record_config(store, config)
    for (round, arm), passed in solved.items():
        for step in ("sample", "evaluate"):
            place = Place(run=name, round=round, arm=arm, step=step)
            folder = StageFolder.open(store, step, version=1, config=[seed, round, arm], inputs={}, place=place)
            rows = [
                Outcome(problem_id=id, task="main", family="", method="text", passed=right)
                for id, right in passed.items()
            ]
            if step == "evaluate":
                folder.write_records("00000.jsonl", rows)
            facts = {"report": REPORT, "families": {}} if step == "evaluate" else {}
            folder.finish(shards=["00000.jsonl"] if step == "evaluate" else [], facts=facts)
    return name


REPORT = {"checkpoint": "c", "heldout": "h", "round": 0, "arm": "base", "scores": []}


@pytest.fixture
def names(tmp_path: Path) -> tuple[str, str]:
    one = measured(
        tmp_path, 1, {(0, "base"): {"a": False, "b": False}, (1, "mmst"): {"a": True, "b": False, "c": True, "d": None}}
    )
    return one, measured(tmp_path, 2, {(1, "mmst"): {"a": True, "b": True, "c": False, "d": True, "e": True}})


def test_problems_that_both_were_measured_on_are_paired(tmp_path: Path, names: tuple[str, str]) -> None:
    (paired,) = compare(FolderStore(tmp_path), *names).paired
    assert (paired.n, paired.first, paired.second) == (3, 2, 2)
    assert (paired.gained, paired.lost, paired.p) == (("b",), ("c",), 1.0)


def test_keys_of_the_recipe_that_differ_are_listed(tmp_path: Path, names: tuple[str, str]) -> None:
    found = compare(FolderStore(tmp_path), *names)
    assert found.recipe == (Difference(key="sampling.seed", first=1, second=2),)


def test_the_arms_of_one_run_are_compared(tmp_path: Path, names: tuple[str, str]) -> None:
    found = compare(FolderStore(tmp_path), f"{names[0]}/base", names[0])
    assert (found.first.round, found.first.arm, found.second.round, found.second.arm) == (0, "base", 1, "mmst")
    assert (found.recipe, [p.gained for p in found.paired]) == ((), [("a",)])


def test_an_arm_that_was_not_measured_is_refused_with_those_that_were(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"got 'own-text'\. Remedy: one of base, mmst"):
        compare(FolderStore(tmp_path), f"{names[0]}/own-text", names[1])
