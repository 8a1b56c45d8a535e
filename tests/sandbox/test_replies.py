"""Replies: what a sandbox says counts only in exactly the shape in which it was asked for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmst.sandbox import replies
from mmst.sandbox.replies import Nonsense, Reply

OUTPUT = 1024


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fields(**changes: Any) -> dict[str, Any]:
    good = {
        "id": "a", "status": 0, "cut": "", "stdout": packed(b"1\n"), "stderr": "", "seconds": 0.1, "peak_kib": 2048,
    }  # fmt: skip
    return {**good, **changes}


def said(**changes: Any) -> bytes:
    return json.dumps(fields(**changes)).encode()


def test_a_reply_is_read() -> None:
    assert replies.reply(said(), output=OUTPUT) == Reply(id="a", status=0, stdout="1\n", seconds=0.1, peak_kib=2048)


def test_bounds_are_bytes() -> None:
    full = said(stdout=packed("€".encode() * 341 + b"a"))
    assert len(replies.reply(full, output=OUTPUT).stdout) == 342
    with pytest.raises(Nonsense, match="stdout"):
        replies.reply(said(stdout=packed("€".encode() * 341 + b"ab")), output=OUTPUT)


def test_bytes_that_are_no_text_are_replaced_and_no_surrogate_comes_out() -> None:
    assert replies.reply(said(stdout=packed(b"a\xff\xed\xa0\x80b")), output=OUTPUT).stdout.encode()
    assert replies.reply(said(stdout=packed(b"a\xffb")), output=OUTPUT).stdout == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000,
        said(id=1), said(id=None), said(status="0"), said(status=True), said(status=None), said(status=0.0),
        said(status=256), said(status=-65), said(status=10**400), said(cut="x"), said(cut=None), said(stdout=1),
        said(stdout="not base64!"), said(stdout="\ud800"), said(stdout=packed(b"x" * 1025)), said(stderr=None),
        said(stderr=packed(b"x" * 4097)), said(seconds=-1), said(seconds="1"), said(seconds=1e7), said(seconds=True),
        said(peak_kib=[]), said(peak_kib=10**400), said(peak_kib=-1), said(peak_kib=1.5), said(more=1),
        said(evaluated=1), said(spent=1), said(spent=None), said(evaluated=packed(b"x" * 1025)),
        said().replace(b"0.1", b"NaN"), said().replace(b"0.1", b"Infinity"), said().replace(b"0.1", b"1e999"),
        said().replace(b"0.1", b"9" * 5000), b'{"id": "a"}', b'{"id": "a", "status": 0, "status": 1}',
        said() + b" " * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(Nonsense):
        replies.reply(body, output=OUTPUT)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*fields(), "evaluated"]), _JSON))
def test_any_json_is_a_reply_within_the_bounds_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = replies.reply(json.dumps({**fields(), **changes}).encode(), output=OUTPUT)
    except Nonsense:
        return
    assert len(found.stdout) <= OUTPUT
    assert -65 < (found.status or 0) < 256


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(Nonsense):
        replies.reply(body, output=OUTPUT)
    assert replies.asked(body) == ""


def test_evaluations_are_as_many_as_were_asked_for() -> None:
    body = json.dumps({"results": [packed(b"1\n"), None]}).encode()
    assert replies.evaluations(body, 2, output=OUTPUT) == ["1\n", None]
    for wrong in (1, 3):
        with pytest.raises(Nonsense):
            replies.evaluations(body, wrong, output=OUTPUT)


@pytest.mark.parametrize("results", [None, {}, [1], [True], ["x"], [packed(b"x" * 1025)]])
def test_what_is_no_evaluation_is_refused(results: object) -> None:
    with pytest.raises(Nonsense):
        replies.evaluations(json.dumps({"results": results}).encode(), 1, output=OUTPUT)
