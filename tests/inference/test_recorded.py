"""Recorded completions: what is found, and which files are refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import DataError
from mmst.core.ports import Request
from mmst.datasets import problem_id
from mmst.inference.providers.recorded import Recorded

QUESTION = "Ann has 3 apples and buys 4. How many now?"


def recorded(folder: Path, *lines: object) -> Recorded:
    path = folder / "completions.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return Recorded(path)


def ask(n: int = 4, method: str = "code", question: str = QUESTION) -> Request:
    return Request(
        id="r",
        prompt="two words",
        n=n,
        seed=1,
        temperature=1.0,
        top_p=1.0,
        max_tokens=9,
        stop=(),
        problem_id=problem_id(question),
        question=question,
        method=method,
    )


def line(completion: str, **other: str) -> dict[str, str]:
    return {"question": QUESTION, "method": "code", "completion": completion, **other}


def texts(sampler: Recorded, request: Request) -> list[str]:
    return [c.text for c in sampler.sample([request])[0]]


def test_lines_of_one_problem_and_method_are_its_samples_in_file_order(tmp_path: Path) -> None:
    sampler = recorded(tmp_path, line("print(1)"), line("x", method="text"), line("print(2)"))
    assert texts(sampler, ask()) == ["print(1)", "print(2)"]


def test_no_more_than_asked_for_and_fewer_when_there_are_fewer(tmp_path: Path) -> None:
    sampler = recorded(tmp_path, *(line(str(i)) for i in range(5)))
    assert (texts(sampler, ask(2)), len(texts(sampler, ask(9)))) == (["0", "1"], 5)


def test_a_question_is_found_whatever_its_layout_and_case(tmp_path: Path) -> None:
    sampler = recorded(tmp_path, line("print(7)", question=QUESTION.upper().replace(" ", "  ")))
    assert texts(sampler, ask()) == ["print(7)"]


def test_a_problem_is_found_by_its_id(tmp_path: Path) -> None:
    sampler = recorded(tmp_path, {"problem_id": problem_id(QUESTION), "method": "code", "completion": "print(7)"})
    assert texts(sampler, ask()) == ["print(7)"]


def test_an_unknown_problem_has_no_completions(tmp_path: Path) -> None:
    assert texts(recorded(tmp_path, line("print(7)")), ask(question="What is 5 times 6?")) == []


def test_progress_counts_what_was_asked_for(tmp_path: Path) -> None:
    done: list[int] = []
    recorded(tmp_path, line("print(7)")).sample([ask(3), ask(2)], done.append)
    assert sum(done) == 5


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("{", "not JSON"),
        ("[1]", "not an object"),
        ({"question": QUESTION, "method": "code"}, "'completion'"),
        ({"question": QUESTION, "completion": "x"}, "'method'"),
        ({"method": "code", "completion": "x"}, "'question' or 'problem_id'"),
        ({**line("x"), "problem_id": "p-1"}, "'question' or 'problem_id'"),
        (line("x", question=" "), "'question' or 'problem_id'"),
        (line("x", method="dance"), "dance"),
        ({**line("x"), "completion": 7}, "'completion'"),
        (line("x", prompt="y"), "'prompt'"),
    ],
)
def test_a_bad_line_is_refused_with_file_line_and_field(tmp_path: Path, bad: object, named: str) -> None:
    with pytest.raises(DataError) as refused:
        recorded(tmp_path, line("print(7)"), bad)
    message = str(refused.value)
    assert "completions.jsonl, line 2" in message
    assert named in message
    assert "Remedy" in message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no completion"):
        recorded(tmp_path, "")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        Recorded(tmp_path / "none.jsonl")


@given(completions=st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_comes_back_as_it_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, completions: list[str]
) -> None:
    sampler = recorded(tmp_path_factory.mktemp("recorded"), *(line(c) for c in completions))
    assert texts(sampler, ask(9)) == completions
