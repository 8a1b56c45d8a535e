"""Evaluation: from checked held-out samples to outcomes, scores and the index of reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmst.core import stats
from mmst.core.errors import DataError, LeakError
from mmst.core.manifest import Manifest
from mmst.core.records import Outcome, Problem, Score, Split
from mmst.core.results import Measured
from mmst.core.stored import records
from mmst.stages.champion import report_name
from tests.support.promotion import candidate, checked, checkpoint, engines, evaluated, place, prepared, problem

MAIN = [problem(n) for n in range(10)]
RELATED = [problem(n, "related") for n in range(4)]


def by_text_only(p: Problem, method: str, index: int) -> bool:
    return method == "text"


def measured(world: Any, problems: list[Problem], passes: Any) -> tuple[dict[tuple[str, str], Score], Manifest]:
    _, manifest = candidate(world, "m", passes, problems)
    report = manifest.result(Measured).report
    return {(s.task, s.method): s for s in report.scores}, manifest


def test_pass_at_1_is_the_share_of_greedy_samples_that_passed(tmp_path: Path) -> None:
    right = {p.id for p in MAIN[:7]}
    scores, _ = measured(engines(tmp_path, evaluate__k=2), MAIN, lambda p, m, i: i > 0 or p.id in right)
    assert scores["main", "code"].pass_at_1 == 0.7
    assert (scores["main", "code"].low, scores["main", "code"].high) == stats.wilson(0.7, 10)


def test_the_score_of_all_methods_is_their_mean_per_task(tmp_path: Path) -> None:
    scores, _ = measured(engines(tmp_path), MAIN + RELATED, by_text_only)
    assert list(scores) == [(t, m) for t in ("main", "related") for m in ("text", "code", "*")]
    assert scores["main", "*"].pass_at_1 == 0.5
    assert scores["related", "*"].n == 4


def test_pass_at_k_is_the_unbiased_estimate_of_the_sampled_ones(tmp_path: Path) -> None:
    scores, _ = measured(engines(tmp_path, evaluate__k=6), MAIN, lambda p, m, i: i in (0, 3))
    assert scores["main", "text"].pass_at_k == {str(k): pytest.approx(k / 6) for k in (1, 2, 4, 6)}


def test_the_majority_of_the_sampled_answers_votes(tmp_path: Path) -> None:
    # Wrong samples each answer something else, so two right ones of six are the commonest answer.
    world = engines(tmp_path, evaluate__k=6)
    half = {p.id for p in MAIN[:5]}
    scores, manifest = measured(world, MAIN, lambda p, m, i: i in (2, 5) and p.id in half)
    assert scores["main", "text"].majority == 0.5
    assert {o.majority for o in records(world.store, manifest, Outcome) if o.problem_id in half} == {True}


def test_without_sampled_ones_there_is_no_pass_at_k_and_no_vote(tmp_path: Path) -> None:
    scores, _ = measured(engines(tmp_path), MAIN, by_text_only)
    assert scores["main", "*"].pass_at_k == {}
    assert scores["main", "text"].majority is None


def test_every_problem_and_method_has_one_outcome_in_a_fixed_order(tmp_path: Path) -> None:
    world = engines(tmp_path)
    _, manifest = measured(world, MAIN + RELATED, by_text_only)
    kept = [(o.problem_id, o.method) for o in records(world.store, manifest, Outcome)]
    assert kept == [(p.id, m) for p in MAIN + RELATED for m in ("text", "code")]


ONLY_TEXT = [replace(p, task="reading", methods=("text",)) for p in RELATED]


def test_a_problem_is_measured_by_its_own_methods_alone(tmp_path: Path) -> None:
    scores, manifest = measured(engines(tmp_path, evaluate__k=2), MAIN + ONLY_TEXT, by_text_only)
    assert list(scores) == [
        ("main", "text"), ("main", "code"), ("main", "*"), ("reading", "text"), ("reading", "*"),
    ]  # fmt: skip
    assert (scores["reading", "*"].pass_at_1, scores["reading", "*"].n) == (1.0, 4)
    assert manifest.counts["outcomes"] == 24


def test_a_missing_greedy_sample_by_its_own_method_is_refused(tmp_path: Path) -> None:
    world = engines(tmp_path)
    model = checkpoint(world.store, "m")
    results = checked(world.store, MAIN, model, by_text_only, world.config.methods)
    with pytest.raises(DataError, match="no greedy sample by text"):
        evaluated(world, prepared(world.store, heldout=MAIN + ONLY_TEXT), results, model)


def test_reports_by_other_methods_are_of_other_held_out_sets(tmp_path: Path) -> None:
    both = [replace(p, methods=()) for p in ONLY_TEXT]
    _, one = measured(engines(tmp_path / "1"), MAIN + ONLY_TEXT, by_text_only)
    _, two = measured(engines(tmp_path / "2"), MAIN + both, by_text_only)
    assert one.result(Measured).report.heldout != two.result(Measured).report.heldout


def test_families_count_greedy_passes(tmp_path: Path) -> None:
    _, manifest = measured(engines(tmp_path), MAIN, by_text_only)
    assert dict(manifest.result(Measured).families) == {
        "main/code/f0": (0, 5),
        "main/code/f1": (0, 5),
        "main/text/f0": (5, 5),
        "main/text/f1": (5, 5),
    }


@pytest.mark.parametrize("part", ["train", "annotated"])
def test_a_held_out_problem_that_is_trained_on_is_refused(tmp_path: Path, part: str) -> None:
    world = engines(tmp_path)
    model = checkpoint(world.store, "m")
    leaking = prepared(world.store, heldout=MAIN, **{part: [replace(MAIN[3], split=Split.TRAIN)]})
    results = checked(world.store, MAIN, model, by_text_only, world.config.methods)
    with pytest.raises(LeakError, match="1 held-out problems are also trained on") as e:
        evaluated(world, leaking, results, model)
    assert MAIN[3].question in str(e.value)


def test_a_held_out_problem_without_its_greedy_sample_is_no_wrong_answer(tmp_path: Path) -> None:
    world = engines(tmp_path)
    model = checkpoint(world.store, "m")
    results = checked(world.store, MAIN[1:], model, by_text_only, world.config.methods)
    with pytest.raises(DataError, match="no greedy sample by text"):
        evaluated(world, prepared(world.store, heldout=MAIN), results, model)


def test_no_held_out_problem_at_all_is_a_user_error(tmp_path: Path) -> None:
    world = engines(tmp_path)
    model = checkpoint(world.store, "m")
    results = checked(world.store, [], model, by_text_only, world.config.methods)
    with pytest.raises(DataError, match="no held-out problems"):
        evaluated(world, prepared(world.store, train=MAIN), results, model)


def test_the_same_work_has_the_same_digest_in_another_store(tmp_path: Path) -> None:
    _, one = measured(engines(tmp_path / "1"), MAIN, by_text_only)
    _, two = measured(engines(tmp_path / "2"), MAIN, by_text_only)
    assert one.digest == two.digest


def test_another_arm_is_another_report_of_the_same_held_out_set(tmp_path: Path) -> None:
    world = engines(tmp_path)
    _, one = candidate(world, "m", by_text_only, MAIN)
    _, two = candidate(world, "m", by_text_only, MAIN, at=place(arm="own-text"))
    assert one.key != two.key
    assert one.result(Measured).report.heldout == two.result(Measured).report.heldout


def test_the_held_out_digest_does_not_depend_on_the_order_of_the_problems(tmp_path: Path) -> None:
    _, one = measured(engines(tmp_path / "1"), MAIN, by_text_only)
    _, two = measured(engines(tmp_path / "2"), MAIN[::-1], by_text_only)
    assert one.result(Measured).report.heldout == two.result(Measured).report.heldout


def test_the_index_finds_the_report_and_a_lost_entry_is_made_again(tmp_path: Path) -> None:
    world = engines(tmp_path)
    model, manifest = candidate(world, "m", by_text_only, MAIN)
    name = report_name(manifest.result(Measured).report.heldout, manifest.result(Measured).protocol, model.digest)
    assert world.store.read(name) == manifest.ref.encode()
    (tmp_path / name).unlink()
    candidate(world, "m", by_text_only, MAIN)
    assert world.store.read(name) == manifest.ref.encode()
