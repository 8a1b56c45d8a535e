"""Which verified solutions an arm trains on: none is lost on the way, and the order does not matter."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.arms import Arm, built_in
from mmst.stages.selection import Candidate, looser, select
from mmst.stages.selection import candidates as candidates_of
from tests.support.solutions import sample

METHODS = ("text", "code")
ARMS = built_in(METHODS)
OTHER = {"text": "code", "code": "text"}

candidates = st.lists(
    st.builds(
        Candidate,
        id=st.uuids().map(str),
        problem_id=st.sampled_from(["p-1", "p-2", "p-3"]),
        method=st.sampled_from(METHODS),
        origin=st.sampled_from(["", *METHODS]),
        form=st.sampled_from([b"a", b"b", b"c", b"d", b"e"]),
        passed=st.booleans(),
    ),
    max_size=60,
    unique_by=lambda c: c.id,
)
any_arm = st.sampled_from(sorted(ARMS)) | st.builds(
    Arm,
    methods=st.sampled_from([(), ("text",), ("code",)]),
    origins=st.sampled_from([(), ("own",), ("translation",)]),
    directions=st.sampled_from([(), ("text-to-code",), ("code-to-text",)]),
    keep=st.sampled_from(["passed", "unverified", "any"]),
    solved_by=st.sampled_from(["any", "one", "several", "all"]),
    per_problem=st.integers(0, 3),
    equal_to=st.lists(st.sampled_from(sorted(ARMS)), max_size=2).map(tuple),
    equal=st.sampled_from(["method", "total"]),
    annotated=st.sampled_from(["replay", "only", "none"]),
)


def candidate(n: int, *, problem: int = 1, method: str = "code", origin: str = "", form: str = "") -> Candidate:
    return Candidate(f"s-{n}", f"p-{problem}", method, origin, (form or str(n)).encode())


def selected(pool: Sequence[Candidate], arm: str | Arm, cap: int, balance: bool) -> tuple[frozenset[str], Any]:
    what = ARMS[arm] if isinstance(arm, str) else arm
    return select(pool, what, [ARMS[name] for name in what.equal_to], METHODS, cap, balance)


def chosen(pool: Iterable[Candidate], arm: str | Arm = "mmst", cap: int = 9, balance: bool = False) -> list[Candidate]:
    pool = list(pool)
    ids, _ = selected(pool, arm, cap, balance)
    return [c for c in pool if c.id in ids]


@given(candidates, any_arm, st.integers(1, 5), st.booleans())
def test_every_candidate_has_one_fate(pool: Any, arm: Any, cap: int, balance: bool) -> None:
    ids, fates = selected(pool, arm, cap, balance)
    assert len(ids) + sum(fates.values()) == len(pool)


@given(candidates, any_arm, st.integers(1, 5), st.booleans(), st.randoms())
def test_the_choice_does_not_depend_on_the_order(pool: Any, arm: Any, cap: int, balance: bool, random: Any) -> None:
    shuffled = random.sample(pool, len(pool))
    assert selected(pool, arm, cap, balance) == selected(shuffled, arm, cap, balance)


@given(candidates, st.sampled_from(sorted(ARMS)), st.integers(1, 5))
def test_no_problem_has_more_than_the_cap_or_the_same_solution_twice(pool: Any, arm: str, cap: int) -> None:
    kept = chosen(pool, arm, cap)
    assert max(Counter((c.problem_id, c.method) for c in kept).values(), default=0) <= cap
    assert len({(c.problem_id, c.method, c.form) for c in kept}) == len(kept)


@given(candidates, st.integers(1, 5), st.booleans())
def test_equal_data_has_the_counts_of_no_translation(pool: Any, cap: int, balance: bool) -> None:
    counts = [Counter(c.method for c in chosen(pool, arm, cap, balance)) for arm in ("equal-data", "no-translation")]
    assert counts[0] == counts[1]


@given(candidates, st.integers(1, 5), st.booleans())
def test_equal_total_has_no_more_examples_than_one_method_alone(pool: Any, cap: int, balance: bool) -> None:
    alone = max(len(chosen(pool, f"own-{name}", cap, balance)) for name in METHODS)
    assert len(chosen(pool, "equal-total", cap, balance)) == min(alone, len(chosen(pool, "mmst", cap, balance)))


@given(candidates, st.integers(1, 5), st.booleans())
def test_the_arms_by_solvers_have_the_same_counts_and_no_problem_in_common(pool: Any, cap: int, balance: bool) -> None:
    one, every = (chosen(pool, arm, cap, balance) for arm in ("solved-by-one", "solved-by-all"))
    assert Counter(c.method for c in one) == Counter(c.method for c in every)
    solvers = {
        c.problem_id: {o.method for o in pool if o.passed and not o.origin and o.problem_id == c.problem_id}
        for c in pool
    }
    assert {len(solvers[c.problem_id]) for c in one} <= {1}
    assert {len(solvers[c.problem_id]) for c in every} <= {2}


@given(candidates, any_arm)
def test_an_arm_takes_nothing_that_it_leaves_out(pool: Any, arm: Any) -> None:
    what = ARMS[arm] if isinstance(arm, str) else arm
    for c in chosen(pool, arm):
        origin = "translation" if c.origin else "own"
        assert c.method in (what.methods or METHODS)
        assert origin in (what.origins or ("own", "translation"))
        assert not c.origin or f"{c.origin}-to-{c.method}" in (what.directions or (f"{c.origin}-to-{c.method}",))
        assert c.passed or what.keep == "any" or (what.keep == "unverified" and c.origin)
        assert what.annotated != "only"


@given(candidates, st.integers(1, 5), st.booleans(), st.sampled_from(["method", "total"]))
def test_an_arm_is_cut_to_the_counts_of_another(pool: Any, cap: int, balance: bool, equal: Any) -> None:
    rival = chosen(pool, "own-code", cap, balance)
    cut = chosen(pool, Arm(equal_to=("own-code",), equal=equal), cap, balance)
    assert len(cut) == len(rival) if equal == "method" else len(cut) <= len(rival)


@pytest.mark.parametrize("equal", ["method", "total"])
def test_an_arm_is_cut_to_what_a_rival_that_takes_wrong_solutions_has(equal: Any) -> None:
    right = [candidate(n, problem=n) for n in range(8)]
    wrong = [candidate(n, problem=n)._replace(passed=False) for n in range(20, 24)]
    arm, rival = Arm(equal_to=("r",), equal=equal), Arm(keep="any", per_problem=1)
    few, all_of_them = right[:2], [*right[:2], *wrong]
    assert looser(arm, [rival]) == "any"
    assert looser(rival, [arm]) == ""
    kept, fates = select([*few, *right[2:]], arm, [rival], METHODS, 9, False, all_of_them)
    assert (len(kept), sum(fates.values())) == (6, 2)


def test_an_arm_may_take_fewer_solutions_of_a_problem_than_the_recipe() -> None:
    pool = [candidate(n, problem=n % 2) for n in range(8)]
    assert len(chosen(pool, Arm(per_problem=1))) == 2


def test_what_states_a_false_equation_is_left_out_where_an_arm_wants_sound_solutions() -> None:
    false = replace(sample(1, "text"), solution="3 + 4 = 8\nThe answer is 7")
    right = replace(sample(2, "text"), solution="3 + 4 = 7\nThe answer is 7")
    pool = list(candidates_of([false, right], Counter(), sound=True))
    assert [c.id for c in chosen(pool, Arm(sound=True))] == ["s-2"]
    assert len(chosen(pool, "mmst")) == 2


def test_balance_cuts_to_twice_the_smallest_method() -> None:
    pool = [candidate(n, problem=n) for n in range(10)] + [candidate(99, method="text"), candidate(98, method="text")]
    assert Counter(c.method for c in chosen(pool, balance=True)) == {"code": 4, "text": 2}


def test_a_single_method_is_not_balanced_away() -> None:
    assert len(chosen([candidate(n, problem=n) for n in range(10)], balance=True)) == 10


def test_an_own_sample_is_kept_before_a_translation_that_says_the_same() -> None:
    pool = [candidate(n, origin="" if n == 5 else "text", form="same") for n in range(9)]
    assert [c.id for c in chosen(pool)] == ["s-5"]


def test_under_the_cap_own_samples_and_translations_take_turns() -> None:
    pool = [candidate(n, origin="" if n < 8 else "text") for n in range(10)]
    assert Counter(c.origin for c in chosen(pool, cap=4)) == {"": 2, "text": 2}


@pytest.mark.parametrize(
    ("arm", "kept"),
    [
        ("mmst", {("text", ""), ("text", "code"), ("code", ""), ("code", "text")}),
        ("no-translation", {("text", ""), ("code", "")}),
        ("own-text", {("text", "")}),
        ("own-code", {("code", "")}),
        ("text-to-code", {("text", ""), ("code", ""), ("code", "text")}),
        ("code-to-text", {("text", ""), ("code", ""), ("text", "code")}),
        ("unverified", {("text", ""), ("text", "code"), ("code", ""), ("code", "text")}),
        ("annotated-only", set()),
    ],
)
def test_what_an_arm_trains_on(arm: str, kept: Any) -> None:
    pool = [
        candidate(i, method=m, origin=o) for i, (m, o) in enumerate((m, o) for m in METHODS for o in ("", OTHER[m]))
    ]
    assert {(c.method, c.origin) for c in chosen(pool, arm)} == kept


def test_a_wrong_translation_is_kept_only_where_no_correct_solution_says_the_same() -> None:
    wrong, right = (
        candidate(1, origin="text", form="same")._replace(passed=False),
        candidate(2, origin="text", form="same"),
    )
    assert chosen([wrong, right], "unverified") == [right]


@pytest.mark.parametrize(
    ("keep", "kept"), [("passed", ["t-2"]), ("unverified", ["t-1", "t-2"]), ("any", ["t-1", "t-2", "s-3"])]
)
def test_wrong_solutions_are_taken_where_nothing_is_verified(keep: str, kept: list[str]) -> None:
    wrong = [sample(1, passed=False, of="s-9"), sample(2, of="s-9"), sample(3, passed=False)]
    counts = Counter[str]()
    assert [c.id for c in candidates_of(wrong, counts, keep=keep)] == kept
    assert (counts["unverified"], counts["translated"], counts["translated_passed"]) == (len(kept) - 1, 2, 1)
