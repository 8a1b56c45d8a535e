"""Answers that hold in one case only, values between semicolons, and brackets that change a value."""

import pytest

from mmst.methods.extraction import answer_in
from mmst.methods.printed import answer_printed


@pytest.mark.parametrize(
    "solution",
    [
        "The answer is 5 if x>0, otherwise 7.",
        "The answer is 5 when n is even and 7 when n is odd.",
        "The answer is 5, assuming Tom lied; but he did not, so 6.",
        "The answer is 5, if Tom lied. He did not, so it is 6.",
        "The answer is 5 or, if she kept one, 6.",
        "The answer is 5 unless she kept one, in which case 6.",
        "The answer is 5 unless she kept one, in which case it is six.",
        "The answer is 5 provided he paid, else 7.",
        "Answer: 5 if he paid; 7 if not.",
        "#### 5 if x > 0 else 7",
        "The answer is 5, or 6 if she kept one.",
        "The answer is 5 for boys and 7 for girls.",
        "The answer is 5 for even n, 7 for odd n.",
        "The answer is $5$ when $n$ is even and $7$ otherwise.",
        "When n is even, the answer is 5; when n is odd, the answer is 7.",
        "If x > 0, the answer is 5; otherwise, the answer is 7.",
        "The answer is 5 in case he lied. But he told the truth, so the total is 6.",
        "The answer is:\n- 5 if x > 0\n- 7 otherwise",
        "\\boxed{5} if $x > 0$, otherwise $7$.",
        "**5** is the answer if he lied, otherwise 7.",
        "The answer is A if he lied, otherwise B.",
        "The answer is 5; however, if she kept one, it is 6.",
        "The answer is 5. If she did not keep any. Otherwise it is 6.",
        "The answer is yes if n is even, otherwise no.",
        "<answer>5 if x else 7</answer>",
        "The answer is 5 (7 if he lied).",
        "The answer is 5 as long as he pays, but 8 if he does not.",
        "The answer is x = 5 if he lied, otherwise x = 7.",
    ],
)
def test_a_value_for_each_of_two_cases_is_no_answer(solution: str) -> None:
    assert answer_in(solution) is None


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("The answer is 5; 6.", "5; 6"),
        ("The answer is 3; 4; 5.", "3; 4; 5"),
        ("The answer is $5$; $6$.", "$5$; $6$"),
        ("The answer is (1, 2); (3, 4).", "(1, 2); (3, 4)"),
        ("The answer is [0; 1].", "[0; 1]"),
        ("5; 6 is the answer.", "5; 6"),
        ("The answer is x = 12; y = 5.", "x = 12; y = 5"),
        ("The answer is 5 apples; 6 pears.", "5 apples; 6 pears"),
        ("#### 5; 6", "5; 6"),
        ("The answer is A; C.", "A; C"),
        ("The answer is 5; 6; that is all.", "5; 6"),
        ("The answer is 10 (written in binary).", "10 (written in binary)"),
        ("The answer is 10 (in binary).", "10 (in binary)"),
        ("The answer is 10 (base 2).", "10 (base 2)"),
        ("The answer is 1F (in hex).", "1F (in hex)"),
        ("The answer is 10, in binary.", "10, in binary"),
        ("The answer is 10 (dozen).", "10 (dozen)"),
        ("The answer is 5 (thousand dollars).", "5 (thousand dollars)"),
        ("The answer is 5 (in thousands).", "5 (in thousands)"),
        ("The answer is 10 in the binary system.", "10 in the binary system"),
    ],
)
def test_a_list_and_what_changes_a_value_are_kept(solution: str, answer: str) -> None:
    assert answer_in(solution) == answer


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("The answer is 5; that is all of them.", "5"),
        ("The answer is 5 if he sells all of them.", "5"),
        ("The answer is 5 (apples).", "5"),
        ("The answer is 42 (since 6*7=42).", "42"),
        ("The answer is 5 if he sells 3 of them.", "5"),
        ("The answer is 5 when 8 is reduced by 3.", "5"),
        ("The answer is 5, because otherwise it would be 7.", "5"),
        ("The answer is 5; 6 is too many.", "5"),
        ("The answer is 5; 8 - 3 = 5.", "5"),
        ("The answer is 5; she gave 3 away.", "5"),
        ("The answer is 5 if he sells all of them, so 5.", "5"),
        ("The answer is 5, if each of the 3 friends gets 4, as 3*4=12.", "5"),
        ("The answer is 7 (tens place).", "7"),
        ("The answer is 5 (half of 10).", "5"),
        ("The answer is 10 (base 10).", "10"),
        ("The answer is 1000 (one thousand).", "1000"),
        ("The answer is 5000 (rounded to the nearest thousand).", "5000"),
        ("If he sells all, he has 8. When she eats 3, the answer is 5.", "5"),
        ("The answer is 5; 5 apples.", "5"),
        ("The answer is 5 if Tom lied. He did not, so the answer is 6.", "6"),
        ("The answer is 5, provided that no apple is lost.", "5"),
        ("The answer is 18 for 3 boxes, 6 for each box.", "18"),
        ("Everyone else has 3, so the answer is 5.", "5"),
        ("The answer is 5, since everyone else has 3.", "5"),
        ("If x is 3, then y = 2; otherwise y = 7. Since x is 3, the answer is 2.", "2"),
        ("The answer is 5 when x = 3 and y = 4.", "5"),
        ("The answer is 5 when x = 3, y = 4.", "5"),
        ("The answer is 5 if we have 3 boys and 7 girls.", "5"),
        ("The answer is 5 when the dog, not the cat, counts.", "5"),
        ("The answer is 5; in other words, 5 apples remain.", "5"),
        ("The answer is 5 or, more precisely, 5.2.", "5 or, more precisely, 5.2"),
        ("The answer is 5 when x = 3. We did not round, so 5 is exact.", "5"),
        ("The answer is 40 if she works 8 hours a day, 5 days a week.", "40"),
        ("The answer is 5 if he did not eat the 3, but 8 apples were there.", "5"),
        ("The answer is 5, when there are not 3 but 4 cats.", "5"),
    ],
)
def test_a_condition_or_remark_without_a_second_value_is_dropped(solution: str, answer: str) -> None:
    assert answer_in(solution) == answer


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("The answer is 5; 6", "5; 6"),
        ("5 if x else 7", "5 if x else 7"),
        ("Total: 10 (in binary)", "10 (in binary)"),
        ("Total: 10 (apples)", "10"),
        ("She has 5 apples if he lied, otherwise six", "She has 5 apples if he lied, otherwise six"),
        ("The total is 5 (thousand)", "The total is 5 (thousand)"),
        ("She has 5 if he sells all", "5"),
        ("She has 3 quarters", "3"),
        ("She has 20 baseball cards", "20"),
    ],
)
def test_a_printed_line_is_read_by_the_same_rules(line: str, answer: str) -> None:
    assert answer_printed(line) == answer
