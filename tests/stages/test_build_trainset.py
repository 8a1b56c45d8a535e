"""The training set as a stage: examples with their lineage, and that none is held out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmst.core.config import parse
from mmst.core.errors import ConfigError, LeakError
from mmst.core.manifest import Manifest, Place
from mmst.core.records import Example, Problem, Split
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import records
from mmst.methods import method
from mmst.methods.prompts import solve_prompt
from mmst.stages import build_trainset
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes
from tests.support.solutions import sample

PLACE = Place(run="r", round=1, arm="mmst", step="build_trainset")
SOLUTIONS = {"text": "3 + 4 = 7 .\nThe answer is 7", "code": "print(3 + 4)"}


class Engines(Fakes):
    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(parse(settings), FolderStore(folder))

    def stage(self, name: str, **shards: Sequence[object]) -> Manifest:
        stage = StageFolder.open(self.store, name, version=1, config=sorted(shards), inputs={})
        for shard, content in shards.items():
            stage.write_records(f"{shard}-00000.jsonl", content)
        return stage.finish(shards=[f"{shard}-00000.jsonl" for shard in shards])


def problem(name: str) -> Problem:
    return Problem(id=name, question=f"{name}?", answer="7", source="made", split=Split.TRAIN, solutions=SOLUTIONS)


def make(engines: Engines, arm: str = "mmst", **problems: Sequence[object]) -> Manifest:
    given: dict[str, Sequence[object]] = {
        "train": [problem("p-train")],
        "heldout": [problem("p-held")],
        "annotated": [problem("p-seed")],
    } | problems
    inputs = {
        "problems": engines.stage("prepare", **given),
        "checked": engines.stage("verify", shard=[sample(0), sample(1, passed=False), sample(2)]),
        "translated": engines.stage(
            "retranslate", shard=[sample(3, "text", of="s-0"), sample(4, "text", of="s-2", passed=False)]
        ),
        "checkpoint": engines.stage("base"),
    }
    return build_trainset.BuildTrainset().run(engines, replace(PLACE, arm=arm), inputs)


def test_the_stage_writes_examples_with_their_lineage_and_counts_the_way(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    made = make(engines)
    new = list(records(engines.store, made, Example, "new-"))
    assert [(e.prompt, e.completion, e.origin, e.lineage) for e in new] == [
        ("asked", "print(0)", "own", ("s-0",)),
        ("asked", "print(2)", "own", ("s-2",)),
        ("solve directly", "print(3)", "translation", ("t-3", "s-0")),
    ]
    expected = {"asked": 3, "passed": 2, "translated": 2, "translated_passed": 1, "new": 3, "annotated": 2, "pair": 2}
    assert made.counts.items() >= {**expected, "new.code.own": 2, "new.text.translation": 1}.items()
    assert make(engines) == made


def test_annotated_problems_teach_each_method_and_both_ways_of_translation(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    annotated = list(records(engines.store, make(engines), Example, "annotated-"))
    assert {(e.prompt, e.completion, e.origin) for e in annotated} == {
        ("Question: p-seed?\nText:\n", SOLUTIONS["text"], "annotated"),
        ("Question: p-seed?\nPython:\n", SOLUTIONS["code"], "annotated"),
        (f"Question: p-seed?\nText:\n{SOLUTIONS['text']}\nPython:\n", SOLUTIONS["code"], "pair"),
        (f"Question: p-seed?\nPython:\n{SOLUTIONS['code']}\nText:\n", SOLUTIONS["text"], "pair"),
    }


def test_examples_are_learned_under_the_prompts_that_the_recipe_names_in_turn(tmp_path: Path) -> None:
    engines = Engines(tmp_path, trainset={"prompts": ["plain", "instruct"]})
    made = make(engines)
    prompts = [e.prompt for e in records(engines.store, made, Example, "new-")]
    plain = ["Question: p-train?\nPython:\n", "Question: p-train?\nText:\n"]
    assert prompts[0] == plain[0]
    assert prompts[1].endswith(plain[0])
    assert prompts[1] != plain[0]
    assert prompts[2] == plain[1]


def test_recorded_completions_are_learned_under_the_prompt_that_they_are_measured_with(tmp_path: Path) -> None:
    engines = Engines(
        tmp_path, sampling={"backend": "recorded", "recorded": "some.jsonl"}, prompt={"style": "few-shot", "shots": 1}
    )
    first = next(iter(records(engines.store, make(engines), Example, "new-")))
    assert first.prompt == solve_prompt(method("code"), "p-train?", "few-shot", 1)


def test_an_arm_of_the_recipe_is_stored_under_what_it_is(tmp_path: Path) -> None:
    engines = Engines(tmp_path, arms={"mine": {"methods": ["text"], "annotated": "none"}})
    made = make(engines, "mine")
    assert (made.counts["new"], made.facts) == (1, {"arm": "mine", "annotated": "none"})
    other = Engines(tmp_path, arms={"mine": {"methods": ["code"]}})
    assert make(other, "mine").key != made.key
    assert make(other, "mmst") == make(Engines(tmp_path), "mmst")


def test_the_arms_are_different_work_with_the_same_seeds(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    mmst, annotated_only = make(engines), make(engines, "annotated-only")
    assert mmst.key != annotated_only.key
    assert (annotated_only.counts["new"], annotated_only.counts["annotated"]) == (0, mmst.counts["annotated"])


@pytest.mark.parametrize("held", ["p-train", "p-seed"])
def test_an_example_of_a_held_out_problem_is_refused(tmp_path: Path, held: Any) -> None:
    with pytest.raises(LeakError, match=held):
        make(Engines(tmp_path), heldout=[problem(held)])


def test_an_unknown_arm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="annotated-only"):
        make(Engines(tmp_path), "mnst")
