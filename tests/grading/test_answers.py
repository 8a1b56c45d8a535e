"""When two answers are the same."""

import time
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmst.grading import compare, equal, normalise, number, read, settle, written
from mmst.grading.parse import parse
from tests.support.grading_cases import OTHER, SAME
from tests.support.grading_kinds import OTHER_BY_KIND, SAME_BY_KIND, UNDECIDED_BY_KIND, rows

NUMBERS = st.fractions(max_denominator=10**6).filter(lambda f: abs(f) < 10**12)
DECIMALS = st.decimals(-(10**9), 10**9, places=3).map(str)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("1234.5", "1,234.50"), ("3", "$3"), ("-3", "$-3"), ("-3", "-$3"), ("25", "25%"), ("7", "7 apples."),
        ("0.5", "1/2"), ("1.5", "1 1/2"), ("-4", "−4"), ("1500", "1.5e3"), ("16", "016"), ("7", "7.0"), ("7", "7 ."),
        ("7", "Seven"), ("25", "twenty-five"), ("21", "twenty one dollars"), ("7", r"\boxed{7}"), ("7", "**7**"),
        (r"\frac{1}{2}", "1/2"), (r"\dfrac12", "0.5"), (r"1\frac{1}{2}", "3/2"), ("9 (apples)", "9"), ("0.5", "½"),
        ("7", "x = 7"), ("7", "$7$"), (r"\$7", "7 dollars"), ("60", "60 km/h"), ("7", "7 cm^2"), ("Yes", "yes."),
        ("7", "7.000000000000001"), ("0.3", "0.30000000000000004"), (r"x^2 + 1", "x^2+1"), ("5 hours", "5 hour"),
        ("90^\\circ", "90 degrees"), ("12,345,678", "12345678"), ("1/3", "0.33333333"),
    ],
)  # fmt: skip
def test_usual_ways_of_writing_an_answer_are_equal(gold: str, answer: str) -> None:
    assert equal(gold, answer)
    assert equal(answer, gold)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("7", "8"), ("7", "7 3"), ("0.25", "26%"), ("5 hours", "5 minutes"), ("5 pm", "5 am"), ("1/3", "0.333"),
        ("123", "1,23"), ("70000000", "70000001"), ("1e999999999", "1"), ("1/0", "1"), ("22", "2²"),
        ("7", ""), ("10", "1 0"), ("3", "3.0001"), ("387420488", "9**9"), ("yes", "no"), ("10:30", "10"),
    ],
)  # fmt: skip
def test_other_answers_are_not(gold: str, answer: str) -> None:
    assert not equal(gold, answer)
    assert not equal(answer, gold)


@pytest.mark.parametrize(("gold", "answer", "reason"), SAME)
def test_answers_that_are_written_otherwise_are_the_same(gold: str, answer: str, reason: str) -> None:
    assert compare(gold, answer).equal is True, reason


@pytest.mark.parametrize(("gold", "answer", "reason"), OTHER)
def test_hard_negatives_are_never_accepted(gold: str, answer: str, reason: str) -> None:
    assert compare(gold, answer).equal is not True, reason
    if "percent" not in reason:
        assert compare(answer, gold).equal is not True, reason


@pytest.mark.parametrize(("gold", "answer", "kind"), rows(SAME_BY_KIND))
def test_the_same_by_kind(gold: str, answer: str, kind: str) -> None:
    assert compare(gold, answer).equal is True, kind
    assert compare(answer, gold).equal is True, kind


@pytest.mark.parametrize(("gold", "answer", "kind"), rows(OTHER_BY_KIND))
def test_different_by_kind(gold: str, answer: str, kind: str) -> None:
    assert compare(gold, answer).equal is False, kind
    assert compare(answer, gold).equal is False, kind


@pytest.mark.parametrize(("gold", "answer", "kind"), rows(UNDECIDED_BY_KIND))
def test_what_is_in_doubt_is_undecided(gold: str, answer: str, kind: str) -> None:
    assert compare(gold, answer).equal is None, kind
    assert compare(answer, gold).equal is None, kind


MATRIX = r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"


@pytest.mark.parametrize(
    ("gold", "printed", "expected"),
    [
        (MATRIX, "array([[1, 2],\n       [3, 4]])", True),
        (MATRIX, "[[1 2]\n [3 4]]", True),
        (MATRIX, "[[1. 2.]\n [3. 4.]]", True),
        (MATRIX, "Matrix([\n[1, 2],\n[3, 4]])", True),
        (MATRIX, "[[1 3]\n [2 4]]", False),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "[[1]\n [2]]", True),
        ("1, 2, 3", "[1. 2. 3.]", True),
        ("1, 2, 3", "[1. 2. 4.]", False),
    ],
)
def test_arrays_are_read_over_several_lines(gold: str, printed: str, expected: bool) -> None:
    assert compare(gold, printed).equal is expected


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("7 more", "How many more apples has Ann?", True),
        ("7 more apples", "How many more apples has Ann?", True),
        ("7 fewer", "How many more apples has Ann?", False),
        ("7 more", "How many apples has Ann?", False),
        ("7 fizz", "How much fizz is in the can?", True),
        ("7 fizz", "", False),
        ("7 bananas", "How many apples are left?", False),
        ("7 apples", "How many apples are left?", True),
        ("7 red apples", "How many red and green apples are left?", True),
        ("7 minutes", "How long does it take?", True),
        ("7 less", "How much more or less is it?", False),
        ("7 dozen", "How many dozen are there?", False),
    ],
)
def test_with_a_question_a_unit_is_known_or_named_there(answer: str, question: str, expected: bool) -> None:
    assert equal("7", answer, question) is expected


def test_the_gold_answers_own_words_count_as_named() -> None:
    assert equal("7 pears", "7 pears", "How many fruits?")
    assert equal("7 ripe pears", "7 pears", "How many fruits?")
    assert not equal("7 ripe pears", "7 plums", "How many fruits?")


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(0, 3))
def test_a_sum_of_money_equals_no_other(cents: int, gap: int, zeros: int) -> None:
    one, other = f"{cents / 100:.2f}", f"{(cents + gap) / 100:.2f}"
    assert not equal(one, other + "0" * zeros)
    assert equal(one, one + "0" * zeros)


@given(st.integers(2, 10**6), st.integers(2, 10**6), st.integers(-20, 8))
def test_what_python_calculates_is_the_quotient_and_its_neighbour_is_not(top: int, bottom: int, power: int) -> None:
    value = Fraction(top, bottom) * Fraction(10) ** power
    assert equal(f"{value.numerator}/{value.denominator}", repr(float(value)))
    assert not equal(f"{value.numerator}/{value.denominator}", repr(float(value) * (1 + 2e-6)))


@given(st.fractions(-50, 50, max_denominator=99))
def test_a_repeating_decimal_is_its_fraction(value: Fraction) -> None:
    whole, rest, digits, seen = (
        abs(value.numerator) // value.denominator,
        abs(value.numerator) % value.denominator,
        "",
        [],
    )
    while rest and rest not in seen:
        seen.append(rest)
        digits, rest = digits + str(rest * 10 // value.denominator), rest * 10 % value.denominator
    fixed, period = (digits[: seen.index(rest)], digits[seen.index(rest) :]) if rest else (digits, "")
    line = rf"\overline{{{period}}}" if period else ""
    written_out = f"{'-' if value < 0 else ''}{whole}.{fixed or ('' if period else '0')}{line}"
    assert equal(str(value), written_out)
    assert not equal(str(value + 1), written_out)


COUNTS = st.integers(1, 99)
MULTIPLIERS = st.sampled_from(
    [(" dozen", 12), (" tenths", Fraction(1, 10)), ("k", 1000), ("M", 10**6), (" lakh", 10**5), (" crore", 10**7),
     (" below zero", -1), (" hundredths", Fraction(1, 100)), (" twelfths", Fraction(1, 12)), (" bn", 10**9)]
)  # fmt: skip


@given(COUNTS, MULTIPLIERS)
def test_a_word_that_multiplies_does_so_and_is_no_unit(count: int, word: tuple[str, Fraction | int]) -> None:
    assert equal(str(count * word[1]), f"{count}{word[0]}")
    assert not equal(str(count), f"{count}{word[0]}")


@given(st.integers(0, 10**12 - 1))
def test_a_number_in_words_is_read_as_it_is_spoken(value: int) -> None:
    assert equal(str(value), spoken(value))
    assert equal(str(-value), f"minus {spoken(value)}")
    assert not equal(str(value + 1), spoken(value))


@pytest.mark.parametrize("answer", ["(A) or (B)", "A or B", "(A), (B)", "(A) not", "(A) is wrong.", "(A)?"])
def test_a_choice_that_is_hedged_or_taken_back_is_none(answer: str) -> None:
    assert compare("A", answer).equal is False


@pytest.mark.parametrize(
    "answer", ["A. Not enough light", "(A) and a half", "A: because B is wrong", "(A) or so", "A) 12"]
)
def test_what_stands_behind_a_choice_explains_it(answer: str) -> None:
    assert compare("A", answer).equal


def spoken(value: int) -> str:
    """A whole number in English."""
    ones = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    if value < 20:
        return ones[value]
    if value < 100:
        return tens[value // 10 - 2] + (f"-{ones[value % 10]}" if value % 10 else "")
    for size, name in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if value >= size:
            rest = value % size
            joint = " and " if 0 < rest < 100 else " "
            return f"{spoken(value // size)} {name}" + (joint + spoken(rest) if rest else "")
    raise AssertionError


PRINTED = st.recursive(
    st.one_of(st.integers(-99, 99), st.fractions(-9, 9, max_denominator=9), st.floats(-9, 9)),
    lambda inner: st.lists(inner, min_size=1, max_size=3),
    max_leaves=6,
)


@given(PRINTED, PRINTED)
def test_what_python_prints_equals_itself_and_is_compared_both_ways_alike(a: object, b: object) -> None:
    assert equal(str(a), str(a))
    assert equal(repr(a), repr(a))
    assert compare(repr(a), repr(b)).equal == compare(repr(b), repr(a)).equal


WORDS = st.lists(
    st.sampled_from(
        "3 0.5 2/3 one two half third thirds tenths dozen a and minus negative below zero degrees about the year 1990 "
        "km / per hour miles dollars $ % 12:30 2:5 pm yes no Yes, true but x= y= f(2)= ( ) [ ] { } , j 4j Fraction( "
        r"array( \overline{ 0. } _{16} 2A \over M k bn people apples left squared sq".split()
    ),
    max_size=8,
).map(" ".join)


@given(WORDS, WORDS)
def test_answers_in_words_are_compared_both_ways_alike(a: str, b: str) -> None:
    assert compare(a, a).equal is True
    if "%" not in a + b:
        assert compare(a, b).equal == compare(b, a).equal
    assert normalise(normalise(a)) == normalise(a)


@pytest.mark.parametrize(
    ("gold", "answer"), [("x^2=4", r"x=\pm 2"), ("x^2<4", "-2<x<2"), (r"\int_0^1 x^2 dx", "1/3"), ("7", "7/0")]
)
def test_what_takes_algebra_is_undecided(gold: str, answer: str) -> None:
    assert compare(gold, answer) == (None, "undecided")


def test_algebra_is_asked_about_the_undecided_alone_and_what_it_leaves_open_stays_so() -> None:
    asked: list[tuple[str, str]] = []

    def decide(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        asked.extend(pairs)
        return [True, None]

    pairs = [("7", "7.0"), ("x^2=4", r"\pm 2"), ("7", "8"), ("x^2=9", r"\pm 3")]
    assert [tuple(c) for c in settle(pairs, decide)] == [
        (True, "number"), (True, "algebra"), (False, "number"), (None, "undecided"),
    ]  # fmt: skip
    assert asked == [pairs[1], pairs[3]]


@pytest.mark.parametrize(
    ("gold", "answer", "how"),
    [
        ("7", "7", "exact"),
        ("7", "7.0", "number"),
        ("odd", "Odd.", "text"),
        ("B", "(b)", "form"),
        ("x", "x+0", "formula"),
    ],
)
def test_a_comparison_names_the_rule_that_decided(gold: str, answer: str, how: str) -> None:
    assert compare(gold, answer) == (True, how)


LATEX = st.lists(
    st.sampled_from(
        r"\frac { } \sqrt [ ] ( ) \{ \} ^ _ + - * / = < > , ; : | ! % $ 1 2 10 0.5 x y e i \pi \pm \cup \in \le "
        r"\begin{pmatrix} & \\ \end{pmatrix} \sum_{k=1}^ \log \sin f( and or \infty \boxed{ ^\circ 9**9".split()
    ),
    max_size=25,
).map(" ".join)


@given(LATEX, LATEX)
@example(r"\frac 1e9 2", r"\frac 1e9 2")
def test_formulas_of_any_kind_are_compared_and_both_ways_alike(a: str, b: str) -> None:
    assert compare(a, a).equal is True
    if "%" not in a + b:
        assert compare(a, b).equal == compare(b, a).equal


@given(st.recursive(
    st.one_of(st.integers(0, 99).map(str), st.sampled_from(["x", "y"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: rf"\frac{{{p[0]}}}{{({p[1]})^2+1}}"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}) - ({p[1]})"),
        inner.map(lambda p: rf"\left|{p}\right|" if "|" not in p else p),
    ),
    max_leaves=8,
))  # fmt: skip
def test_a_formula_equals_itself_plus_nothing_and_not_itself_plus_one(formula: str) -> None:
    assert read(formula) is not None
    assert compare(formula, f"0 + ({formula}) \\cdot 1").equal is True
    assert compare(formula, f"({formula}) + 1").equal is False


def test_how_deep_a_formula_may_nest_does_not_depend_on_who_asks() -> None:
    def below(n: int) -> object:
        return below(n - 1) if n else parse("(" * 25 + "x" + ")" * 25)

    assert below(0) == below(300) is not None
    assert parse("(" * 60 + "x" + ")" * 60) is None


def test_only_a_gold_percentage_allows_the_fraction_that_it_is() -> None:
    assert equal("25%", "1/4")
    assert equal("25%", "0.25")
    assert equal("25%", "25")
    assert not equal("0.25", "25%")
    assert not equal("1/4", "25%")


@given(st.text(), st.text())
@example("9" * 400 + "e300", "\\boxed{" * 300)
@example("٣", "3")
@example("-" * 999, "1/" * 400)
def test_any_text_is_compared_and_both_ways_alike(a: str, b: str) -> None:
    assert equal(a, b) == equal(b, a)
    assert equal(a, a)


@given(st.text(alphabet="0123456789.,/-+ eE$%\\{}fracboxed^()*", max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.fractions(-1000, 1000, max_denominator=500), st.integers(0, 2))
def test_a_value_with_its_rounding_is_both_and_no_other(value: Fraction, digits: int) -> None:
    rounded, other = f"{float(value):.{digits}f}", f"{float(value) + 2 / 10**digits:.{digits}f}"
    answer = f"{value} ≈ {rounded}"
    assert equal(str(value), answer)
    assert equal(rounded, answer)
    assert equal(answer, f"x = {answer}")
    assert not equal(other, answer)
    assert not equal(other, f"{value} ≈ {other}") or (digits and other.endswith("0"))  # 0.10 counts as 0.1


@given(NUMBERS)
def test_a_fraction_written_out_is_read_back(value: Fraction) -> None:
    found = number(written(value))
    assert found is not None
    assert found.value == value


@given(DECIMALS, st.sampled_from(["{}", " {} ", "{}.", "${}", "{} apples", "\\boxed{{{}}}", "**{}**", "+{}", "= {}"]))
def test_dress_does_not_change_a_number(value: str, dress: str) -> None:
    if dress == "+{}" and value.startswith("-"):
        value = value[1:]
    assert equal(value, dress.format(value))
    assert normalise(dress.format(value)) == normalise(value)


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_different_integers_are_different(a: int, gap: int) -> None:
    assert not equal(str(a), str(a + gap))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_what_python_prints_for_a_float_equals_it(value: float) -> None:
    assert equal(repr(value), f"{value:.17g}")


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10_000_000,
        "9**9**9**9",
        "1e" + "9" * 900,
        "\\frac{" * 200,
        " " * 900 + "x",
        "a " * 450,
        "1 / " * 200,
        "(" * 999,
        "7" + " ab" * 300 + "!",
        "7" + "a" * 900 + "!",
        "$" * 990,
        "{" * 10_000_000,
        r"\sqrt{" * 140 + "7" + "}" * 140,
        "^".join("9" * 300),
        r"\sum_{a=1}^{2000}" * 8 + "a",
        r"\def\a{\b\b}\def\b{\c\c}\a" * 20,
        "3000!" * 150,
        "(" + "x+" * 400 + "1)^{3000}",
        "1,2," * 200,
        r"\log_2" * 25 + " x",
        r"\log_2" * 100 + " 5",
    ],
    ids=range(21),
)
def test_hostile_answers_take_no_time(text: str) -> None:
    started = time.process_time()
    assert not equal("7", text)
    normalise(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\sum_{k=1}^{999}k^x", r"\sum_{k=1}^{999}k^y"),
        (r"\log_{999!} 999!x", r"\log_{999!} 999!y"),
        ("3000!999!/7", "3000!999!/9"),
        (r"\sin(x^{99})", r"\cos(x^{99})"),
        (r"\sqrt[7]{x^y}", r"\sqrt[7]{y^x}"),
    ],
)
def test_long_lists_of_costly_formulas_take_little_time(one: str, other: str) -> None:
    started = time.process_time()
    assert not equal(", ".join(f"{one}+{i}" for i in range(40)), ", ".join(f"{other}-{i}" for i in range(40)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("f(10^{9999})", "f(10^{9998})"),
        ("f(3000!)", "f(2999!)"),
        ("x 10^{9999} + f(3000!)", "f(3000!) + x 10^{9998}"),
        ("x_{1e9999}", "x_{1e9998}"),
        ("1e9999_8", "1e9998_8"),
    ],
)
def test_numbers_that_python_does_not_write_raise_nothing(one: str, other: str) -> None:
    assert compare(one, other).equal is not True
    assert compare(one, one).equal is True
