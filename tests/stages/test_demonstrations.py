"""Worked examples for each problem: which are shown, which never, and what a report says of them."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import Config, PromptConfig, parse
from mmst.core.errors import UserError
from mmst.core.manifest import Manifest, Place
from mmst.core.records import CheckedSample, Problem, Sample, Verdict
from mmst.core.results import Measured
from mmst.core.stage_folder import StageFolder
from mmst.datasets import make_problem
from mmst.methods import method
from mmst.methods.prompts import solve_head, solve_prompt, translate_head
from mmst.stages import sample, translate
from mmst.stages.build_trainset import annotated_examples
from mmst.stages.demonstrations import Demonstrations
from mmst.stages.evaluate import Evaluate
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes

THINGS = ("apples", "boats", "candles", "drums", "eggs", "forks", "globes", "hats")


def question(thing: str, n: int, who: str = "Ann") -> str:
    return f"{who} keeps {n} {thing} in the cellar and brings {n + 1} more of them home on a Monday. How many now?"


def annotated(methods: Sequence[str] = ("text", "code")) -> list[Problem]:
    """Two problems about each thing, with numbers of their own."""
    written = {"text": "{0} + {1} = {2}\nThe answer is {2}", "code": "print({0} + {1})"}
    return [
        make_problem(
            question(thing, n),
            str(2 * n + 1),
            "made",
            solutions={name: written[name].format(n, n + 1, 2 * n + 1) for name in methods},
        )
        for i, thing in enumerate(THINGS)
        for n in (10 * i + 2, 10 * i + 5)
    ]


def prompt(demonstrations: Any, shots: int = 2) -> PromptConfig:
    return PromptConfig(style="few-shot", shots=shots, demonstrations=demonstrations)


def shown(how: str, problems: Sequence[Problem] | None = None, shots: int = 2, near: float = 0.8) -> Demonstrations:
    pool = annotated() if problems is None else problems
    return Demonstrations(pool, prompt(how, shots), near, ["text", "code"])


def test_the_nearest_are_about_the_same_thing() -> None:
    asked = question("drums", 77, "Bo")
    found = shown("nearest").of("p-other", asked, "text") or ()
    assert [q.split()[3] for q, _ in found] == ["drums", "drums"]


def test_the_nearest_of_all_stands_last() -> None:
    asked = question("drums", 36, "Bo")  # 35 drums and 36 more are annotated
    found = shown("nearest").of("p-other", asked, "text") or ()
    assert [q.split()[2] for q, _ in found] == ["32", "35"]


@pytest.mark.parametrize("how", ["nearest", "annotated"])
@pytest.mark.parametrize("same", [True, False])
def test_neither_a_problem_itself_nor_its_near_duplicate_is_shown(how: str, same: bool) -> None:
    problems = annotated()
    for p in problems:
        asked = p.question if same else p.question.replace("How many now?", "How many are there now?")
        found = shown(how, problems, shots=8).of(p.id if same else "p-other", asked, "text") or ()
        assert len(found) == 8
        assert p.question not in [q for q, _ in found]


@given(st.randoms(), st.sampled_from(["nearest", "annotated"]), st.integers(0, 99))
def test_the_order_of_the_annotated_problems_changes_nothing(by: random.Random, how: str, n: int) -> None:
    shuffled = annotated()
    by.shuffle(shuffled)
    asked = question("hats", n)
    one, other = (shown(how, pool).of("p-1", asked, "text") for pool in (annotated(), shuffled))
    assert one == other


def test_what_is_drawn_differs_from_problem_to_problem_and_uses_all() -> None:
    drawn = Counter(q for i in range(200) for q, _ in shown("annotated").of(f"p-{i}", "Why?", "code") or ())
    assert drawn.keys() == {p.question for p in annotated()}
    assert max(drawn.values()) < 3 * min(drawn.values())


def test_a_pool_without_enough_near_ones_is_filled_up() -> None:
    found = shown("nearest", shots=5).of("p-1", "Zebras?", "text") or ()
    assert len({q for q, _ in found}) == 5


def test_a_method_without_annotated_solutions_is_named() -> None:
    with pytest.raises(UserError, match=r"there is none for one, got 'code'"):
        shown("nearest", annotated(["text"]))


def test_to_translate_are_shown_solutions_by_both_methods() -> None:
    ((q, text, code), *_) = shown("annotated").of("p-1", "Why?", "text", "code") or ()
    (p,) = (p for p in annotated() if p.question == q)
    assert (text, code) == (p.solutions["text"], p.solutions["code"])


def test_where_no_problem_has_both_the_methods_own_are_shown() -> None:
    halves = [
        dataclasses.replace(p, solutions={name: p.solutions[name]})
        for p, name in zip(annotated(), 8 * ["text", "code"], strict=True)
    ]
    assert shown("annotated", halves).of("p-1", "Why?", "text", "code") is None


def config(demonstrations: str) -> Config:
    recipe = {
        "prompt": {"style": "few-shot", "shots": 2, "demonstrations": demonstrations},
        "problems": {"annotated": [{"format": "jsonl", "path": "a.jsonl"}]},
    }
    return parse(recipe)


@pytest.mark.parametrize("how", ["built-in", "nearest", "annotated"])
def test_samples_share_what_all_prompts_of_a_method_begin_with(how: str) -> None:
    problems = annotated()
    made = sample.requests(
        problems, sample.Settings.of(config(how), "train"), None, None if how == "built-in" else shown(how)
    )
    for ask in made:
        r, by = ask.request, method(ask.request.method)
        head = solve_head(by, "few-shot", 2 if how == "built-in" else 0)
        assert r.prompt[: r.shared] == head
        assert r.prompt.count("Question: ") == 3


def test_a_translation_shows_pairs_and_is_trained_under_the_sample_s_prompt() -> None:
    drawn = Sample(
        id="s-1", problem_id="p-1", method="text", index=0, prompt="", completion="", finish="stop",
        prompt_tokens=1, tokens=1, seed=1, model="m",
    )  # fmt: skip
    right = CheckedSample(sample=drawn, verdict=Verdict.PASSED, solution="The answer is 7", answer="7")
    by, asked = shown("nearest"), question("eggs", 3, "Bo")
    (one,) = translate.requests([right], {"p-1": asked}, translate.Settings.of(config("nearest")), None, by)
    assert one.target_prompt == solve_prompt(method("code"), asked, "few-shot", 2, worked=by.of("p-1", asked, "code"))
    assert one.request.prompt[: one.request.shared] == translate_head(method("text"), method("code"), "few-shot", 0)
    assert one.request.prompt.count("Text:\n") == one.request.prompt.count("Python:\n") == 3


def test_an_annotated_problem_is_trained_on_without_itself_as_an_example() -> None:
    problems = annotated()
    for p in problems:
        for e in annotated_examples(p, ["text", "code"], prompt("nearest"), None, (), shown("nearest", problems)):
            assert e.prompt.count(p.question) == 1


def evaluation(folder: Path, demonstrations: str, problems: Sequence[Problem]) -> Measured:
    """The evaluation of one held-out problem in a store that has these annotated ones."""
    store = FolderStore(folder)
    heldout = make_problem("What is 4 plus 3?", "7", "t")
    stage = StageFolder.open(store, "problems", version=1, config={"n": len(problems)}, inputs={})
    stage.write_records("heldout-00000.jsonl", [heldout])
    stage.write_records("annotated-00000.jsonl", problems)
    prepared = stage.finish(shards=["heldout-00000.jsonl", "annotated-00000.jsonl"])
    checked = StageFolder.open(store, "checked", version=1, config={}, inputs={})
    drawn = [
        Sample(
            id=f"s-{name}", problem_id=heldout.id, method=name, index=0, prompt="", completion="", finish="stop",
            prompt_tokens=1, tokens=1, seed=1, model="m",
        )
        for name in ("text", "code")
    ]  # fmt: skip
    verdicts = [CheckedSample(sample=s, verdict=Verdict.PASSED, solution="7", answer="7") for s in drawn]
    checked.write_records("shard-00000.jsonl", verdicts)
    inputs: dict[str, Manifest] = {
        "problems": prepared,
        "checked": checked.finish(shards=["shard-00000.jsonl"]),
        "checkpoint": StageFolder.open(store, "base", version=1, config={}, inputs={}).finish(),
    }
    place = Place(run="r", round=1, arm="mmst", step="evaluate")
    return Evaluate().run(Fakes(config(demonstrations), store), place, inputs).result(Measured)


def test_reports_with_other_demonstrations_do_not_compare(tmp_path: Path) -> None:
    few, many = annotated()[:6], annotated()
    protocols = [
        evaluation(tmp_path / f"{i}", how, problems).protocol
        for i, (how, problems) in enumerate(
            [("built-in", few), ("built-in", many), ("nearest", few), ("nearest", many), ("annotated", many)]
        )
    ]
    assert protocols[0] == protocols[1]
    assert len(set(protocols)) == 4
