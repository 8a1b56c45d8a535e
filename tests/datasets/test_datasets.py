"""Problems: identity, splits, importers, and refusals that name file, line, field and remedy."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import Source
from mmst.core.errors import ConfigError, DataError, UserError
from mmst.core.records import Problem, Split
from mmst.datasets import describe, export, import_file, load, make_problem, problem_id, split_of
from mmst.datasets.boxes import answer_in_boxes, boxed
from mmst.datasets.equations import Unusable, infix, prefix, solutions
from mmst.datasets.importing import Imported, Repeats
from mmst.datasets.near import NearIndex, grams
from mmst.grading import equal
from mmst.methods import method
from mmst.stages.content import Content
from tests.support.data import DATA, NO_DATA

WORDS = st.lists(
    st.sampled_from(["Ann", "Bo", "has", "gives", "3", "17", "4.5", "apples", "how", "many", "left"]),
    min_size=3,
    max_size=12,
)

ASDIV = """<?xml version="1.0" encoding="UTF-8"?>
<Machine-Reading-Corpus-File><ProblemSet>
<Problem ID="nluds-0001" Grade="1" Source="http://example.org">
  <Body>Seven red apples and two green apples are in the basket.</Body>
  <Question>How many apples are in the basket?</Question>
  <Solution-Type>Addition</Solution-Type><Answer>9 (apples)</Answer><Formula>7+2=9</Formula>
</Problem>
<Problem ID="nluds-0002" Grade="2" Source="http://example.org">
  <Body>Ann has 5 pens and 6 pencils.</Body><Question>How many of each are there?</Question>
  <Solution-Type>Set</Solution-Type><Answer>5 (pens); 6 (pencils)</Answer><Formula>a=5;b=6</Formula>
</Problem></ProblemSet></Machine-Reading-Corpus-File>"""
GSM8K = {"question": "Ann bakes 3 rows of 8 buns. She eats 2. How many are left?",
         "answer": "She bakes 3*8=<<3*8=24>>24 buns.\n\nShe has 24-2=<<24-2=22>>22 left.\n#### 22"}  # fmt: skip
SVAMP = [{"ID": "chal-1", "Body": "Each pack costs 76 dollars.", "Question": "What is it at 25 off?",
          "Equation": "( 76.0 - 25.0 )", "Answer": 51.0, "Type": "Subtraction"}]  # fmt: skip
MAWPS: list[dict[str, Any]] = [
    {"iIndex": 1, "sQuestion": "Joan had 70 shells and gave 43 away. How many has she?",
     "lEquations": ["X=(70.0-43.0)"], "lSolutions": [27.0]},
    {"id": "2", "original_text": "Tom has 4 cats and 5 dogs . How many pets ?", "equation": "x=4+5", "ans": "9"},
]  # fmt: skip
CSV = (
    "Question,Numbers,Equation,Answer\n"
    '"Mary has number0 cups , gives number1 away . How many has she ?",8.0 2.0,- number0 number1,6\n'
)
MATH = {"problem": "What is $\\frac12+\\frac13$?", "solution": "It is\n\n$\\boxed{\\frac{5}{6}}$.", "level": "Level 1",
        "type": "Prealgebra"}  # fmt: skip
PUBLISHED = {
    "gsm8k": (json.dumps(GSM8K), 1),
    "svamp": (json.dumps(SVAMP), 1),
    "asdiv": (ASDIV, 2),
    "mawps": (json.dumps(MAWPS), 2),
    "mawps-csv": (CSV, 1),
    "math": (json.dumps(MATH), 1),
    "jsonl": ('{"question": "What is 3 + 4?", "answer": 7}\n', 1),
}


def imported(tmp_path: Path, format: str, text: str) -> list[Problem]:
    path = tmp_path / "problems"
    path.write_text(text, encoding="utf-8")
    return import_file(format, path)


UNANSWERED = {
    "gsm8k": json.dumps({"question": GSM8K["question"]}),
    "svamp": json.dumps([{name: value for name, value in SVAMP[0].items() if name != "Answer"}]),
    "asdiv": ASDIV.replace("<Answer>9 (apples)</Answer>", "").replace("<Answer>5 (pens); 6 (pencils)</Answer>", ""),
    "mawps": json.dumps(MAWPS).replace('"lSolutions": [27.0]', '"lSolutions": null').replace('"ans": "9"', '"ans": ""'),
    "mawps-csv": CSV.replace(",6\n", ",\n"),
    "math": json.dumps({name: value for name, value in MATH.items() if name != "solution"}),
    "jsonl": '{"question": "What is 3 + 4?", "answer": null}\n',
}


@pytest.mark.parametrize("format", UNANSWERED)
def test_every_format_may_lack_its_answers_where_unlabelled_problems_are_read(tmp_path: Path, format: str) -> None:
    path = tmp_path / "problems"
    path.write_text(UNANSWERED[format], encoding="utf-8")
    found = list(load(Source(format=format, path=str(path)), unlabelled=True))
    assert [p.answer for p in found] == [""] * PUBLISHED[format][1]
    with pytest.raises(DataError):
        list(load(Source(format=format, path=str(path))))


OPTIONS = {"A": "36", "B": "38"}
CHOICES = [{"label": label, "text": text} for label, text in OPTIONS.items()]
ANSWERS: dict[str, tuple[Callable[[Any], str], list[Any]]] = {
    "gsm8k": (lambda a: json.dumps({"question": "Q?", "answer": a}), ["so 3\n#### 3", None, "so 3"]),
    "svamp": (lambda a: json.dumps([SVAMP[0] | {"Answer": a}]), [51.0, None, [51.0]]),
    "asdiv": (lambda a: ASDIV.replace("9 (apples)", str(a)), ["9 (apples)", "", "(apples)"]),
    "mawps": (lambda a: json.dumps([MAWPS[0] | {"lSolutions": a}]), [[27.0], None, 27.0, [None]]),
    "mawps-csv": (lambda a: CSV.replace(",6\n", f",{a}\n"), ["6", "", "six"]),
    "math": (lambda a: json.dumps(MATH | {"solution": a}), [r"\boxed{7}", None, "It is 7."]),
    "jsonl": (lambda a: json.dumps({"question": "Q?", "options": OPTIONS, "answer": a}), ["B", None, "", "42", {}]),
    "mathqa": (
        lambda a: json.dumps({"Problem": "P?", "options": "a ) 24 , b ) 120", "correct": a, "Rationale": "r"}),
        ["a", None, "e"],
    ),
    "commonsenseqa": (
        lambda a: json.dumps({"answerKey": a, "question": {"stem": "Where?", "choices": CHOICES}}),
        ["A", None, "Z"],
    ),
    "strategyqa": (lambda a: json.dumps([{"question": "Is it?", "answer": a, "facts": ["So."]}]), [True, None, "hm"]),
}
"""A file of each format with any answer: one that can be read, none, and some that can't."""


@pytest.mark.parametrize("format", ANSWERS)
def test_unlabelled_problems_are_the_same_whatever_their_answer_is(tmp_path: Path, format: str) -> None:
    written, answers = ANSWERS[format]
    path, found = tmp_path / "problems", set[str]()
    for answer in answers:
        path.write_text(written(answer), encoding="utf-8")
        found.add(Content.of_questions(Source(format=format, path=str(path))).sha256)
    assert len(found) == 1


@pytest.mark.parametrize("format", PUBLISHED)
def test_every_published_format_is_read(tmp_path: Path, format: str) -> None:
    text, count = PUBLISHED[format]
    problems = imported(tmp_path, format, text)
    assert len(problems) == count
    assert all(p.source == format and p.id == problem_id(p.question) for p in problems)


@pytest.mark.parametrize("format", PUBLISHED)
def test_a_file_that_breaks_off_is_refused_whole(tmp_path: Path, format: str) -> None:
    text, _ = PUBLISHED[format]
    with pytest.raises(DataError, match="problems"):
        imported(tmp_path, format, text.rstrip()[: -len(text) // 4])


@pytest.mark.parametrize("format", PUBLISHED)
@pytest.mark.parametrize("text", ["", "\n\n", "null", "[1, 2]", "\x00\x01", '{"a": 1}', "[" * 5000])
def test_what_is_no_problem_file_is_refused(tmp_path: Path, format: str, text: str) -> None:
    with pytest.raises(DataError):
        imported(tmp_path, format, text)


def test_gsm8k_gives_a_text_and_a_program(tmp_path: Path) -> None:
    (p,) = imported(tmp_path, "gsm8k", json.dumps(GSM8K))
    assert p.answer == "22"
    assert p.solutions["text"] == "She bakes 3*8=24 buns.\nShe has 24-2=22 left.\nThe answer is 22"
    assert p.solutions["code"] == "a = 3 * 8\nb = a - 2\nprint ( b )"


def test_equations_become_solutions_in_both_methods(tmp_path: Path) -> None:
    (p,) = imported(tmp_path, "svamp", json.dumps(SVAMP))
    assert p.solutions == {"code": "a = 76 - 25\nprint ( a )", "text": "76 - 25 = 51 .\nThe answer is 51"}


def test_units_leave_the_gold_answer_and_several_answers_stay(tmp_path: Path) -> None:
    assert [p.answer for p in imported(tmp_path, "asdiv", ASDIV)] == ["9", "5; 6"]


def test_numbers_are_put_back_into_the_question(tmp_path: Path) -> None:
    (p,) = imported(tmp_path, "mawps-csv", CSV)
    assert p.question == "Mary has 8 cups , gives 2 away . How many has she ?"
    assert p.id == problem_id("Mary has 8 cups, gives 2 away. How many has she?")


def test_a_family_is_the_type_where_there_is_one_else_the_operators(tmp_path: Path) -> None:
    row = '"Mary has number0 cups , gives number1 away , gets number0 . How many ?",8.0 -2.0,'
    (p,) = imported(tmp_path, "mawps-csv", f"Question,Numbers,Equation,Answer\n{row}+ - number0 -2 number0,18\n")
    assert p.family == "+ -"
    (p,) = imported(tmp_path, "mawps-csv", f"Question,Numbers,Equation,Answer,Type\n{row}+ number0 number1,6,Sum\n")
    assert p.family == "Sum"


def test_math_takes_the_boxed_answer(tmp_path: Path) -> None:
    (p,) = imported(tmp_path, "math", json.dumps(MATH))
    assert p.answer == r"\frac{5}{6}"
    assert "\n\n" not in p.solutions["text"]


BOXES = [
    (r"$\boxed{7}$", "7"), (r"$\boxed 2$", "2"), (r"\boxed 2", "2"), (r"$\boxed2$", "2"), (r"\boxed 23.", "23"),
    (r"so \boxed 5 apples", "5"), (r"$\boxed\frac12$", r"\frac12"), (r"$\boxed\frac{1}2$.", r"\frac{1}2"),
    (r"\boxed\dfrac{3}{4} of it", r"\dfrac{3}{4}"), (r"$\boxed\pi$", r"\pi"), (r"$\boxed \sqrt2$", r"\sqrt2"),
    (r"\boxed\sqrt[3]{2}", r"\sqrt[3]{2}"), (r"$\boxed -3$", "-3"), (r"$\boxed 2\sqrt3$", r"2\sqrt3"),
    (r"$\boxed .5$", ".5"), (r"$\boxed 1,234$", "1,234"), (r"$\boxed 2 + 3 = 5$", "2"),
    (r"\boxed\text{yes} it is", r"\text{yes}"), (r"$\boxed\text{(A)}$", r"\text{(A)}"), (r"\[\boxed 12\]", "12"),
    (r"\(\boxed x\)", "x"), (r"$$\boxed 12.5$$", "12.5"), (r"\begin{align}\boxed 3 &= x\end{align}", "3"),
    (r"\boxed\left(3,\frac\pi2\right)", r"\left(3,\frac\pi2\right)"), (r"\boxed {7}", "7"), ("\\boxed\n{7}", "7"),
    (r"\fbox{7}", "7"), (r"\boxed{\boxed{7}}", "7"), (r"$\boxed\$18$", r"\$18"), (r"\boxed{x}^2", "x"),
    (r"\boxed{\{1,2\}}", r"\{1,2\}"), (r"\boxed{\left\{1\right.}", r"\left\{1\right."),
    (r"The solutions are $\boxed{3}$ and $\boxed{-3}$.", "3, -3"), (r"\boxed{3}, \boxed{-3}", "3, -3"),
    (r"Case 1 gives $x=\boxed{3}$. Case 2 gives $x=\boxed{-3}$.", "3, -3"), (r"$\boxed 1, \boxed 2$", "1, 2"),
    (r"$\boxed\frac12$ or $\boxed\frac13$", r"\frac12, \frac13"), (r"\boxed{x=3} and \boxed{y=2}", "x=3, y=2"),
    (r"\boxed{5}. Or: \boxed{5}", "5"), (r"\boxed{} \boxed{4}", "4"), (r"\boxed{1}, \boxed{2}, \boxed{3}", "1, 2, 3"),
    (r"First $\boxed{5}$. So the answer is $\boxed{7}$.", "7"), (r"$\boxed{5}$. Final answer: \boxed{7}", "7"),
    (r"The answers are $\boxed{3}$ and $\boxed{-3}$.", "3, -3"), (r"\boxed{7", ""), (r"\boxed", ""),
    (r"\boxedx{3}", ""), ("boxed{3}", ""), (r"$\boxed$", ""), (r"\boxed{4} \boxed{5", "4"), (r"\boxed{}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("solution", "answer"), BOXES)
def test_what_a_solution_boxes_is_its_answer(solution: str, answer: str) -> None:
    assert answer_in_boxes(solution) == answer


PIECES = st.sampled_from(
    [r"\boxed", "{", "}", "$", " ", "1", "a", ".", "\n", r"\frac", r"\(", r"\)", "[", "]", "\\", "-"]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_boxes_stand_in_order_within_the_text(text: str) -> None:
    ends = [at for box in boxed(text) for at in (box.start, box.end)]
    assert ends == sorted(ends)
    assert all(box.content in text for box in boxed(text))


def test_boxes_are_found_in_bounded_time() -> None:
    started = time.process_time()
    answer_in_boxes("\\boxed{" * 2_000 + "$\\boxed 2$ " * 2_000)
    assert time.process_time() - started < 20


def repeats(*pairs: tuple[str, str]) -> Repeats:
    seen = Repeats()
    for number, (question, answer) in enumerate(pairs, 1):
        seen.first(Imported(make_problem(question, answer, "x"), f"line {number}"))
    return seen


@pytest.mark.parametrize("same", [("7", "7"), ("7", "7.0"), ("1/2", "0.5"), ("1,000", "1000"), (r"\frac12", "0.5")])
def test_a_question_with_the_same_answer_is_no_contradiction(same: tuple[str, str]) -> None:
    seen = repeats(("What is a?", same[0]), ("what is a ?", same[1]))
    assert (seen.count, seen.contradictions()) == (1, [])


def test_contradictory_answers_are_named_with_their_places() -> None:
    seen = repeats(("a b", "7"), ("c d", "1"), ("A b.", "8"), ("a b", "7.0"), ("a b", "9"))
    assert seen.count == 3
    (found,) = seen.contradictions()
    assert found.answers == (("line 1", "7"), ("line 3", "8"), ("line 5", "9"))
    assert "'7' (line 1), '8' (line 3), '9' (line 5)" in str(found)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"question": "What is 3 + 4?"}', r"line 2, field 'answer': is missing"),
        ('{"question": "What is 3 + 4?", "answer": [7]}', r"line 2, field 'answer'.*number or a text, got \[7\]"),
        ('{"question": "What is 3 + 4?", "answer": true}', r"field 'answer'.*got True"),
        ('{"question": "What is 3 + 4?", "answer": NaN}', r"field 'answer'.*finite"),
        ('{"question": " ", "answer": 7}', r"field 'question': is empty"),
        ('{"question": "What is 3?", "answer": 7, "split": "test"}', r"field 'split'"),
        ('{"question": "What is 3?", "answer": 7, "id": "p-0123456789abcdef"}', r"field 'id'"),
        ('{"question": "What is 3?", "answer": 7', r"line 2: not JSON"),
    ],
)
def test_a_bad_line_is_named_with_field_value_and_remedy(tmp_path: Path, line: str, says: str) -> None:
    good = '{"question": "What is 5 + 6?", "answer": 11}\n'
    with pytest.raises(DataError, match=rf"problems, {says}|{says}") as caught:
        imported(tmp_path, "jsonl", good + line)
    assert caught.value.remedy


def test_a_missing_file_and_an_unknown_format_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        import_file("gsm8k", tmp_path / "nothing.jsonl")
    with pytest.raises(ConfigError, match=r"'gsm9k'.*gsm8k, svamp"):
        import_file("gsm9k", tmp_path)


def test_what_is_exported_is_imported_alike(tmp_path: Path) -> None:
    problems = [make_problem(f"What is {i} + 4?", str(i + 4), "svamp", family="f") for i in range(5)]
    assert export(problems, tmp_path / "new" / "out.jsonl") == 5
    assert import_file("jsonl", tmp_path / "new" / "out.jsonl") == problems
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out.jsonl"]


def test_a_source_is_cut_to_its_split_and_limit(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    export((make_problem(f"What is {i} + 4?", str(i + 4), "x") for i in range(200)), path)
    found = list(load(Source(format="jsonl", path=str(path), split="test", limit=5)))
    assert len(found) == 5
    assert {p.split for p in found} == {Split.TEST}


def many(tmp_path: Path) -> str:
    path = tmp_path / "p.jsonl"
    solved = {"text": "The answer is 7", "code": "print ( 7 )"}
    export((make_problem(f"What is {i} + 4?", str(i + 4), "x", solutions=solved) for i in range(400)), path)
    return str(path)


def test_parts_are_disjoint_and_together_everything(tmp_path: Path) -> None:
    path = many(tmp_path)
    parts = [{p.id for p in load(Source(format="jsonl", path=path, part=r))} for r in ("0-20", "20-85", "85-100")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 400
    assert 40 < len(parts[0]) < 120


def test_a_part_is_cut_independently_of_the_split(tmp_path: Path) -> None:
    found = list(load(Source(format="jsonl", path=many(tmp_path), part="0-30")))
    assert {p.split for p in found} == set(Split)


def test_only_the_annotations_that_a_source_names_are_kept(tmp_path: Path) -> None:
    path = many(tmp_path)
    assert {tuple(p.solutions) for p in load(Source(format="jsonl", path=path, annotated=("code",)))} == {("code",)}
    assert {len(p.solutions) for p in load(Source(format="jsonl", path=path))} == {2}


def test_a_variable_in_a_path_stands_for_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path)
    monkeypatch.setenv("SETS", str(tmp_path))
    assert len(list(load(Source(format="jsonl", path="$SETS/p.jsonl")))) == 400


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("SETS", raising=False)
    if value is not None:
        monkeypatch.setenv("SETS", value)
    with pytest.raises(ConfigError, match=r"environment variable SETS, got '\$SETS/p\.jsonl'.*export SETS=") as caught:
        list(load(Source(format="jsonl", path="$SETS/p.jsonl")))
    assert "docs/recipes.md" in caught.value.remedy


def test_a_description_counts_what_there_is(tmp_path: Path) -> None:
    problems = [make_problem("What is 3 + 4?", "7", "x")] * 2 + [make_problem("Is 3 odd?", "yes", "x")]
    described = describe(problems)
    assert (described["problems"], described["duplicates"]) == (3, 1)
    assert described["answer"] == {"integer": 2, "text": 1}
    assert sum(described["split"].values()) == 3


@given(WORDS)
def test_layout_case_and_tokenised_punctuation_do_not_change_the_id(words: list[str]) -> None:
    plain = " ".join(words[:-1]) + ", " + words[-1] + "?"
    tokenised = "  ".join(words[:-1]).lower() + " , " + words[-1].upper() + " ?"
    assert problem_id(plain) == problem_id(tokenised)


@given(WORDS, WORDS)
def test_other_words_are_another_problem(a: list[str], b: list[str]) -> None:
    same = [w.casefold() for w in a] == [w.casefold() for w in b]
    assert (problem_id(" ".join(a)) == problem_id(" ".join(b))) == same


@pytest.mark.parametrize(("a", "b"), [("What is 5 + 3?", "What is 5 - 3?"), ("2.5 kg", "25 kg"), ("(2+3)*4", "2+3*4")])
def test_signs_that_carry_meaning_count(a: str, b: str) -> None:
    assert problem_id(a) != problem_id(b)


DIFFERENT = [
    ("What is 2³?", "What is 23?"), ("What is 2³?", "What is 2?"), ("What is .5 + 2?", "What is 5 + 2?"),
    ("101₂ in base ten?", "1012 in base ten?"), ("10⁻² is?", "10-2 is?"), ("10⁻² is?", "10² is?"),
    ("It costs $.50 now", "It costs $50 now"), ("x²+1", "x²⁺¹"), ("3²4", "3²⁴"), ("aⁿm", "aⁿᵐ"), ("x₁₂", "x12"),
    ("x₁²", "x₁₂"), ("1½ cups", "11⁄2 cups"), ("½2", "1⁄22"), ("①5", "15"), ("⒈5", "1.5"), ("½½", "1⁄21⁄2"),
    ("-.5", "-5"), ("(.5)", "(5)"), ("x=.5", "x=5"), (r"2\cdot.5", r"2\cdot5"), (".5", ".05"), ("٣²", "٣2"),
    (r"0.\overline{3}", r"0\overline{3}"), ("det [1,2;3,4]", "det [1,2,3,4]"), ("x⁽ⁿ⁺¹⁾", "x⁽ⁿ⁾+1"),
    ("5⁺", "5+"), ("H₂O", "H2O"), ("５²", "52"), ("$.5, $.6", "$5, $6"), ("'.5 kg'", "'5 kg'"), ("10²⁰", "1020"),
]  # fmt: skip
SAME = [
    ("What is 2³?", "What is 2^3?"), ("What is .5?", "what is 0.5 ?"), ("10⁻²", "10^-2"), ("101₂", "101_2"),
    ("1½ cups", "1 ½ cups"), ("５ cats", "5 cats"), ("𝟏𝟐 cats", "12 cats"), ("ﬁve", "five"),
    ("He left.5 cats", "He left. 5 cats"), ('He said "go".5 cats', 'He said " go " . 5 cats'), ("…5", "... 5"),
    ("Lego™ 5", "LegoTM 5"), ("x⁽ⁿ⁺¹⁾", "x^(n+1)"), ("x²⁺¹", "x^(2+1)"), ("5; 6", "5 ; 6"), ("2.", "2"),
    ("1,000 mice", "1000 mice"), ("(a).5", "(a). 5"), ("one\ntwo", "one two"), ("Ⅷ", "VIII"), ("№ 5", "No 5"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_questions_have_different_ids(a: str, b: str) -> None:
    assert problem_id(a) != problem_id(b)


@pytest.mark.parametrize(("a", "b"), SAME)
def test_one_question_in_two_spellings_has_one_id(a: str, b: str) -> None:
    assert problem_id(a) == problem_id(b)


@given(st.text(alphabet="12.,²³⁻₂½ ax=+(){}①$^_", max_size=12))
def test_whether_a_digit_is_raised_is_never_lost(text: str) -> None:
    flat = text.translate(str.maketrans("²³₂", "232"))
    assert flat == text or problem_id(flat) != problem_id(text)


def test_splits_are_fixed_for_ever() -> None:
    assert problem_id("Ann has 3 apples and buys 4. How many now?") == "p-3e3166447b804c86"
    assert [split_of(f"p-{i:016x}") for i in (0, 7, 8, 9)] == [Split.TRAIN, Split.TRAIN, Split.DEV, Split.TEST]


def test_splits_have_about_their_shares() -> None:
    splits = [split_of(problem_id(f"What is {i} + 1?")) for i in range(5000)]
    assert [round(splits.count(s) / 5000, 1) for s in Split] == [0.8, 0.1, 0.1]


EXPRESSIONS = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.builds(lambda a, op, b: f"({a}{op}{b})", inner, st.sampled_from("+-*/"), inner),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_the_steps_of_an_expression_lead_to_its_value(expression: str) -> None:
    try:
        steps = infix(expression)
    except Unusable:
        return
    if steps:
        assert float(steps[-1].result) == pytest.approx(eval(expression), abs=1e-9)


@pytest.mark.parametrize("text", ["9**9**9", "__import__('os')", "(" * 250, "1/0", "x+1", "", "1e9", "9" * 400 + "+1"])
def test_what_is_not_plain_arithmetic_gives_no_solution(text: str) -> None:
    assert solutions(text, "7") == {}


def test_an_equation_that_misses_the_answer_gives_no_solution() -> None:
    assert solutions("3 + 4", "8") == {}


def test_prefix_equations_become_infix() -> None:
    assert prefix("+ * number0 2 number1", {"number0": "3", "number1": "4"}) == "( ( 3 * 2 ) + 4 )"
    for bad in ("", "+ 1", "1 2"):
        with pytest.raises(Unusable):
            prefix(bad, {})


@given(st.lists(WORDS, max_size=12), WORDS, st.sampled_from([0.5, 0.8, 1.0]))
def test_the_index_finds_exactly_what_comparing_all_pairs_finds(
    held: list[list[str]], asked: list[str], threshold: float
) -> None:
    questions = [" ".join(w) for w in held]
    index = NearIndex(threshold)
    index.add(questions)
    own = grams(" ".join(asked))
    shares = [len(own & grams(q)) / max(len(own), len(grams(q))) for q in questions]
    found = index.nearest(" ".join(asked))
    if max(shares, default=0) >= threshold:
        assert found is not None
        assert found[1] == pytest.approx(max(shares))
    else:
        assert found is None


@pytest.mark.skipif(not DATA.is_dir(), reason=NO_DATA)
@pytest.mark.parametrize(
    ("format", "file", "count", "with_program"),
    [
        ("gsm8k", "gsm8k/train.jsonl", 7473, 0.85),
        ("gsm8k", "gsm8k/test.jsonl", 1319, 0.85),
        ("svamp", "svamp/SVAMP.json", 1000, 0.99),
        ("mawps-csv", "mawps-asdiv-a/train.csv", 3138, 0.99),
        ("mawps-csv", "mawps-asdiv-a/dev.csv", 1000, 0.99),
        ("mawps-csv", "cv_mawps/fold0_train.csv", 1537, 0.99),
        ("mawps-csv", "cv_asdiv-a/fold0_dev.csv", 238, 0.99),
    ],
)
def test_real_files_are_imported_wholly_and_their_solutions_are_right(
    format: str, file: str, count: int, with_program: float
) -> None:
    problems = import_file(format, DATA / file)
    assert len(problems) == count
    programs = [p for p in problems if "code" in p.solutions]
    assert len(programs) / count > with_program
    for p in problems[::7]:
        if "text" in p.solutions:
            stated = method("text").answer(p.solutions["text"], None)
            assert stated is not None
            assert equal(p.answer, stated)
    for p in programs[::7]:
        printed: list[str] = []
        exec(p.solutions["code"], {"print": lambda v, to=printed: to.append(str(v))})
        assert equal(p.answer, printed[-1])


@pytest.mark.skipif(not DATA.is_dir(), reason=NO_DATA)
def test_the_two_published_forms_of_svamp_agree_on_most_ids() -> None:
    one = {p.id for p in import_file("svamp", DATA / "svamp/SVAMP.json")}
    other = {p.id for p in import_file("mawps-csv", DATA / "mawps-asdiv-a/dev.csv")}
    assert len(one & other) > 900
