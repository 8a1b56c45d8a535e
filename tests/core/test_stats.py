"""The statistics, against scipy and against their definitions."""

from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from mmst.core import stats

prop = settings(deadline=None, max_examples=60)

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@prop
@given(counts)
def test_wilson_equals_scipy(count: tuple[int, int]) -> None:
    passed, n = count
    expected = binomtest(passed, n).proportion_ci(0.95, method="wilson")
    assert stats.wilson(passed / n, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@prop
@given(st.floats(0, 1), st.integers(0, 10_000))
def test_wilson_holds_the_rate_and_stays_within_0_and_1(rate: float, n: int) -> None:
    low, high = stats.wilson(rate, n)
    assert 0 <= low <= rate <= high <= 1


@prop
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    subsets = list(itertools.combinations(range(n), k))
    share = sum(any(i < correct for i in subset) for subset in subsets) / len(subsets)
    assert stats.pass_at_k(n, correct, k) == pytest.approx(share)


@pytest.mark.parametrize(("n", "correct", "k"), [(4, 1, 5), (4, 5, 2), (4, 1, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_has_no_estimate(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass_at_k needs"):
        stats.pass_at_k(n, correct, k)


@prop
@given(st.lists(st.sampled_from(["1", "2", "3", None]), max_size=12))
def test_majority_is_an_answer_that_no_other_beats(answers: list[str | None]) -> None:
    vote = stats.majority(answers)
    given_answers = [a for a in answers if a is not None]
    if not given_answers:
        assert vote is None
    else:
        most = max(given_answers.count(a) for a in given_answers)
        assert vote == next(a for a in given_answers if given_answers.count(a) == most)


@prop
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_equals_scipys_binomial_test(gained: int, lost: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert stats.mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


@prop
@given(st.lists(st.integers(-3, 3), max_size=9))
def test_sign_flip_is_the_share_of_sign_patterns_as_extreme(differences: list[int]) -> None:
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = sum(abs(sum(s * d for s, d in zip(p, differences, strict=True))) >= observed for p in patterns)
    assert stats.sign_flip(differences) == pytest.approx(extreme / len(patterns))


@prop
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=30), st.integers(0, 5))
def test_sign_flip_ignores_direction_and_problems_without_a_difference(differences: list[int], same: int) -> None:
    p = stats.sign_flip(differences)
    assert stats.sign_flip([-d for d in differences] + [0] * same) == p
    assert 0 < p <= 1


def test_bootstrap_agrees_with_the_normal_interval_of_many_problems() -> None:
    differences = [1] * 160 + [0] * 760 + [-1] * 80
    mean = sum(differences) / 1000
    half = 1.96 * math.sqrt(sum((d - mean) ** 2 for d in differences)) / 1000
    assert stats.bootstrap(differences) == pytest.approx((mean - half, mean + half), abs=0.003)


@prop
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=40), st.integers(0, 9))
def test_bootstrap_is_reproducible_and_within_the_differences(differences: list[int], seed: int) -> None:
    low, high = stats.bootstrap(differences, resamples=100, seed=seed)
    assert (low, high) == stats.bootstrap(differences, resamples=100, seed=seed)
    assert min(differences) <= low <= high <= max(differences)


def test_a_thousand_problems_are_compared_within_two_seconds() -> None:
    differences = [1] * 300 + [2] * 200 + [0] * 300 + [-1] * 200
    started = time.process_time()
    stats.bootstrap(differences)
    stats.sign_flip(differences)
    assert time.process_time() - started < 2
