"""Gathering the problems of a run: clean sets, no leaks, the same digest for the same content."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from mmst.core.config import parse
from mmst.core.errors import LeakError, UserError
from mmst.core.manifest import Manifest, Place
from mmst.core.records import Problem
from mmst.core.sections import ROLES
from mmst.core.stored import records
from mmst.datasets import export, make_problem
from mmst.stages import prepare
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes

PLACE = Place(run="r", round=0, arm="base", step="prepare")


def engines(folder: Path, **problems: Any) -> Fakes:
    return Fakes(parse({"problems": problems}), FolderStore(folder / "store"))


def file(path: Path, questions: list[str], **extra: Any) -> dict[str, str]:
    export((make_problem(q, "7", "x", **extra) for q in questions), path)
    return {"format": "jsonl", "path": str(path)}


def read(made: Any, manifest: Manifest, role: str) -> list[Problem]:
    return list(records(made.store, manifest, Problem, f"{role}-"))


SENTENCE = "Ann walks {} miles to the old mill and then {} miles back home, how far is that?"


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, Any]:
    return {
        "train": [file(tmp_path / "train.jsonl", ["What is 1 + 6?", "What is 2 + 5?"], solutions={"text": "7"})],
        "test": [file(tmp_path / "test.jsonl", ["Is 3 + 4 seven?"], solutions={"text": "7"})],
        "related": [file(tmp_path / "related.jsonl", ["What makes 8 - 1?"])],
        "annotated": [file(tmp_path / "annotated.jsonl", ["Say 9 - 2."], solutions={"text": "The answer is 7"})],
    }


SHOWN = {
    "name": "mine",
    "answer": "stated",
    "phrasings": [{"heading": "H:", "instruction": "i", "translation": "t"}],
}


@pytest.mark.parametrize("shot", ["Is 3 + 4 seven?", "is 3 + 4  SEVEN ?", SENTENCE.format(5, 6) + " Say it."])
def test_a_worked_example_of_a_method_file_is_no_held_out_problem(
    tmp_path: Path, sets: dict[str, Any], shot: str
) -> None:
    sets["test"].append(file(tmp_path / "near.jsonl", [SENTENCE.format(5, 6)]))
    filed = [SHOWN | {"shots": [[shot, "The answer is 7"]]}]
    for style in ("few-shot", "plain"):
        recipe = {"problems": sets, "methods": ["text", "mine"], "method_files": filed, "prompt": {"style": style}}
        made = Fakes(parse(recipe), FolderStore(tmp_path / style))
        with pytest.raises(LeakError, match="worked example") if style == "few-shot" else nullcontext():
            prepare.Prepare().run(made, PLACE, {})


def test_only_annotated_problems_keep_their_solutions(tmp_path: Path, sets: dict[str, Any]) -> None:
    made = engines(tmp_path, **sets)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert [bool(p.solutions) for role in ("train", "heldout", "annotated") for p in read(made, manifest, role)] == [
        False, False, False, False, True,
    ]  # fmt: skip
    assert [p.task for p in read(made, manifest, "heldout")] == ["main", "related"]
    assert manifest.counts == {
        "train": 2, "heldout": 2, "related": 1, "annotated": 1, "duplicates": 0, "near_duplicates": 0,
    }  # fmt: skip


def test_a_source_says_by_which_methods_its_problems_are_measured_and_as_which_task(
    tmp_path: Path, sets: dict[str, Any]
) -> None:
    sets["related"][0] |= {"methods": ["text"], "name": "subtraction"}
    sets["related"].append(file(tmp_path / "b.jsonl", ["What makes 9 - 2?"]))
    made = engines(tmp_path, **sets)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert [(p.task, p.methods) for p in read(made, manifest, "heldout")] == [
        ("main", ()), ("subtraction", ("text",)), ("related", ()),
    ]  # fmt: skip
    assert manifest.counts["related"] == 2


def test_what_a_recipe_does_not_say_is_in_no_key_and_in_no_shard(tmp_path: Path, sets: dict[str, Any]) -> None:
    made, stage = engines(tmp_path, **sets), prepare.Prepare()
    key = stage.key(stage.settings(made.config, PLACE), made.config)
    assert not {"methods", "name"} & {field for role in ROLES for source in key.get(role, ()) for field in source}
    manifest = stage.run(made, PLACE, {})
    shards = [made.store.read(f"{manifest.ref}/{e.name}") for e in manifest.files]
    lines = [json.loads(line) for shard in shards if shard is not None for line in shard.splitlines()]
    assert len(lines) == 5
    assert not {"methods", "options"} & {field for line in lines for field in line}


def test_a_question_twice_counts_once(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["train"].append(file(tmp_path / "more.jsonl", ["what is 1 + 6 ?", "What is 3 + 3?"]))
    manifest = prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
    assert (manifest.counts["train"], manifest.counts["duplicates"]) == (3, 1)


def test_answers_that_contradict_are_counted_and_named_with_their_places(tmp_path: Path, sets: dict[str, Any]) -> None:
    export([make_problem("What is 1 + 6?", "8", "x")], tmp_path / "more.jsonl")
    sets["train"].append({"format": "jsonl", "path": str(tmp_path / "more.jsonl")})
    made = engines(tmp_path, **sets)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert (manifest.counts["duplicates"], manifest.counts["contradictions"]) == (1, 1)
    assert manifest.facts["contradictions"] == [
        {"question": "What is 1 + 6?",
         "answers": [{"at": "train.0, line 1", "answer": "7"}, {"at": "train.1, line 1", "answer": "8"}]},
    ]  # fmt: skip
    assert [p.answer for p in read(made, manifest, "train")] == ["7", "7"]


def test_an_answer_in_another_form_is_no_contradiction(tmp_path: Path, sets: dict[str, Any]) -> None:
    export([make_problem("What is 1 + 6?", "7.0", "x")], tmp_path / "more.jsonl")
    sets["train"].append({"format": "jsonl", "path": str(tmp_path / "more.jsonl")})
    assert "contradictions" not in prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {}).counts


def test_further_fields_stay_with_the_problems_of_every_role(tmp_path: Path, sets: dict[str, Any]) -> None:
    for role in sets:
        path = Path(sets[role][0]["path"])
        rows = [{k: v for k, v in json.loads(line).items() if k != "id"} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**row, "id": n, "from": role}) + "\n" for n, row in enumerate(rows)))
    made = engines(tmp_path, **sets)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert [dict(p.further) for role in ("train", "heldout", "annotated") for p in read(made, manifest, role)] == [
        {"id": 0, "from": "train"}, {"id": 1, "from": "train"}, {"id": 0, "from": "test"},
        {"id": 0, "from": "related"}, {"id": 0, "from": "annotated"},
    ]  # fmt: skip


def test_a_folder_is_a_source_and_its_content_is_the_key(tmp_path: Path, sets: dict[str, Any]) -> None:
    folder = tmp_path / "parts"
    file(folder / "a.jsonl", ["What is 1 + 6?"])
    file(folder / "b.jsonl", ["What is 2 + 5?"])
    sets["train"] = [{"format": "jsonl", "path": str(folder)}]
    first = prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
    assert first.counts["train"] == 2
    (folder / "b.jsonl").unlink()
    assert prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {}).key != first.key


@pytest.mark.parametrize("role", ["train", "annotated"])
@pytest.mark.parametrize("held", ["test", "related"])
def test_a_problem_that_stands_in_the_test_set_stops_the_run(
    tmp_path: Path, sets: dict[str, Any], role: str, held: str
) -> None:
    sets[role].append(file(tmp_path / "a.jsonl", ["Add 3 and 4 ."]))
    sets[held].append(file(tmp_path / "b.jsonl", ["add 3 and 4"]))
    with pytest.raises(LeakError, match=rf"1 problems.*{role}: Add 3 and 4.*Remedy: set `split: train`"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})


def test_near_duplicates_are_left_out_and_reported(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["test"].append(file(tmp_path / "a.jsonl", [SENTENCE.format(3, 4)]))
    sets["train"].append(file(tmp_path / "b.jsonl", [SENTENCE.format(3, 4).replace("how far is", "what length is")]))
    made = engines(tmp_path, **sets, near_duplicate=0.6)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert (manifest.counts["train"], manifest.counts["near_duplicates"]) == (2, 1)
    (example,) = manifest.facts["near_duplicates"]
    assert (example["role"], example["heldout"]) == ("train", SENTENCE.format(3, 4))


def test_a_template_with_other_numbers_is_another_problem(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["test"].append(file(tmp_path / "a.jsonl", [SENTENCE.format(3, 4)]))
    sets["train"].append(file(tmp_path / "b.jsonl", [SENTENCE.format(5, 6)]))
    assert prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {}).counts["near_duplicates"] == 0


def test_generated_sets_lose_almost_nothing_as_near_duplicates(tmp_path: Path) -> None:
    one = {"format": "generated", "count": 600, "seed": 1}
    sets = {"train": [one | {"split": "train"}], "test": [one | {"split": "test"}]}
    counts = prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {}).counts
    assert counts["train"] > 450
    assert counts["near_duplicates"] < 0.02 * counts["train"]


def test_the_digest_follows_the_content_not_the_path(tmp_path: Path, sets: dict[str, Any]) -> None:
    first = prepare.Prepare().run(engines(tmp_path / "one", **sets), PLACE, {})
    moved = tmp_path / "elsewhere.jsonl"
    Path(sets["train"][0]["path"]).rename(moved)
    sets["train"][0]["path"] = str(moved)
    assert prepare.Prepare().run(engines(tmp_path / "two", **sets), PLACE, {}).digest == first.digest
    file(moved, ["What is 0 + 7?"])
    assert prepare.Prepare().run(engines(tmp_path / "one", **sets), PLACE, {}).key != first.key


def test_a_complete_stage_is_not_made_again(tmp_path: Path, sets: dict[str, Any], monkeypatch: Any) -> None:
    first = prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
    monkeypatch.setattr(prepare, "clean", None)
    assert prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {}) == first


@pytest.mark.parametrize("role", ["train", "test"])
def test_a_run_without_problems_is_refused_with_a_remedy(tmp_path: Path, sets: dict[str, Any], role: str) -> None:
    del sets[role]
    with pytest.raises(UserError, match=rf"problems\.{role} holds no problem.*Remedy"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})


def test_a_split_that_leaves_nothing_is_refused(tmp_path: Path, sets: dict[str, Any]) -> None:
    empty = next(s for s in ("train", "dev", "test") if s != make_problem("Say 9 - 2.", "7", "x").split)
    sets["annotated"][0]["split"] = empty
    with pytest.raises(UserError, match=rf"problems\.annotated holds no problem.*split={empty}"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})


def test_a_missing_file_is_refused_before_anything_is_written(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["train"][0]["path"] = str(tmp_path / "gone.jsonl")
    with pytest.raises(UserError, match=r"does not exist.*gone\.jsonl"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
    assert not (tmp_path / "store").exists()


def unlabelled(path: Path, questions: list[str]) -> dict[str, str]:
    path.write_text("".join(json.dumps({"question": q}) + "\n" for q in questions))
    return {"format": "jsonl", "path": str(path)}


def test_without_training_problems_unlabelled_ones_are_enough(tmp_path: Path, sets: dict[str, Any]) -> None:
    made = engines(tmp_path, **sets | {"train": [], "unlabelled": [unlabelled(tmp_path / "u.jsonl", ["Who is 4?"])]})
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert (manifest.counts["train"], manifest.counts["unlabelled"]) == (0, 1)


def test_an_unlabelled_question_whose_answer_is_known_is_left_out(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["unlabelled"] = [unlabelled(tmp_path / "u.jsonl", ["What is 1 + 6?", "Who is 4?"])]
    made = engines(tmp_path, **sets)
    manifest = prepare.Prepare().run(made, PLACE, {})
    assert [p.question for p in read(made, manifest, "unlabelled")] == ["Who is 4?"]
    assert (manifest.counts["duplicates"], "contradictions" in manifest.counts) == (1, False)


def test_an_unlabelled_problem_that_is_held_out_stops_the_run(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["unlabelled"] = [unlabelled(tmp_path / "u.jsonl", ["Is 3 + 4 seven?"])]
    with pytest.raises(LeakError, match=r"unlabelled: Is 3 \+ 4 seven"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})


def test_an_unlabelled_problem_that_is_nearly_held_out_is_left_out(tmp_path: Path, sets: dict[str, Any]) -> None:
    sets["test"].append(file(tmp_path / "t.jsonl", [SENTENCE.format(3, 4)]))
    sets["unlabelled"] = [unlabelled(tmp_path / "u.jsonl", [SENTENCE.format(3, 4) + " Say it.", "Who is 4?"])]
    manifest = prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
    assert (manifest.counts["unlabelled"], manifest.counts["near_duplicates"]) == (1, 1)


@pytest.mark.parametrize("role", ["train", "test", "annotated"])
def test_only_an_unlabelled_problem_may_lack_its_answer(tmp_path: Path, sets: dict[str, Any], role: str) -> None:
    sets[role] = [unlabelled(tmp_path / "u.jsonl", ["Who is 4?"])]
    with pytest.raises(UserError, match="field 'answer': is missing"):
        prepare.Prepare().run(engines(tmp_path, **sets), PLACE, {})
