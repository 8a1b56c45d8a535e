"""Which equations of a text are false: nothing that is not plainly an equation, and nothing that is true."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.methods.soundness import false_equations
from mmst.methods.text import METHOD


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7 .",
        "She paid 2 * $12 = $24.",
        "3 x 4 = 12 and 3 × 4 = 12, 12 ÷ 4 = 3",
        "1,200 + 300 = 1,500.",
        "10 / 3 = 3.33",
        "7 / 2 = 3",
        "2 + 3 = 5 + 1 = 6",
        "3 * (2 + 1) = 9",
        "20% * 50 = 10, and 10 / 50 = 20%",
        "10 / 50 * 100 = 20%",
        "1/2 + 1/3 = 5/6",
        "x + 3 = 5",
        "2x + 3 = 7",
        "3 apples * 2 = 7",
        "From 10:30 - 2 = 8:30.",
        "half of 20 = 10",
        "2^3 = 8",
        "2**3 = 8",
        "2 1/2 + 1 = 3.5",
        "Step 2. 3 + 4 = 7",
        "- 3 + 4 = 1",
        "3 + 4 = 7x",
        "3 + 4 = 2 * 3.5",
        "5 - 2 = 3 / 1 kg",
        "1 / 0 = 7",
        "<<3*4=12>>12",
        "007 + 1 = 8",
        "3 + 4 = 7.",
        "(3 + 4) * 2 = 14",
        "page 7 = 8",
        "",
    ],
)
def test_what_is_true_or_no_equation_is_not_false(text: str) -> None:
    assert false_equations(text) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("47 - 20 = 29 .", "47 - 20 = 29"),
        ("So 3 * 4 = 13.", "3 * 4 = 13"),
        ("It costs $3 + $4 = $8", "$3 + $4 = $8"),
        ("1,200 + 300 = 1,400", "1,200 + 300 = 1,400"),
        ("10 / 3 = 3.5", "10 / 3 = 3.5"),
        ("3 * (2 + 1) = 7", "3 * (2 + 1) = 7"),
        ("<<3*4=13>>13", "3*4 = 13"),
        ("3 + 4 = 7 + 1 = 9", "7 + 1 = 9"),
        ("Tom has 2 x 6 = 11 pens", "2 x 6 = 11"),
    ],
)
def test_a_false_equation_is_found_as_it_is_written(text: str, found: str) -> None:
    assert false_equations(text) == (found,)


def test_an_equation_is_found_at_the_beginning_of_a_line() -> None:
    assert false_equations("First, add 3.\n3 + 4 = 8") == ("3 + 4 = 8",)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from("+-*"), st.integers(1, 99))
def test_a_result_is_true_exactly_when_it_is(a: int, b: int, op: str, off: int) -> None:
    result = {"+": a + b, "-": a - b, "*": a * b}[op]
    if result >= 0:
        assert false_equations(f"He has {a} {op} {b} = {result} of them.") == ()
        assert len(false_equations(f"He has {a} {op} {b} = {result + off} of them.")) == 1


@given(st.text(alphabet="0123456789+-*/=()x., $%\n", max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    false_equations(text)


@pytest.mark.parametrize("part", ["9", "9 ", "9,999,", "(", "1+", "x 1 ", "1=", "1 + 1 = 3 ", "1 + 1 = 3 a ", "$", "%"])
def test_the_longest_completion_is_read_at_once(part: str) -> None:
    began = time.process_time()
    false_equations(part * (400_000 // len(part)))
    assert time.process_time() - began < 20


def test_the_worked_examples_of_the_method_are_sound() -> None:
    assert [false_equations(solution) for _, solution in METHOD.shots] == [()] * len(METHOD.shots)
