"""What a run has verified, in the formats of other trainers."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from mmst.core.errors import LeakError
from mmst.core.records import CheckedSample, Label, Labelling, Verdict, Votes, from_data, to_data
from mmst.core.stage_folder import shard_name
from mmst.runs import export
from tests.support.runs import Made
from tests.support.taught import PROBLEMS, RIGHT, WRONG, checked, example, run, translated

FORMATS = sorted(export.FORMATS)


def exported(made: Made, format: str = "trl", *, pairs: bool = False) -> tuple[list[export.Row], Counter[str]]:
    counts = Counter[str]()
    source = export.find(made.store, made.run)
    return list(export.rows(made.store, source, export.format_of(format), counts, pairs=pairs)), counts


def test_every_verified_example_is_there_with_its_lineage(tmp_path: Path) -> None:
    other = translated(RIGHT, PROBLEMS[1])
    found, counts = exported(run(tmp_path, [RIGHT, *WRONG], [other]))
    assert [row.data for row in found] == [
        {"prompt": RIGHT.sample.prompt, "completion": "print(2)"},
        {"prompt": other.sample.target_prompt, "completion": "Say 2"},
    ]
    assert counts == {"examples": 2}
    lineage = dict(found[1].lineage)
    assert lineage.pop("run").startswith("made-")
    assert lineage == {
        "round": 1, "arm": "mmst", "problem": "p-1", "method": "text", "origin": "translation",
        "samples": [other.sample.id, RIGHT.sample.id], "model": "sha256:base", "verdict": "passed",
        "judged_by": "gold",
    }  # fmt: skip


def test_what_was_trained_on_unverified_is_left_out_and_counted(tmp_path: Path) -> None:
    other = translated(RIGHT, PROBLEMS[1], Verdict.WRONG)
    found, counts = exported(run(tmp_path, [RIGHT], [other], chosen=[RIGHT, other]))
    assert [row.lineage["origin"] for row in found] == ["own"]
    assert counts == {"examples": 1, "not_verified": 1}


def test_a_pair_is_right_and_wrong_under_one_prompt(tmp_path: Path) -> None:
    found, counts = exported(run(tmp_path, [RIGHT, *WRONG]), pairs=True)
    (row,) = found
    assert row.data["prompt"] == RIGHT.sample.prompt
    assert (row.data["chosen"], row.data["rejected"] in ("print(3)", "print(4)")) == ("print(2)", True)
    assert row.lineage["rejected"]["verdict"] == "wrong"
    assert counts["pairs"] == 1


def test_a_translation_is_preferred_to_a_wrong_solution_of_its_method(tmp_path: Path) -> None:
    wrong = checked(PROBLEMS[1], "text", 7, Verdict.WRONG)
    found, counts = exported(run(tmp_path, [RIGHT, wrong], [translated(RIGHT, PROBLEMS[1])]), pairs=True)
    assert [(row.data["chosen"], row.data["rejected"]) for row in found] == [("Say 2", wrong.solution)]
    assert counts["without_a_wrong_one"] == 1


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.PASSED, Verdict.WRONG}))
def test_what_is_not_clearly_wrong_is_never_rejected(tmp_path: Path, verdict: Verdict) -> None:
    found, counts = exported(run(tmp_path, [RIGHT, checked(PROBLEMS[1], "code", 3, verdict)]), pairs=True)
    assert found == []
    assert (counts["not_clearly_wrong"], counts["without_a_wrong_one"]) == (1, 1)


@pytest.mark.parametrize("mark", ["contradicted", "nondeterministic"])
def test_a_wrong_program_that_we_are_not_sure_of_is_never_rejected(tmp_path: Path, mark: str) -> None:
    unsure = checked(PROBLEMS[1], "code", 3, Verdict.WRONG, **{mark: True})
    assert exported(run(tmp_path, [RIGHT, unsure]), pairs=True)[0] == []


def test_wrong_solutions_of_other_problems_and_methods_make_no_pair(tmp_path: Path) -> None:
    elsewhere = [checked(PROBLEMS[2], "code", 3, Verdict.WRONG), checked(PROBLEMS[1], "text", 3, Verdict.WRONG)]
    found, _ = exported(run(tmp_path, [RIGHT, *elsewhere]), pairs=True)
    assert found == []


def test_a_wrong_solution_that_was_asked_for_otherwise_stands_under_the_prompt_of_the_example(tmp_path: Path) -> None:
    asked = to_data(WRONG[0])
    asked["sample"]["prompt"] = "Otherwise asked"
    (pair,), _ = exported(run(tmp_path, [RIGHT, from_data(CheckedSample, asked)]), pairs=True)
    assert "Otherwise asked" not in pair.data["prompt"]


def test_each_wrong_solution_is_used_once_and_each_thing_said_once(tmp_path: Path) -> None:
    right = [RIGHT, checked(PROBLEMS[1], "code", 20, Verdict.PASSED), checked(PROBLEMS[1], "code", 21, Verdict.PASSED)]
    again = to_data(WRONG[0])
    again["sample"]["id"] = "s-again"
    found, counts = exported(run(tmp_path, [*right, *WRONG, from_data(CheckedSample, again)]), pairs=True)
    assert sorted(row.data["rejected"] for row in found) == ["print(3)", "print(4)"]
    assert (counts["pairs"], counts["without_a_wrong_one"]) == (2, 1)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_held_out_problem_is_never_exported(tmp_path: Path, pairs: bool) -> None:
    made = run(tmp_path, [RIGHT, *WRONG], heldout=[PROBLEMS[1]])
    with pytest.raises(LeakError, match="own test set"):
        exported(made, pairs=pairs)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_the_same_run_gives_the_same_rows(tmp_path: Path, format: str, pairs: bool) -> None:
    made = run(tmp_path, [RIGHT, *WRONG], [translated(RIGHT, PROBLEMS[1])])
    assert exported(made, format, pairs=pairs) == exported(made, format, pairs=pairs)


USER, GPT = {"from": "human", "value": RIGHT.sample.prompt}, {"from": "gpt", "value": "print(2)"}
ASKED, SAID = {"role": "user", "content": RIGHT.sample.prompt}, {"role": "assistant", "content": "print(2)"}


def test_the_formats_are_those_of_their_readers(tmp_path: Path) -> None:
    made = run(tmp_path, [RIGHT, WRONG[0]])
    assert exported(made, "sharegpt")[0][0].data == {"conversations": [USER, GPT]}
    assert exported(made, "openai")[0][0].data == {"messages": [ASKED, SAID]}
    assert exported(made, "sharegpt", pairs=True)[0][0].data == {
        "conversations": [USER], "chosen": GPT, "rejected": {"from": "gpt", "value": "print(3)"},
    }  # fmt: skip
    assert exported(made, "openai", pairs=True)[0][0].data == {
        "input": {"messages": [ASKED]}, "preferred_output": [SAID],
        "non_preferred_output": [{"role": "assistant", "content": "print(3)"}],
    }  # fmt: skip


def test_in_the_style_chat_the_messages_are_exported_not_the_filled_template(tmp_path: Path) -> None:
    (row,) = exported(run(tmp_path, [RIGHT], style="chat"))[0]
    ((asked,), (said,)) = row.data["prompt"], row.data["completion"]
    assert asked["role"] == "user"
    assert asked["content"].endswith("Question: What is 1 and 1?")
    assert said == {"role": "assistant", "content": "print(2)"}


def test_prompts_are_messages_if_all_examples_are_learned_under_a_chat_template(tmp_path: Path) -> None:
    for name, style, under, messages in (
        ("a", "plain", ["chat"], True),
        ("b", "chat", ["plain"], False),
        ("c", "chat", ["chat", "plain"], False),
    ):
        (row,) = exported(run(tmp_path / name, [RIGHT], style=style, trainset={"prompts": under}))[0]
        assert isinstance(row.data["prompt"], list) == messages


def test_what_a_label_judged_says_so_with_its_rule_and_share(tmp_path: Path) -> None:
    votes = (Votes(answer="2", by={"code": 2}), Votes(answer="3", by={"text": 1}))
    problems = {"unlabelled": [{"format": "generated", "count": 1}], "test": [{"format": "generated", "count": 1}]}
    label = Label(problem_id="p-1", outcome=Labelling.LABELLED, answer="2", share=2 / 3, votes=votes)
    made = run(tmp_path, [RIGHT, *WRONG], labels=[label], label={"rule": "majority"}, problems=problems)
    for pairs in (False, True):
        (row,) = exported(made, pairs=pairs)[0]
        assert (row.lineage["judged_by"], row.lineage["share"]) == ("majority", 2 / 3)


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    broken = to_data(RIGHT) | {"solution": "print('\ud800')"}
    (row,) = exported(run(tmp_path, [from_data(CheckedSample, broken)]))[0]
    assert row.data["completion"] == "print('\ufffd\ufffd\ufffd')"


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    long = "x" * 20_000
    own = [
        from_data(CheckedSample, to_data(checked(PROBLEMS[i % 6], "text", i, verdict)) | {"solution": f"{long}{i}"})
        for i in range(400)
        for verdict in (Verdict.PASSED if i % 4 < 2 else Verdict.WRONG,)
    ]
    made = Made(tmp_path / "store")
    shards = {shard_name(n): own[20 * n : 20 * n + 20] for n in range(20)}
    inputs = {
        "problems": made.stage(0, "base", "prepare", {"train-00000.jsonl": PROBLEMS}),
        "checked": made.stage(1, "mmst", "verify", shards),
    }
    taught = [example(c) for c in own if c.passed]
    new = {f"new-{n:05d}.jsonl": taught[20 * n : 20 * n + 20] for n in range(10)}
    made.stage(1, "mmst", "build_trainset", new, inputs=inputs)
    source = export.find(made.store, made.run)
    tracemalloc.start()
    counts = Counter[str]()
    written = sum(1 for _ in export.rows(made.store, source, export.FORMATS["trl"], counts, pairs=True))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written == counts["pairs"] > 100
    assert most < 4_000_000, "all texts are 8 MB"
