"""Errors: what people read of them, and how they go from one process to another."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core import errors
from mmst.core.errors import MmstError, PlatformError, SetupError, StoreError
from mmst.core.ports import Unfinished

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MmstError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    assert sorted(drawn) == sorted(kind.__name__ for kind in KINDS)


@given(
    kind=st.sampled_from(KINDS),
    what=st.text(),
    why=st.text(),
    remedy=st.text(),
    place=st.text(),
    value=st.one_of(st.none(), st.integers(), st.text(max_size=300)),
)
def test_an_error_reads_the_same_in_another_process(
    kind: type[MmstError], what: str, why: str, remedy: str, place: str, value: object
) -> None:
    error = kind(what, value=value, why=why, remedy=remedy)
    error.place = place
    read = MmstError.from_data(json.loads(json.dumps(error.to_data())))
    assert (type(read), str(read), read.exit_code) == (kind, str(error), kind.exit_code)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_pickle(kind: type[MmstError]) -> None:
    error = kind("the bucket is full", value=3, why="no space", remedy="free some")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("data", [{}, {"kind": "KeyboardInterrupt", "what": "x"}, {"kind": "MmstErrors"}])
def test_what_is_no_error_of_ours_is_trouble_of_the_platform(data: dict[str, str]) -> None:
    assert type(MmstError.from_data(data)) is PlatformError


def test_one_below_the_tree_becomes_its_nearest_kind() -> None:
    assert type(MmstError.from_data(Unfinished("no answer").to_data())) is errors.SamplerError


def test_no_credential_leaves_with_an_error() -> None:
    error = StoreError("cannot reach https://me:hunter2@host", why="https://me:hunter2@host", remedy="x")
    assert "hunter2" not in json.dumps(error.to_data())


def test_the_log_of_a_stage_is_named_last() -> None:
    error = SetupError("no gVisor", remedy="apt-get install runsc")
    error.place, error.log = "check (round 1, mmst)", "runs/demo/run.log"
    assert str(error) == "check (round 1, mmst): no gVisor. Remedy: apt-get install runsc [log: runs/demo/run.log]"
