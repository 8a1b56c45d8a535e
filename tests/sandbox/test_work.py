"""Works: which programs are evaluated first, and what a sandbox's reply says of one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.errors import UserError
from mmst.core.ports import Evaluation, Limits, Program
from mmst.sandbox.replies import Nonsense, Reply
from mmst.sandbox.work import Waiting, Work, chosen

LIMITS = Limits(timeout=1.0, output_kib=64)
RUN = Work(Program(id="a", source="import os"), LIMITS)
IN_POD = replace(RUN, evaluate=True)


def test_a_reply_becomes_an_execution() -> None:
    e = RUN.execution(Reply(id="a", status=0, stdout="1\n", seconds=0.1, peak_kib=2048))
    assert e
    assert (e.id, e.exit_status, e.stdout, e.seconds, e.peak_mib) == ("a", "ok", "1\n", 0.1, 2.0)
    assert e.evaluation is Evaluation.NONE


def test_a_program_killed_by_nobody_is_run_again_once() -> None:
    killed = Reply(id="a", status=-9)
    assert RUN.execution(killed) is None
    again = replace(RUN, tries=1).execution(killed)
    assert again
    assert (again.exit_status, again.detail) == ("crashed", "killed by SIGKILL")


def test_what_was_evaluated_only_is_done() -> None:
    e = IN_POD.execution(Reply(id="a", evaluated="42\n"))
    assert e
    assert (e.exit_status, e.stdout, e.evaluation) == ("ok", "42\n", Evaluation.FINISHED)


@pytest.mark.parametrize("work", [IN_POD, replace(RUN, evaluated="42\n")], ids=["in a pod", "here"])
@pytest.mark.parametrize(
    ("said", "evaluation"),
    [
        ({"status": 0, "stdout": "42\n"}, Evaluation.CONFIRMED),
        ({"status": 0, "stdout": "43\n"}, Evaluation.CONTRADICTED),
        ({"status": 0, "stdout": "42\n", "stderr": "a warning"}, Evaluation.CONTRADICTED),
        ({"status": 1, "stdout": "42\n"}, Evaluation.CONTRADICTED),
    ],
)
def test_what_cpython_says_counts_where_both_were_asked(
    work: Work, said: dict[str, object], evaluation: Evaluation
) -> None:
    e = work.execution(Reply(id="a", **said, evaluated="42\n" if work.evaluate else None))  # type: ignore[arg-type]
    assert e
    assert (e.stdout, e.evaluation) == (said["stdout"], evaluation)
    assert e.exit_status == ("crashed" if said["status"] else "ok")


@pytest.mark.parametrize("reply", [Reply(id="b", status=0), Reply(id="a", evaluated="1")])
def test_the_answer_to_another_question_is_none(reply: Reply) -> None:
    with pytest.raises(Nonsense, match="another request"):
        RUN.execution(reply)


def test_a_frame_is_one_line() -> None:
    work = Work(Program(id="a\n", source="x = '''\n\u2028'''", stdin="\r\n"), LIMITS)
    assert len(work.frame().splitlines()) == 1
    assert json.loads(work.frame())["source"] == "x = '''\n\u2028'''"


@pytest.mark.parametrize(
    ("program", "limits", "evaluate"),
    [
        (Program(id="a", source="print(1)"), LIMITS, True),
        (Program(id="a", source="print(1)", stdin="x"), LIMITS, False),
        (Program(id="a", source="#" * 10**6), LIMITS, False),
        (Program(id="a", source="print(1)"), Limits(timeout=0.1), False),
        (Program(id="a", source="print(1)"), Limits(memory_mib=32), False),
        (Program(id="a", source="print(1)"), Limits(output_kib=1), False),
    ],
)
def test_what_the_evaluators_own_bounds_cannot_stand_for_is_run(
    program: Program, limits: Limits, evaluate: bool
) -> None:
    [work] = Waiting([program], limits)
    assert work.evaluate is evaluate


def test_without_an_evaluator_every_program_is_run() -> None:
    [work] = Waiting([Program(id="a", source="print(1)")], LIMITS, evaluate=False, recheck=1.0)
    assert (work.evaluate, work.recheck) == (False, False)


def test_what_is_not_to_blame_is_run_as_before_and_a_suspect_is_not_evaluated() -> None:
    waiting = Waiting([], LIMITS)
    waiting.again(IN_POD, blamed=False)
    waiting.again(IN_POD)
    assert [(w.evaluate, w.tries) for w in waiting] == [(True, 0), (False, 1)]


def test_ids_must_be_unique() -> None:
    with pytest.raises(UserError, match="same id"):
        list(Waiting([Program(id="a", source="1"), Program(id="a", source="2")], LIMITS))


def test_a_share_is_chosen_by_the_programs_alone() -> None:
    sources = [f"print({i})" for i in range(20_000)]
    some = [s for s in sources if chosen(s, 0.01)]
    assert 120 < len(some) < 280
    assert some == [s for s in sources if chosen(s, 0.01)]


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_the_smaller_one(source: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert chosen(source, small) <= chosen(source, large)
    assert (chosen(source, 0.0), chosen(source, 1.0)) == (False, True)
