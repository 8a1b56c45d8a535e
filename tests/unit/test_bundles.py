"""Works and answers: what a sandbox says counts only in exactly the shape in which it was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmst.bundles import Nonsense, Waiting, Work
from mmst.errors import UserError
from mmst.ports import Limits, Program

LIMITS = Limits(timeout=1.0, output_kib=1)
ALONE = Work((Program(id="a", source="import os"),), LIMITS)
BOTH = Work((Program(id="a", source="print(1)"), Program(id="b", source="print(2)")), LIMITS)


def answer(**changes: Any) -> dict[str, Any]:
    good = {"id": "a", "status": 0, "cut": "", "stdout": "1\n", "stderr": "", "seconds": 0.1, "peak_kib": 2048}
    return {**good, **changes}


def said(**changes: Any) -> bytes:
    return json.dumps(answer(**changes)).encode()


def test_an_answer_becomes_an_execution() -> None:
    [e] = ALONE.executions(said(), LIMITS) or []
    assert (e.id, e.outcome, e.stdout, e.seconds, e.peak_mib) == ("a", "ok", "1\n", 0.1, 2.0)


def test_a_bundles_answer_names_each_program_in_order() -> None:
    body = json.dumps({"id": "a", "peak_kib": 0, "results": [answer(stdout="1\n"), answer(stdout="2\n")]}).encode()
    assert [(e.id, e.stdout) for e in BOTH.executions(body, LIMITS) or []] == [("a", "1\n"), ("b", "2\n")]


def test_a_bundle_that_was_not_carried_out_as_a_whole_is_done_again() -> None:
    assert BOTH.executions(json.dumps({"id": "a", "results": []}).encode(), LIMITS) is None


def test_a_program_killed_by_nobody_is_done_again_once() -> None:
    assert ALONE.executions(said(status=-9), LIMITS) is None
    [e] = Work(ALONE.programs, LIMITS, tries=1).executions(said(status=-9), LIMITS) or []
    assert (e.outcome, e.detail) == ("crashed", "killed by SIGKILL")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000,
        said(id="b"), said(status="0"), said(status=True), said(status=None), said(cut="x"), said(stdout=1),
        said(stdout="x" * 1025), said(stderr=None), said(seconds=-1), said(seconds="1"), said(peak_kib=[]),
        said().replace(b"0.1", b"NaN"), said().replace(b"0.1", b"Infinity"), said().replace(b"0.1", b"1e999"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(Nonsense):
        ALONE.executions(body, LIMITS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*answer(), "results"]), _JSON))
def test_any_json_is_an_answer_or_refused(changes: dict[str, Any]) -> None:
    for work in (ALONE, BOTH):
        try:
            found = work.executions(json.dumps({**answer(), **changes}).encode(), LIMITS)
        except Nonsense:
            continue
        assert found is None or [e.id for e in found] == [p.id for p in work.programs]


def test_a_frame_is_one_line() -> None:
    work = Work((Program(id="a\n", source="x = '''\n\u2028'''", stdin="\r\n"),), LIMITS)
    assert len(work.frame().splitlines()) == 1
    assert json.loads(work.frame())["sources"] == ["x = '''\n\u2028'''"]


def test_what_is_not_to_blame_is_run_as_before_and_a_suspect_alone() -> None:
    waiting = Waiting([], LIMITS)
    waiting.again(BOTH, blamed=False)
    waiting.again(BOTH)
    waiting.again(ALONE)
    found = list(waiting)
    assert found[0] is BOTH
    assert [(w.id, w.tries) for w in found[1:]] == [("a", 0), ("b", 0), ("a", 1)]


def test_ids_must_be_unique() -> None:
    with pytest.raises(UserError, match="same id"):
        list(Waiting([Program(id="a", source="1"), Program(id="a", source="2")], LIMITS))


def test_a_long_sleeper_is_cut_short_only_where_it_would_outlast_the_limit() -> None:
    sleeper = Program(id="a", source="import time\ntime.sleep(70)")
    limits = [Limits(timeout=1.0), Limits(timeout=60.0), Limits(timeout=300.0)]
    assert [next(iter(Waiting([sleeper], limit))).limits.timeout for limit in limits] == [0.1, 60.0, 300.0]
