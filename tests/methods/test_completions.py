"""What is read from completions as models write them: tables, and what holds for any text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import identity, parse
from mmst.core.errors import ConfigError
from mmst.core.records import Problem, Sample, Split, Verdict
from mmst.methods import method
from mmst.methods.prompts import asked, stop_strings
from mmst.stages.verify import judge, to_run
from tests.support.completion_cases import PRINTED, PROGRAMS, STATED

TEXT, CODE = method("text"), method("code")
COMPLETIONS = [*(c for c, _ in STATED), *(c for c, _ in PROGRAMS)]


@pytest.mark.parametrize(("completion", "answer"), STATED)
def test_the_answer_of_a_text_is_read_as_it_is_written(completion: str, answer: str | None) -> None:
    assert TEXT.answer(TEXT.solution(completion), None) == answer


@pytest.mark.parametrize(("completion", "answer"), STATED)
def test_a_whole_completion_gives_the_answer_that_its_solution_gives(completion: str, answer: str | None) -> None:
    assert TEXT.answer(completion, None) == answer


@pytest.mark.parametrize(("completion", "program"), PROGRAMS)
def test_the_program_of_a_completion_is_found(completion: str, program: str) -> None:
    assert CODE.solution(completion) == program


@pytest.mark.parametrize(("stdout", "answer"), PRINTED)
def test_what_a_program_printed_is_read_as_a_person_would(stdout: str, answer: str | None) -> None:
    assert CODE.answer("print(7)", stdout) == answer


@pytest.mark.parametrize("completion", COMPLETIONS)
def test_a_solution_is_its_own_solution(completion: str) -> None:
    for m in (TEXT, CODE):
        solution = m.solution(completion)
        assert m.solution(solution) == solution


WORDS = st.sampled_from(
    [
        "The answer is ",
        "7",
        "\\boxed",
        "{",
        "}",
        "$",
        "\n",
        "\n\n",
        "```",
        "```python\n",
        "~~~\n",
        "<think>",
        "</think>",
        "print(7)",
        "x = 3\n",
        ">>> ",
        "'''",
        '"',
        "'",
        "#### ",
        "Question:",
        "user\n",
        "</s>",
        "<answer>",
        "</answer>",
        "A: ",
        "### Answer\n",
        "\\[",
        "\\]",
        "because ",
        ", ",
        "(",
        ")",
        " ",
        "\t",
        "if x:\n",
        "**",
        "[PYTHON]",
        "<code>",
        "Therefore, ",
        "In [1]: ",
        "\\begin{align}",
        "&= 7 \\\\",
        "é",
        "\r\n",
        "\x00",
        "def f():\n",
        "    ",
        "# ",
    ]
)


@given(st.lists(WORDS, max_size=30).map("".join))
def test_no_completion_of_such_parts_raises_or_has_another_solution_the_second_time(text: str) -> None:
    for m in (TEXT, CODE):
        solution = m.solution(text)
        m.answer(solution, text)
        m.canonical(solution)
    solution = TEXT.solution(text)
    assert TEXT.solution(solution) == solution


@given(st.lists(WORDS, max_size=12).map("".join))
def test_what_a_thought_holds_changes_no_answer(thought: str) -> None:
    said = thought.replace("<think>", "").replace("</think>", "")
    assert TEXT.answer(f"<think>\n{said}\n</think>\nThe answer is 7.", None) == "7"
    assert TEXT.answer(f"<think>\n{said}", None) is None


@pytest.mark.parametrize(
    "unit",
    [
        "```",
        "```\n",
        "```python\n",
        "~~~\n",
        "<think>",
        "</think>",
        "<think></think> ",
        "\\boxed{",
        "\\boxed ",
        "\\boxed\\frac",
        ">>> \n",
        ">>> a\n",
        "Question:\n",
        "### Answer\n",
        "#### ",
        "#### 4\n",
        "'''",
        '\'"""',
        '"""\\',
        "<answer>",
        "$$\n",
        "\\begin{align}\n",
        "**7**\n",
        "So 18 is the answer ",
        "A: 7\n",
        "<code>",
        "[PYTHON]\n",
        "word word word\n",
        "a b = \n",
        "if x:\n ",
        "(",
        "\n",
        "\t",
        "answer is 1, a ",
        "answer is 7 (",
        "<|",
        "| 1 and ",
    ],
)
def test_anything_long_is_read_in_no_time(unit: str) -> None:
    for size in (300_000, 19_990):
        text = unit * (size // len(unit))
        started = time.process_time()
        TEXT.answer(TEXT.solution(text), None)
        CODE.answer(CODE.solution(text), text)
        assert time.process_time() - started < 4


def sample(completion: str) -> Sample:
    return Sample(
        id="s-1",
        problem_id="p-1",
        method="code",
        index=0,
        prompt="",
        completion=completion,
        model="m",
        seed=1,
        temperature=0.0,
        finish="stop",
        tokens=1,
        prompt_tokens=1,
    )


@pytest.mark.parametrize("completion", ["", "```python\n```", "<think>print(7)", "# nothing", "```bash\nls\n```"])
def test_a_completion_without_a_program_is_not_run_and_has_a_verdict_of_its_own(completion: str) -> None:
    asked, solution = sample(completion), CODE.solution(completion)
    assert to_run([asked], [solution]) == []
    seven = Problem(id="p", question="?", answer="7", source="t", split=Split.TRAIN)
    checked = judge(asked, solution, seven, {})
    assert (checked.verdict, checked.answer) == (Verdict.NO_PROGRAM, None)
    assert checked.detail == "the completion holds no program"


def test_only_plain_completions_end_at_a_blank_line() -> None:
    assert stop_strings("plain") == ("\n\n", "\nQuestion:")
    assert stop_strings("instruct") == stop_strings("few-shot") == ("\nQuestion:",)
    assert stop_strings("chat") == ()


def test_a_recipe_sets_the_texts_at_which_completions_end() -> None:
    from mmst.datasets import make_problem
    from mmst.stages import sample, translate

    config = parse({"prompt": {"style": "few-shot", "stop": ["###", "\n\n\n"]}})
    problem = make_problem("How many?", "7", "made")
    assert {a.request.stop for a in sample.requests([problem], sample.Settings.of(config, "train"), None)} == {
        ("###", "\n\n\n")
    }
    none = parse({"prompt": {"stop": []}})
    assert {a.request.stop for a in sample.requests([problem], sample.Settings.of(none, "train"), None)} == {()}
    for prompt in (config.prompt, none.prompt):
        assert asked(prompt).stop == (prompt.stop or ())
    assert sample.Settings.of(config, "train").prompt == translate.Settings.of(config).prompt


def test_a_stop_that_is_empty_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prompt\.stop must hold texts that are not empty"):
        parse({"prompt": {"stop": [""]}})


def test_samples_whose_stops_are_as_ever_are_stored_where_they_were() -> None:
    for style in ("plain", "chat"):
        assert "stop" not in identity(asked(parse({"prompt": {"style": style}}).prompt))
    for style in ("instruct", "few-shot"):
        assert identity(asked(parse({"prompt": {"style": style}}).prompt))["stop"] == ["\nQuestion:"]


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("So the answer is 72.\n\nNote: the answer is approximate.", "72"),
        ("The answer is 72. The answer is correct.", "72"),
        ("The answer is 12.\n\nThe answer is reasonable because 12 < 20.", "12"),
        ("The answer is 45.\nThe answer is in dollars.", "45"),
        ("#### 18\n\nThe answer is rounded to the nearest dollar.", "18"),
        ("\\boxed{18}\nThe answer is therefore positive.", "18"),
        ("\\boxed{18}\n\nThe answer is in simplest form.", "18"),
        ("The answer is 3 days later. The answer is Wednesday.", "Wednesday"),
        ("The answer is 4 or 5. The answer is five.", "five"),
        ("The answer is blue.", "blue"),
    ],
)
def test_a_remark_about_the_answer_is_no_answer_beside_a_value(solution: str, answer: str) -> None:
    assert TEXT.answer(solution, None) == answer
