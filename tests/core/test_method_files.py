"""What a recipe says of methods by file: names that are free, phrasings that are there, a bound on all of them."""

from __future__ import annotations

from typing import Any

import pytest

from mmst.core.config import parse
from mmst.core.errors import ConfigError

MINE: dict[str, Any] = {
    "name": "mine",
    "answer": "stated",
    "phrasings": [{"heading": "Mine:", "instruction": "Solve it.", "translation": "Rewrite it."}],
}
LONG = [[f"How many are {i} and 1?", "The answer is 7." + 1000 * " So it is."] for i in range(8)]


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"method_files": [MINE, MINE]}, r"method_files\[1\]: two method files have this name, got 'mine'"),
        ({"method_files": [MINE | {"name": "code"}]}, "we have a method of this name, got 'code'"),
        (
            {"methods": ["mine"], "method_files": [MINE], "prompt": {"phrasing": 2}},
            "does not have this phrasing, got 2",
        ),
        ({"method_files": [MINE | {"shots": LONG}]}, "hold more than 64 KiB together"),
        ({"method_files": [MINE | {"anwser": "stated"}]}, r"unknown recipe key 'method_files\[0\].anwser'"),
        ({"method_files": [{"name": "mine"}]}, r"method_files\[0\].answer is missing"),
        ({"method_files": ["mine.yaml"]}, r"method_files\[0\] must be an object"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        parse(recipe)
    assert "\n" not in str(refused.value)


def test_files_of_methods_that_are_not_used_have_no_say() -> None:
    config = parse({"methods": ["text"], "method_files": [MINE], "prompt": {"phrasing": 2}})
    assert config.filed == ()


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"prompt": {"demonstrations": "nearest"}}, "needs prompt.style=few-shot, got 'plain'"),
        (
            {"prompt": {"demonstrations": "annotated", "style": "few-shot"}},
            "problems.annotated names no source for one",
        ),
        (
            {
                "prompt": {"demonstrations": "nearest", "style": "few-shot"},
                "problems": {"annotated": [{"format": "jsonl", "path": "a", "annotated": ["text"]}]},
            },
            "no source for one, got 'code'",
        ),
    ],
)
def test_demonstrations_that_cannot_be_had_are_refused(recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(recipe)
