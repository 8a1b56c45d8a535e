"""The generator: its problems are right, different, repeatable, and annotated as it says."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmst.core.errors import ConfigError
from mmst.core.records import Split
from mmst.datasets.generated import ANNOTATIONS, MAIN, MOST, RELATED, TASKS, Family, generate, work_out
from mmst.datasets.near import NearIndex
from mmst.grading import equal
from mmst.methods import method

PROBLEMS = list(generate(3000, seed=5))


def printed(program: str) -> str:
    lines: list[str] = []
    exec(program, {"__builtins__": {}, "print": lambda value: lines.append(str(value))})
    return "\n".join(lines)


def test_same_arguments_same_problems() -> None:
    assert list(generate(200, 9)) == list(generate(200, 9))


def test_a_longer_run_starts_like_a_shorter_one() -> None:
    assert list(generate(300, 9))[:200] == list(generate(200, 9))


def test_another_seed_gives_other_problems() -> None:
    assert len({p.id for p in generate(500, 1)} & {p.id for p in generate(500, 2)}) < 5


def test_first_problem_is_what_it_always_was() -> None:
    first = next(generate(1, 0))
    assert first.id == "p-bb32d7e00daa59b3", "the shipped model was trained on these problems: retrain it"


def test_no_question_twice() -> None:
    assert len({p.question for p in PROBLEMS}) == len(PROBLEMS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.slow
def test_fifty_thousand_different_questions(task: str) -> None:
    assert len({p.id for p in generate(50_000, 3, task)}) == 50_000


@pytest.mark.parametrize("family", MAIN + RELATED, ids=lambda f: f.name)
def test_four_surface_forms_at_least(family: Family) -> None:
    assert family.forms >= 4


def test_enough_families_of_each_kind() -> None:
    kinds = list(ANNOTATIONS.values())
    assert len(kinds) >= 16
    assert min(kinds.count(kind) for kind in (("text",), ("code",), ("text", "code"))) >= 5


def test_one_to_three_steps() -> None:
    assert {len(f.steps.split(", ")) for f in MAIN} == {1, 2, 3}


def test_every_family_occurs() -> None:
    assert {p.family for p in PROBLEMS} == {f.name for f in MAIN}


def test_solutions_are_those_that_the_family_is_annotated_with() -> None:
    assert all(tuple(p.solutions) == ANNOTATIONS[p.family] for p in PROBLEMS)


def test_related_questions_are_never_in_main_and_carry_no_solution() -> None:
    related = list(generate(2000, 5, "related"))
    assert not {p.id for p in related} & {p.id for p in PROBLEMS}
    assert not any(p.solutions for p in related)
    assert {p.task for p in related} == {"related"}


def test_programs_print_the_answer() -> None:
    for p in PROBLEMS:
        if "code" in p.solutions:
            m = method("code")
            assert m.answer(p.solutions["code"], printed(p.solutions["code"])) == p.answer, p


def test_texts_state_the_answer() -> None:
    for p in PROBLEMS:
        if "text" in p.solutions:
            answer = method("text").answer(p.solutions["text"], None)
            assert equal(p.answer, answer or ""), p


def test_every_step_of_a_text_is_right() -> None:
    for p in PROBLEMS:
        for left, op, right, value in re.findall(r"So (\d+) (.) (\d+) = (\d+) \.", p.solutions.get("text", "")):
            x, y = int(left), int(right)
            assert {"+": x + y, "-": x - y, "*": x * y, "/": x / y}[op] == int(value), p


def test_numbers_stay_small_and_wording_is_filled_in() -> None:
    for p in PROBLEMS:
        assert all(int(n) <= MOST for n in re.findall(r"\d+", p.question + " ".join(p.solutions.values())))
        assert not re.search(r"[\[\]{}|]", p.question), p.question


def test_splits_share_no_question_and_few_near_ones() -> None:
    test = [p for p in PROBLEMS if p.split is Split.TEST]
    index = NearIndex(0.8)
    index.add(p.question for p in test)
    train = [p for p in PROBLEMS if p.split is Split.TRAIN]
    assert sum(index.nearest(p.question) is not None for p in train) < 0.01 * len(train)


def test_unknown_task() -> None:
    with pytest.raises(ConfigError, match="main, related"):
        next(generate(1, 0, "other"))


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 20))
@settings(max_examples=200)
def test_work_out_gives_small_whole_numbers_or_nothing(a: Any, b: Any, c: Any) -> None:
    steps = work_out("a - b, _ / c", {"a": a, "b": b, "c": c})
    fits = 1 <= a - b <= MOST and (a - b) % c == 0
    assert (steps is not None) == fits
    if steps:
        assert steps[-1][3] == (a - b) // c
