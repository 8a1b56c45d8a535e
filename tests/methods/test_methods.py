"""Methods: where a solution ends, what its answer is, when two solutions are the same."""

import contextlib
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import identity, parse
from mmst.core.errors import ConfigError
from mmst.core.records import CheckedSample, Sample, Verdict
from mmst.datasets import make_problem, problem_id
from mmst.grading import equal
from mmst.methods import Method, method, methods
from mmst.methods.prompts import solve_prompt, translate_prompt

TEXT, CODE = method("text"), method("code")


def test_every_module_that_defines_a_method_is_found() -> None:
    assert {"text", "code"} <= set(methods())


def test_an_unknown_method_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'telepathy'.*text, code"):
        method("telepathy")


def test_the_worked_examples_pair_up_across_methods() -> None:
    assert [q for q, _ in TEXT.shots] == [q for q, _ in CODE.shots]
    assert len({problem_id(q) for q, _ in TEXT.shots}) == len(TEXT.shots) == 8


@pytest.mark.parametrize(("text", "code"), [(a, b) for (_, a), (_, b) in zip(TEXT.shots, CODE.shots, strict=True)])
def test_a_worked_text_and_its_program_agree(text: str, code: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    ours, theirs = TEXT.answer(text, None), CODE.answer(code, printed.getvalue())
    assert ours is not None
    assert theirs is not None
    assert equal(ours, theirs)


STYLES = ("plain", "instruct", "few-shot", "chat")


def rendered(messages: object) -> str:
    return f"<{messages}>"


def prompts(m: Method, other: Method, style: str, phrasing: int) -> tuple[str, str]:
    """To solve by `m`, and to translate from `other` into it."""
    solve = solve_prompt(m, "How many?", style, 2, rendered, phrasing)
    return solve, translate_prompt(other, m, "How many?", "Seven.", style, 2, rendered, phrasing)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("m", "other"), [(TEXT, CODE), (CODE, TEXT)], ids=["text", "code"])
def test_each_of_three_phrasings_asks_in_other_words_in_every_style(m: Method, other: Method, style: str) -> None:
    asked = [prompts(m, other, style, phrasing) for phrasing in (1, 2, 3)]
    assert len(m.phrasings) == 3
    assert len({solve for solve, _ in asked}) == len({translate for _, translate in asked}) == 3


@pytest.mark.parametrize("phrasing", [1, 2, 3])
@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_holds_the_words_of_one_phrasing_only(style: str, phrasing: int) -> None:
    shown = "".join(prompts(TEXT, CODE, style, phrasing) + prompts(CODE, TEXT, style, phrasing))
    for number in {1, 2, 3} - {phrasing}:
        for words in (TEXT.phrasings[number - 1], CODE.phrasings[number - 1]):
            assert words.heading not in shown
            assert words.instruction not in shown
            assert words.translation not in shown


def test_the_first_phrasing_is_the_one_that_the_shipped_model_was_trained_on() -> None:
    assert prompts(TEXT, CODE, "plain", 1) == (
        "Question: How many?\nText:\n",
        "Question: How many?\nPython:\nSeven.\nText:\n",
    )
    assert solve_prompt(TEXT, "How many?", "plain", 4) == solve_prompt(TEXT, "How many?", "plain", 4, phrasing=1)


def test_no_heading_or_instruction_is_taken_for_an_answer_that_follows_it() -> None:
    for words in (*TEXT.phrasings, *CODE.phrasings):
        assert TEXT.answer(f"{words.heading}\n3 + 4 = 7", None) is None


def test_a_phrasing_that_a_method_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'text' does not have this phrasing.*4.*from 1 to 3"):
        solve_prompt(TEXT, "How many?", "plain", 4, phrasing=4)


def test_every_stage_that_writes_prompts_follows_the_recipe_s_phrasing() -> None:
    from mmst.stages import sample, translate
    from mmst.stages.build_trainset import annotated_examples

    config = parse({"prompt": {"phrasing": 2}})
    problem = make_problem("How many?", "7", "made", solutions={"text": "The answer is 7", "code": "print(7)"})
    (solve, translation), headings = prompts(TEXT, CODE, "plain", 2), {m.phrasings[1].heading for m in (TEXT, CODE)}
    assert {
        a.request.prompt.splitlines()[-1] for a in sample.requests([problem], sample.Settings.of(config, "train"), None)
    } == headings
    drawn = Sample(
        id="s-1", problem_id=problem.id, method="code", index=0, prompt="", completion="Seven.", model="m",
        seed=1, temperature=0.0, finish="stop", tokens=1, prompt_tokens=1,
    )  # fmt: skip
    right = CheckedSample(sample=drawn, verdict=Verdict.PASSED, solution="Seven.", answer="7")
    (job,) = translate.requests([right], {problem.id: "How many?"}, translate.Settings.of(config), None)
    assert (job.target_prompt, job.request.prompt) == (solve, translation)
    annotated = {e.prompt for e in annotated_examples(problem, config.methods, config.prompt)}
    assert solve in annotated
    assert translation.replace("Seven.", "print(7)") in annotated


def test_runs_of_the_first_phrasing_are_stored_where_they_were_before_there_were_others() -> None:
    assert identity(parse({}).prompt) == {"style": "plain", "shots": 4}
    assert identity(parse({"prompt": {"phrasing": 2}}).prompt) == {"style": "plain", "shots": 4, "phrasing": 2}


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("3 + 4 = 7 .\nThe answer is 7", "7"),
        ("The answer is 7.", "7"),
        ("The answer is x = \\pm 1", "x = \\pm 1"),  # not its only number
        ("The answer is 7 apples. That was easy.", "7 apples"),
        ("So the final answer is: **1,200**", "1,200"),
        ("Answer: 3.5", "3.5"),
        ("48 + 24\n#### 72", "72"),
        (r"Hence $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"The answer is \boxed{7}.", "7"),
        ("The answer is 3 . No, wait .\nThe answer is 5", "5"),
        ("The answer is 7\nThe answer is", "7"),
        ("3 + 4 = 7", None),
        ("The answer is", None),
        ("The answer is .", None),
        (r"\boxed{7", None),
        ("", None),
        (r"So $\Delta E = -3$ .\nAnswer: D", "D"),
        ("**Answer:** $x = 3$", "x = 3"),
        ("Answer:\n\n(B) 12\n", "(B) 12"),
        ("The correct option is (C).", "(C)"),
        ("The answer to the question is 12.5 metres.", "12.5 metres"),
        ("Final Answer: The final answer is $10,455$. I hope it is correct.", "10,455"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("Final answer: Jane started 3 hours ago.", "3"),
        (r"The answer is $x. $ Then $\boxed{2}$, and later we see 9.", "2"),
        (r"\[ \boxed{-2} \quad \text{and} \quad \boxed{1}. \]", "-2, 1"),
        (r"\boxed{(1, 2)}, \boxed{(2, 1)}", "(1, 2), (2, 1)"),
        (r"First \boxed{3}. In the next part of it we find \boxed{4}", "4"),
        (r"It is \boxed{3}, or again \boxed{3}", "3"),
        ("I do not know. The answer is unknown.", None),
        ("The answer is not clear to me.", None),
        ("Answer: ?", None),
        ("We answer it. 3 + 4 = 7.", None),
    ],
)
def test_the_answer_is_what_the_text_commits_to(solution: str, answer: str | None) -> None:
    assert TEXT.answer(solution, None) == answer


def test_text_ends_where_the_model_asks_itself_another_question() -> None:
    assert TEXT.solution(" The answer is 7\n\nQuestion: And 8?\nThe answer is 8") == "The answer is 7"


@pytest.mark.parametrize(
    ("stdout", "answer"), [("7\n", "7"), ("working\n 7 \n\n", "7"), ("", None), (" \n\n", None), (None, None)]
)
def test_the_answer_of_a_program_is_its_last_line(stdout: str | None, answer: str | None) -> None:
    assert CODE.answer("print(7)", stdout) == answer


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("a = 3 + 4\nprint ( a )", "a = 3 + 4\nprint ( a )"),
        ("```python\nprint(7)\n```\nThis prints 7.", "print(7)"),
        ("Here is the program:\n```\nprint(7)\n```", "print(7)"),
        ("print(7)\n```\nThat's it", "print(7)"),
        ("```py\nprint(7)", "print(7)"),
        ("Here is the program:\nprint(7)\n\nIt prints the sum, 7.", "print(7)"),
        ("print(7)\n\nQuestion: What is 8?\nprint(8)", "print(7)"),
        ("if 1:\n    print(7)\n\nprint(8)", "if 1:\n    print(7)\n\nprint(8)"),
    ],
)
def test_fences_and_chatter_are_cut_off(completion: str, program: str) -> None:
    assert CODE.solution(completion) == program


@pytest.mark.parametrize("broken", ["print(7)\nprint(", "print(7)\n\nfor x in", "x = = 3\n\nprint(7)", "7 apples"])
def test_a_broken_program_is_not_mended(broken: str) -> None:
    assert CODE.solution(broken) == broken


def test_programs_that_differ_in_names_layout_and_comments_are_the_same() -> None:
    a = "total = 3 + 4  # both\nprint ( total )"
    b = "x=3+4\n\nprint(x)"
    assert CODE.canonical(a) == CODE.canonical(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("a = 1\nb = 2\nprint(a - b)", "a = 1\nb = 2\nprint(b - a)"),
        ("x = 3\nprint(x)", "x = 4\nprint(x)"),
        ("def f(a, b): return a - b\nprint(f(a=1, b=2))", "def f(b, a): return b - a\nprint(f(a=1, b=2))"),
        ("v0 = 1\nprint(v0 + len([1]))", "len = 1\nprint(len + len)"),
        ("a = 7\nprint(eval('a'))", "b = 7\nprint(eval('a'))"),
        ("print(7)", "print(7"),
    ],
)
def test_programs_that_do_something_else_are_not(a: str, b: str) -> None:
    assert CODE.canonical(a) != CODE.canonical(b)


@given(st.permutations(["left", "given", "total", "price"]))
def test_renaming_all_variables_changes_no_canonical_form(names: list[str]) -> None:
    a, b, c, d = names
    program = f"{a} = 4\n{b} = {a} * 2\ndef {c}({d}):\n    return {d} - {a}\nprint({c}({b}))"
    original = "a = 4\nb = a * 2\ndef c(d):\n    return d - a\nprint(c(b))"
    assert CODE.canonical(program) == CODE.canonical(original)


@given(st.one_of(st.text(), st.text(alphabet="abc =+()\n:`print 1\"'#\\{}#")))
def test_no_completion_raises(text: str) -> None:
    for m in (TEXT, CODE):
        solution = m.solution(text)
        assert m.canonical(solution) == m.canonical(solution)
        m.answer(solution, text)


HOSTILE = ["(" * 19_000, "-" * 19_000 + "1", "9" * 19_000, "x" * 3_000_000, "\n" * 100_000, "a\x00"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(6))
def test_hostile_programs_are_only_text(text: str) -> None:
    assert isinstance(CODE.canonical(CODE.solution(text)), str)


@pytest.mark.parametrize(
    "unit",
    ["answer is ", "\\boxed{", "\\boxed{1}", "Answer: 7\n", "answer to ", "is ", "$", "\n", "#### ", "answer is $1. "],
)
def test_an_answer_is_taken_out_of_hostile_texts_in_no_time(unit: str) -> None:
    started = time.process_time()
    TEXT.answer(unit * (10_000_000 // len(unit)), None)
    assert time.process_time() - started < 3
