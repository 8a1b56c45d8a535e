"""Two texts side by side: all of both is there, and it takes no minutes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.view.diff import differing

TEXTS = st.text(st.sampled_from("ab 1+\n=."), max_size=60)


@given(TEXTS, TEXTS)
def test_the_pieces_are_the_texts_and_the_same_ones_are_the_same(first: str, second: str) -> None:
    one, other = differing(first, second)
    assert ("".join(t for _, t in one), "".join(t for _, t in other)) == (first, second)
    assert [t for same, t in one if same] == [t for same, t in other if same]


def test_a_long_text_is_shown_to_its_end() -> None:
    text = " ".join(f"w{i}" for i in range(5000))
    one, other = differing(text, text + " and")
    assert ("".join(t for _, t in one), "".join(t for _, t in other)) == (text, text + " and")


@pytest.mark.parametrize(
    ("first", "second"), [("1 + " * 500, "1 - " * 500), (".," * 1000, ".;" * 1000), ("x " * 9999, "x")]
)
def test_texts_that_repeat_themselves_take_no_minutes(first: str, second: str) -> None:
    began = time.process_time()
    differing(first, second)
    assert time.process_time() - began < 3
