"""Summaries and single problems of a run, read from a real store."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmst.core.errors import UserError
from mmst.core.records import Problem
from mmst.runs import problem_history, summary
from tests.support.runs import PROBLEMS, Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "out")


def test_the_funnel_counts_by_method_and_over_all(made: Made) -> None:
    round = summary.summarise(made.store, made.whole()).rounds[1]
    assert round.funnel == {"asked": 2, "passed": 1, "translated": 1, "passed_again": 1, "kept": 1}
    assert round.funnels["text"] == {"asked": 1, "passed": 0, "translated": 1, "passed_again": 1, "kept": 1}
    assert round.funnels["code"] == {"asked": 1, "passed": 1, "translated": 0, "passed_again": 0, "kept": 0}


def test_a_round_holds_its_arms_and_its_decision(made: Made) -> None:
    done = summary.summarise(made.store, made.whole())
    assert [list(r.arms) for r in done.rounds] == [["base"], ["mmst", "annotated-only"]]
    assert done.rounds[1].main_arm == "mmst"
    assert done.decision is not None
    assert done.decision.gain == 0.1
    assert done.config == made.config


def test_timings_of_a_control_stand_apart(made: Made) -> None:
    timings = summary.summarise(made.store, made.whole()).rounds[1].timings
    assert timings == {"verify": {"seconds": 2.0}, "annotated-only/train": {"seconds": 3.0}}


def test_a_stage_under_way_is_not_complete_and_says_how_many_shards_it_has(made: Made) -> None:
    state = summary.summarise(made.store, made.whole()).rounds[1].stage("report")
    assert state is not None
    assert (state.complete, state.shards) == (False, 1)


def test_a_run_that_has_just_begun_can_be_summarised(made: Made) -> None:
    made.stage(0, "base", "prepare", finish=False)
    done = summary.summarise(made.store, made.run)
    assert [r.funnel for r in done.rounds] == [{}]
    assert done.decision is None


def test_one_seed_and_generated_problems_are_noted(made: Made) -> None:
    notes = " ".join(summary.summarise(made.store, made.whole()).notes)
    assert "One seed" in notes
    assert "on purpose" in notes


def test_a_run_is_found_by_the_beginning_of_its_name(made: Made) -> None:
    made.whole()
    assert summary.find_run(made.store, "made") == made.run
    with pytest.raises(UserError, match=made.run):
        summary.find_run(made.store, "other")


def test_an_ambiguous_beginning_is_refused(made: Made) -> None:
    made.whole()
    made.store.write("runs/made-2/config.json", b"{}")
    with pytest.raises(UserError, match="several runs"):
        summary.find_run(made.store, "made")


def test_without_a_choice_the_story_is_of_a_problem_that_a_translation_taught(made: Made) -> None:
    told = problem_history.story(made.store, made.whole())
    assert told.problem == PROBLEMS[1]
    round = told.rounds[-1]
    assert [s.verdict for s in round.samples] == ["passed", "wrong"]
    source = round.source_of(round.translations[0])
    assert source is not None
    assert source.solution == "print(1 + 1)"
    assert [e.origin for e in round.trained["mmst"]] == ["translation"]


def test_a_story_by_index_and_by_id_agree(made: Made) -> None:
    run = made.whole()
    assert problem_history.story(made.store, run, index=2) == problem_history.story(made.store, run, "p-2")


@pytest.mark.parametrize(("problem", "index"), [("p-9", None), ("", 3)])
def test_a_problem_that_is_not_there_is_refused(made: Made, problem: str, index: int | None) -> None:
    with pytest.raises(UserError, match="got"):
        problem_history.story(made.store, made.whole(), problem, index)


def test_a_sample_is_found_by_the_beginning_of_its_id(made: Made) -> None:
    run = made.whole()
    checked, config = problem_history.find_sample(made.store, run, "s-p-1-co")
    assert (checked.sample.id, config) == ("s-p-1-code", made.config)


@pytest.mark.parametrize("name", ["s-nothing", "s-p-"])
def test_no_sample_or_several_are_refused(made: Made, name: str) -> None:
    with pytest.raises(UserError, match="Remedy: mmst show"):
        problem_history.find_sample(made.store, made.whole(), name)


def test_a_problem_whose_id_begins_like_another_is_not_mixed_up(made: Made) -> None:
    longer = replace(PROBLEMS[0], id="p-10")
    manifest = made.stage(0, "base", "prepare", {"train-00000.jsonl": [longer, *PROBLEMS]})
    assert [p.id for p in problem_history.lines_about(made.store, manifest, Problem, "p-1")] == ["p-1"]
