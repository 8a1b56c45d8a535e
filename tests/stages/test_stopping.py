from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.records import Decision
from mmst.core.results import Trainset
from mmst.stages.stopping import Settings, another, enough


def rule(round: int = 1, **changes: Any) -> Settings:
    return replace(Settings(min_new=20, min_gain=0.0, plateau="stop", rounds=1, round=round), **changes)


def decision(promote: bool, gain: float) -> Decision:
    return Decision(promote=promote, challenger="c", champion="d", round=1, reason="because", gain=gain, p_value=0.01)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_a_round_trains_exactly_when_it_has_the_examples_asked_for(new: int, least: int) -> None:
    assert (enough(rule(min_new=least), Trainset(arm="mmst"), new) == "") == (new >= least)


def test_too_few_examples_names_both_numbers_and_the_key() -> None:
    reason = enough(rule(), Trainset(arm="mmst"), 3)
    assert "3" in reason
    assert "20" in reason
    assert "loop.min_new" in reason


@pytest.mark.parametrize("arm", [Trainset(arm="annotated-only"), Trainset(arm="mine", annotated="only")])
def test_an_arm_of_annotated_examples_alone_needs_no_new_ones(arm: Trainset) -> None:
    assert enough(rule(), arm, 0) == ""


@pytest.mark.parametrize(
    ("round", "promote", "gain", "stops_with"),
    [
        (1, True, 0.10, ""),
        (2, True, 0.10, "all 2 rounds"),
        (1, False, 0.10, "rejected"),
        (1, True, 0.01, "less than 0.05"),
    ],
)
def test_another_round_needs_a_promotion_and_the_gain_asked_for(
    round: int, promote: bool, gain: float, stops_with: str
) -> None:
    reason = another(rule(round, rounds=2, min_gain=0.05), decision(promote, gain))
    assert (stops_with in reason) if stops_with else reason == ""


@pytest.mark.parametrize(("promote", "gain"), [(False, -0.2), (True, 0.0)])
def test_an_experiment_goes_on_to_its_last_round_whatever_a_round_gains(promote: bool, gain: float) -> None:
    loop = rule(rounds=2, min_gain=0.05, plateau="continue")
    assert another(loop, decision(promote, gain)) == ""
    assert "all 2 rounds" in another(replace(loop, round=2), decision(promote, gain))
