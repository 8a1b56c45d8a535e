"""The base model of `word-problems`: tokenizer, numbers drawn anew, documents, refusals, what its recipe holds."""

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mmst import recipes
from mmst.core.config import parse
from mmst.core.errors import ConfigError, LeakError, ModelError
from mmst.core.records import Problem, Split
from mmst.datasets import make_problem
from mmst.datasets.equations import solutions
from mmst.models import model_folder
from mmst.stages import prepare
from tests.support.data import DATA, NO_DATA
from tools import word_data, word_tokenizer
from tools.measure import passed
from tools.redraw import MOST, redrawn, steps_of, work_out

TOK = word_tokenizer.build(["Ann has apples and pears", "Ann has no apples or pears"])
NUMBERS = range(2, 60)
DRAWING = word_data.Drawing(copies=4, drills=20, generated=20)
WHOLE = st.integers(1, 90)


def story(expression: str, answer: str, *methods: str) -> Problem:
    """A problem whose question holds the numbers of its equation."""
    numbers = " and ".join(n for n in expression.split() if n.isdigit())
    made = solutions(expression, answer)
    return make_problem(
        f"Ann counts {numbers} pears . How many ?", answer, "x", solutions={m: made[m] for m in methods}
    )


STORIES = [
    story("( 17 + 12 )", "29", "text"),
    story("( ( 6 * 5 ) - 4 )", "26", "code"),
    story("( 50 - ( 8 * 4 ) )", "18", "text", "code"),
]


@given(st.lists(st.sampled_from(["Ann", "has", "apples", "3", "400", "401", "15000", "8.25", "007", "+", "=", "."])))
def test_what_is_known_comes_back_but_for_case(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert TOK.decode(TOK(text)["input_ids"]) == text.lower()


@given(WHOLE, WHOLE, WHOLE)
def test_solutions_come_back_with_their_lines(a: int, b: int, c: int) -> None:
    for solution in solutions(f"( ( {a} + {b} ) * {c} )", str((a + b) * c)).values():
        assert TOK.decode(TOK(solution)["input_ids"]) == solution.lower()


def test_whole_numbers_are_one_token_up_to_the_largest_and_digits_beyond() -> None:
    assert all(len(TOK(str(n))["input_ids"]) == 1 for n in range(word_tokenizer.NUMBERS + 1))
    assert TOK.tokenize("15000") == ["150", "##0", "##0"]


def test_a_word_seen_once_is_the_unknown_word() -> None:
    assert TOK.tokenize("Ann has zebras or apples") == ["ann", "has", "<|word|>", "<|word|>", "apples"]


@given(WHOLE, st.sampled_from("+-*/"), WHOLE, st.sampled_from("+-*/"), WHOLE, st.sampled_from(["text", "code"]))
@settings(max_examples=100, suppress_health_check=[HealthCheck.filter_too_much])
def test_with_other_numbers_the_equation_is_true(a: int, op: str, b: int, then: str, c: int, kept: str) -> None:
    operations: list[tuple[Fraction | int, str, Fraction | int]]
    operations = [(Fraction(a), op, Fraction(b)), (0, then, Fraction(c))]
    steps = work_out(operations)
    assume(steps)
    assert steps
    expression, answer = f"( ( {a} {op} {b} ) {then} {c} )", str(steps[-1].result)
    problem = story(expression, answer, kept)
    other = redrawn(problem, NUMBERS, random.Random(0))
    assume(other)
    assert other
    assert tuple(other.solutions) == (kept,)
    assert passed(other, kept, other.solutions[kept])
    assert all(s.result.denominator == 1 and 1 <= s.result <= MOST for s in steps_of(other))


def test_another_story_has_the_same_operations_and_its_own_numbers() -> None:
    other = redrawn(STORIES[2], NUMBERS, random.Random(3))
    assert other is not None
    assert [s.op for s in steps_of(other)] == ["*", "-"]
    in_question = {n for n in other.question.split() if n.isdigit()}
    assert in_question == {str(v) for s in steps_of(other) for v in (s.left, s.right) if isinstance(v, Fraction)}


def test_a_constant_that_is_not_in_the_question_stays() -> None:
    made = solutions("( 3 * 12 )", "36")
    other = redrawn(make_problem("How many are 3 dozen ?", "36", "x", solutions=made), range(4, 9), random.Random(0))
    assert other is not None
    assert other.solutions["code"].startswith(f"a = {other.question.split()[3]} * 12\n")


def test_a_text_whose_number_may_mean_two_things_is_not_drawn_anew() -> None:
    made = {"text": "2 + 3 = 5 .\n5 * 4 = 20 .\nThe answer is 20"}
    question = "2 and 3 pears in 4 of 5 boxes ?"
    assert redrawn(make_problem(question, "20", "x", solutions=made), NUMBERS, random.Random(0)) is None


def test_documents_are_the_same_each_time_and_of_every_kind() -> None:
    made = word_data.documents(STORIES, [], DRAWING, 0.8, 1)
    assert made == word_data.documents(STORIES, [], DRAWING, 0.8, 1)
    assert {kind: {d.kind for d in ds} for kind, ds in made.items()} == {k: {k} for k in made}


def test_a_problem_is_never_shown_solved_by_a_method_that_it_is_not_annotated_for() -> None:
    made = word_data.documents([STORIES[0]], [], DRAWING, 0.8, 1)
    assert all(d.prompt.endswith("\nText:\n") for d in made["solve"])
    assert made["pair"] == []


def test_facts_and_drilled_translations_are_true() -> None:
    made = word_data.documents(STORIES, [], DRAWING, 0.8, 1)
    for line in "\n".join(d.completion for d in made["facts"]).split("\n"):
        x, op, y, _, value, _ = line.split()
        assert work_out([(Fraction(x), op, Fraction(y))])[0].result == Fraction(value)  # type: ignore[index]
    for into_code, into_text in zip(made["translation"][::2], made["translation"][1::2], strict=True):
        answer = into_text.completion.rsplit(" ", 1)[1]
        assert passed(make_problem("?!", answer, "x"), "code", into_code.completion)


def test_drawn_questions_that_are_held_out_are_left_out() -> None:
    numbers_alone = word_data.Drawing(copies=30, as_it_is=0.0, words_dropped=0.0, drills=2, generated=0)
    free = word_data.documents([STORIES[0]], [], numbers_alone, 0.8, 0)["solve"]
    questions = [d.prompt.split("\n")[0].removeprefix("Question: ") for d in free[::2]]
    heldout = [make_problem(question, "7", "x") for question in questions]
    kept = word_data.documents([STORIES[0]], heldout, numbers_alone, 0.8, 0)["solve"]
    assert kept
    assert not {d.prompt for d in kept} & {d.prompt for d in free[::2]}


def test_held_out_problems_stop_the_build() -> None:
    with pytest.raises(SystemExit, match="held out, and yet to be trained on: Ann counts 17"):
        word_data.refuse_held_out(STORIES, [STORIES[0]])


def test_generated_problems_are_told_both_ways_and_are_of_the_training_split() -> None:
    made = word_data.generated(100, 0)
    assert {p.split for p in made} == {Split.TRAIN}
    assert all(passed(p, name, p.solutions[name]) for p in made for name in ("text", "code"))


def test_the_ceiling_is_trained_on_every_annotation_and_holds_out_the_same() -> None:
    words = pytest.importorskip("tools.words")
    problems = recipes.load("word-problems").problems
    every = words.with_all_annotations(problems)
    assert {s.part for s in every.annotated} == {"0-20", "20-40", "40-48", "48-85"}
    assert not any(s.annotated for s in every.annotated)
    assert (every.test, every.related) == (problems.test, problems.related)


def test_a_base_model_that_is_not_built_yet_is_named_with_the_command_that_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="make word-base"):
        model_folder(recipes.load("word-problems").model.base)


def test_the_recipe_says_which_variable_names_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMST_DATA", raising=False)
    with pytest.raises(ConfigError, match="MMST_DATA"):
        word_data.annotated_problems(recipes.load("word-problems").problems)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (DATA / "mawps-asdiv-a/train.csv").is_file():
        pytest.skip(NO_DATA)
    monkeypatch.setenv("MMST_DATA", str(DATA))


@pytest.mark.usefixtures("real")
def test_the_recipe_annotates_a_part_and_holds_out_enough() -> None:
    config = recipes.load("word-problems").problems
    annotated, heldout = word_data.annotated_problems(config), word_data.held_out(config)
    word_data.refuse_held_out(annotated, heldout)
    by_methods = [sum(tuple(p.solutions) == m for p in annotated) for m in (("code",), ("text",), ("code", "text"))]
    assert min(by_methods) > 120
    assert sum(by_methods) < 1100
    assert len(prepare.unique(prepare.read("test", config.test))) >= 500


@pytest.mark.usefixtures("real")
def test_a_recipe_that_trains_on_its_test_set_is_refused() -> None:
    data = recipes.override_all(recipes.read("word-problems"), ["problems.annotated.0.part=80-100"])
    with pytest.raises(LeakError):
        word_data.annotated_problems(parse(data).problems)


@pytest.mark.usefixtures("real")
def test_most_real_annotations_can_be_drawn_anew() -> None:
    annotated = word_data.annotated_problems(recipes.load("word-problems").problems)
    drawn = [redrawn(p, NUMBERS, random.Random(i)) for i, p in enumerate(annotated[:300])]
    assert sum(p is not None for p in drawn) > 270
