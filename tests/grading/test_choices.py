"""Multiple choice and yes or no: which option an answer names, and that another one is never right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.grading import choice, compare

NUMBERS = {"A": "36", "B": "38", "C": "40"}
WORDS = {"A": "bank", "B": "library", "C": "department store", "D": "mall", "E": "none of these"}


@pytest.mark.parametrize(
    "answer",
    [
        "B", "b", "(B)", "(b)", "[B]", "B)", "B.", "B) 38", "B. 38", "(B) 38", "B: 38", "B - 38", "B 38", "B (38)",
        "B, 38", "option B", "Option (B)", "choice (b)", "the answer is B", "correct option: B", "**B**",
        r"\text{(B) } 38", r"\boxed{B}", "38", "38.0", "$38", "thirty-eight", "B, which is 38", "B because it fits",
    ],
)  # fmt: skip
def test_an_option_is_named_by_label_by_text_or_by_both(answer: str) -> None:
    assert compare("B", answer, options=NUMBERS).equal is True


@pytest.mark.parametrize("answer", ["bank", "a bank", "The bank.", "A bank", "(A) bank", "A, bank", "it is a bank"])
def test_an_article_is_no_label(answer: str) -> None:
    assert choice(WORDS, answer) == "A"
    assert choice({"A": "library", "B": "bank"}, answer) in (None, "B")


def test_words_behind_a_number_are_those_of_the_question() -> None:
    assert compare("B", "38 fizz", "How much fizz?", options=NUMBERS).equal is True


@pytest.mark.parametrize(
    "answer",
    [
        "A or B", "B or A", "A and B", "A, B", "(A) or (B)", "B/C", "38 or 40", "B) 40", "B, but 40", "not B", "B?",
        "B is wrong", "B because A is smaller", "B because 36 is too small", "C) 38", "maybe B or C",
        "B unless it rains", "B, which I rule out", "B this is ruled out", "B, as eliminated",
        "B since I eliminated it", "B which is the worst option", "B for I doubt it", "B, that is the least likely",
        "B, which fits", "B it fails",
    ],
)  # fmt: skip
def test_an_answer_that_names_more_than_one_or_takes_it_back_is_never_right(answer: str) -> None:
    assert compare("B", answer, options=NUMBERS).equal is None


@pytest.mark.parametrize("answer", ["A", "36", "(C)", "C) 40", "39", "D", "neither", "I do"])
def test_another_option_or_none_of_them_is_wrong(answer: str) -> None:
    assert compare("B", answer, options=NUMBERS).equal is False


@pytest.mark.parametrize("answer", ["at a bank", "bank building", "river bank", "store", "none"])
def test_an_option_in_other_words_is_not_decided(answer: str) -> None:
    assert [compare(gold, answer, options=WORDS).equal for gold in WORDS] == [None] * len(WORDS)


def test_a_label_that_is_also_the_text_of_another_option_is_not_decided() -> None:
    options = {"A": "B", "B": "C", "C": "A"}
    assert [compare(gold, "B", options=options).equal for gold in options] == [None] * 3
    assert compare("B", "(B) C", options=options).equal is True


def test_numbers_as_labels_are_not_taken_for_values() -> None:
    options = {"1": "2", "2": "3", "3": "7"}
    assert choice(options, "7") == "3"
    assert [choice(options, answer) for answer in ("2) 3", "(2)", "option 2) 3")] == ["2"] * 3
    assert [choice(options, answer) for answer in ("2", "2 apples")] == [None] * 2


def test_the_same_text_twice_is_not_decided() -> None:
    assert compare("A", "5", options={"A": "5", "B": "5"}).equal is None
    assert compare("A", "(A)", options={"A": "5", "B": "5"}).equal is True


def test_without_options_a_letter_is_what_it_was() -> None:
    assert compare("C", "C = 5").how != "choice"
    assert compare("C", "c^2/c").how != "choice"
    assert compare("C", "38").equal is False


LABELS = st.integers(2, 6).map(lambda n: [chr(ord("A") + i) for i in range(n)])
TEXTS = st.lists(st.integers(-99, 9999), min_size=6, max_size=6, unique=True)
FORMS = ["{l}", "({l})", "{l}) {t}", "{l}. {t}", "({l}) {t}", "option {l}", "**{l}**", "{t}", "{l}: {t}"]


@given(LABELS, TEXTS, st.data())
def test_brackets_and_case_change_no_verdict_and_another_option_is_never_right(
    labels: list[str], texts: list[int], data: st.DataObject
) -> None:
    options = {label: str(text) for label, text in zip(labels, texts, strict=False)}
    gold, named = data.draw(st.sampled_from(labels)), data.draw(st.sampled_from(labels))
    answer = data.draw(st.sampled_from(FORMS)).format(l=named, t=options[named])
    for written in (answer, answer.lower(), f" {answer}. "):
        assert compare(gold, written, options=options).equal is (gold == named)


@given(LABELS, TEXTS, st.data())
def test_the_order_of_options_changes_no_verdict(labels: list[str], texts: list[int], data: st.DataObject) -> None:
    options = {label: str(text) for label, text in zip(labels, texts, strict=False)}
    turned = dict(data.draw(st.permutations(list(options.items()))))
    answer = data.draw(st.text("ABCDEF ()0123456789.,or", max_size=12))
    assert choice(options, answer) == choice(turned, answer)


@given(LABELS, TEXTS, st.data())
def test_two_options_in_one_answer_are_never_right(labels: list[str], texts: list[int], data: st.DataObject) -> None:
    options = {label: str(text) for label, text in zip(labels, texts, strict=False)}
    one, two = data.draw(st.lists(st.sampled_from(labels), min_size=2, max_size=2, unique=True))
    joint = data.draw(st.sampled_from([" or ", " and ", ", ", " / ", " ", "; ", ") "]))
    for first in (one, options[one], f"({one})"):
        for second in (two, options[two], f"({two})"):
            both = f"{first}{joint}{second}"
            if both != f"{options[one]} / {options[two]}":  # 0 / 1 is a number
                assert [compare(gold, both, options=options).equal is True for gold in (one, two)] == [False] * 2


@given(st.sampled_from(sorted(WORDS)), st.text(max_size=40))
def test_no_answer_raises_and_only_one_option_is_right(gold: str, answer: str) -> None:
    right = [label for label in WORDS if compare(label, answer, options=WORDS).equal]
    assert len(right) <= 1


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("yes", "Yes"), ("yes", "YES."), ("yes", "yes!"), ("yes", "**Yes**"), ("yes", "True"), ("no", "False"),
        ("yes", "[yes]"), ("true", "yes"), ("yes", "yes, because he can"), ("yes", "yes because he can"),
        ("yes", "Yes - he can"), ("no", "no (they cannot)"), ("yes", "yes it is"), ("yes", "definitely yes"),
        ("yes", "the answer is yes"), ("no", "No, it does not"), ("no", "no since they cannot swim"),
    ],
)  # fmt: skip
def test_yes_and_no_may_be_explained(gold: str, answer: str) -> None:
    assert compare(gold, answer).equal is True
    assert compare({"yes": "no", "no": "yes", "true": "false"}[gold], answer).equal is False


@pytest.mark.parametrize(
    "answer",
    ["yes or no", "yes and no", "yes/no", "Yes, but only sometimes", "yes, 5", "no one", "No. 5", "yes because no",
     "not yes", "yes if he can", "", "y", "yesterday"],
)  # fmt: skip
def test_what_is_not_plainly_yes_or_no_is_neither(answer: str) -> None:
    assert compare("yes", answer).equal is not True
    assert compare("no", answer).equal is not True
