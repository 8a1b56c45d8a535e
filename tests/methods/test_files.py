"""Methods by file: what a YAML file may hold, how it reads solutions, and which mistakes are named."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import ConfigError
from mmst.core.method_files import LARGEST, MethodFile
from mmst.grading import equal
from mmst.methods import method
from mmst.methods.files import SHIPPED, checked, made, named, read

TEXT = method("text")
ASKS: dict[str, Any] = {
    "name": "mine",
    "answer": "stated",
    "phrasings": [{"heading": "Mine:", "instruction": "Solve it.", "translation": "Rewrite it."}],
}
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


def mine(**changes: Any) -> MethodFile:
    return checked(ASKS | changes, "mine.yaml")


def test_two_methods_are_shipped() -> None:
    assert SHIPPED.names() == ["answer", "decompose"]


@pytest.mark.parametrize("name", ["answer", "decompose"])
def test_the_worked_examples_of_a_shipped_method_are_those_of_text_with_their_answers(name: str) -> None:
    by = made(read(name))
    assert [question for question, _ in by.shots] == [question for question, _ in TEXT.shots]
    for (_, ours), (_, theirs) in zip(by.shots, TEXT.shots, strict=True):
        assert equal(TEXT.answer(theirs, None) or "", by.answer(ours, None) or "")


@pytest.mark.parametrize("name", ["answer", "decompose"])
def test_a_shipped_method_has_as_many_phrasings_as_text(name: str) -> None:
    assert len(read(name).phrasings) == len(TEXT.phrasings)


def test_sub_questions_begin_no_other_turn() -> None:
    by = made(read("decompose"))
    solution = "Q: How many did she give away?\nA: 8 * 4 = 32\nQ: How many are left?\nA: 50 - 32 = 18\nThe answer is 18"
    assert by.solution(solution + "\n") == solution
    assert by.answer(solution, None) == "18"


def test_the_next_problem_begins_another_turn() -> None:
    by = made(read("decompose"))
    assert by.solution("Q: How many?\nA: 3\nThe answer is 3\nQuestion: Bo has 4.\nThe answer is 4").endswith("is 3")


@pytest.mark.parametrize(
    ("answer", "solution", "found"),
    [
        ("stated", "3 + 4 = 7\nThe answer is 7", "7"),
        ("stated", "3 + 4 = 7", None),
        ("last-line", "First add.\n**7 apples**", "7 apples"),
        ("last-line", "First add.\nSo the answer is 7.", "7"),
        ("whole", " 7/3 \n", "7/3"),
        ("whole", "", None),
    ],
)
def test_the_answer_is_where_the_file_says(answer: str, solution: str, found: str | None) -> None:
    by = made(mine(answer=answer))
    assert by.answer(by.solution(solution), None) == found


@pytest.mark.parametrize("answer", ["last-line", "whole"])
@pytest.mark.parametrize(
    "solution",
    [
        "7 is wrong",
        "not 7",
        "7?",
        "7 (or 8)",
        "7 if 8",
        "I cannot say 7",
        "It can't be 7",
        "anything but 7",
        "not sure, 7",
    ],
)
def test_an_answer_that_is_denied_or_doubted_is_none(answer: str, solution: str) -> None:
    found = made(mine(answer=answer)).answer(solution, None)
    assert found is None or not equal("7", found)


@pytest.mark.parametrize("answer", ["last-line", "whole"])
@pytest.mark.parametrize(
    "solution", ["7", "= 7", "**7 apples**", "It is 7.", "7 because 3 + 4 = 7", r"\boxed{7}", "So 7"]
)
def test_an_answer_alone_is_read_with_or_without_words_around_it(answer: str, solution: str) -> None:
    assert equal("7", made(mine(answer=answer)).answer(solution, None) or "", "How many apples?")


def test_a_printed_answer_is_what_the_program_printed() -> None:
    by = made(mine(answer="printed", same="python", shots=[["How many are 3 and 4?", "print(3 + 4)"]]))
    solution = by.solution("```python\nprint(3 + 4)\n```")
    with redirect_stdout(io.StringIO()) as printed:
        exec(solution, {})
    assert (by.executes, by.answer(solution, printed.getvalue())) == (True, "7")


@pytest.mark.parametrize(
    ("same", "one", "other"), [("words", "It is  7 .", "it is 7."), ("python", "a = 7\nprint(a)", "b=7\nprint( b )")]
)
def test_two_solutions_are_the_same_as_the_file_says(same: str, one: str, other: str) -> None:
    by = made(mine(same=same))
    assert by.canonical(one) == by.canonical(other)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Mine"}, "name must be a lower-case word"),
        ({"answer": "spoken"}, "answer must be one of stated, last-line, whole, printed"),
        ({"same": "letters"}, "same must be one of words, python"),
        ({"phrasings": []}, "phrasings must hold at least one"),
        ({"phrasings": [{"heading": "", "instruction": "a", "translation": "b"}]}, r"phrasings\[0\]\.heading is empty"),
        ({"phrasings": [{"heading": "Mine:", "instruction": "a"}]}, r"'phrasings\[0\]\.translation' is missing"),
        ({"phrasing": []}, "unknown key 'phrasing'.*did you mean phrasings"),
        ({"shots": [["How many?", "I do not know."]]}, r"shots\[0\] holds no answer"),
        ({"shots": [["How many?", "The answer is 3\nQuestion: And now?"]]}, r"shots\[0\] would be cut off before"),
        ({"shots": [["How many?"]]}, r"shots\[0\] must be a question and its solution"),
        ({"shots": [["How many?", 3]]}, r"shots\[0\]\[1\] must be str"),
        ({"answer": "printed", "shots": [["How many?", "print(3"]]}, r"shots\[0\] is no Python program"),
    ],
)
def test_a_mistake_is_named_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^mine.yaml: .*{says}") as refused:
        mine(**changes)
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_a_method_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with pytest.raises(ConfigError, match="no such method file"):
        read(str(file))
    file.write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(str(file))
    file.write_text(yaml.safe_dump(ASKS | {"shots": [["How many?", "The answer is 3" + " " * LARGEST]]}))
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        read(str(file))


def test_a_method_is_named_by_its_name_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(ASKS))
    assert [named(by).name for by in ("text", "decompose", str(tmp_path / "mine.yaml"))] == [
        "text",
        "decompose",
        "mine",
    ]
    with pytest.raises(ConfigError, match=r"unknown method, got 'txt'.*did you mean text"):
        named("txt")


@given(PLAIN, st.sampled_from([*ASKS, "shots", "same", ""]))
def test_plain_data_are_a_method_or_a_config_error(value: Any, key: str) -> None:
    try:
        file = checked(ASKS | {key: value} if key else value, "mine.yaml")
    except ConfigError:
        return
    assert made(file).name == file.name
