"""Records: read back as they were written, and nothing else is read."""

import contextlib
import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core import records
from mmst.core.errors import DataError
from mmst.core.records import (
    CheckedSample,
    Decision,
    Example,
    Outcome,
    Problem,
    Report,
    Sample,
    Score,
    Translation,
    digest,
    from_json,
    seed_of,
    short_id,
    to_data,
    to_json,
)

KINDS = [Problem, Sample, Translation, CheckedSample, Example, Outcome, Score, Report, Decision]
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


def finite(data: Any) -> bool:
    """Whether every number in plain data is one that JSON has (hypothesis once drew a NaN in spite of the above)."""
    if isinstance(data, dict | list):
        return all(map(finite, data.values() if isinstance(data, dict) else data))
    return not isinstance(data, float) or math.isfinite(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PROBLEMS = st.builds(
    Problem,
    task=st.text(),
    family=st.text(),
    solutions=st.dictionaries(st.text(), st.text()),
    further=st.dictionaries(st.text(), JSON, max_size=3),
)
st.register_type_strategy(Problem, PROBLEMS)
RECORDS = st.one_of(*(st.from_type(kind) for kind in KINDS)).filter(lambda record: finite(to_data(record)))


@given(RECORDS)
def test_a_record_is_read_back_as_it_was(record: object) -> None:
    assert from_json(type(record), to_json(record)) == record


@given(RECORDS)
def test_a_record_is_one_line(record: object) -> None:
    assert "\n" not in to_json(record)


@given(RECORDS)
def test_the_digest_does_not_depend_on_the_order_of_fields(record: object) -> None:
    data = to_data(record)
    assert digest(dict(reversed(data.items()))) == digest(record)


@given(RECORDS, st.data())
def test_a_missing_required_field_is_named(record: object, data: st.DataObject) -> None:
    required = [
        f.name
        for f in dataclasses.fields(record)  # type: ignore[arg-type]
        if f.default is f.default_factory is dataclasses.MISSING
    ]
    name = data.draw(st.sampled_from(required))
    plain = to_data(record)
    del plain[name]
    with pytest.raises(DataError, match=f"lacks the field '{name}'"):
        from_json(type(record), json.dumps(plain))


@given(RECORDS)
def test_an_unknown_field_is_refused(record: object) -> None:
    with pytest.raises(DataError, match="has no field 'surprise'"):
        from_json(type(record), json.dumps(to_data(record) | {"surprise": 1}))


@given(st.sampled_from(KINDS), JSON)
def test_any_other_json_is_a_data_error_or_a_record(kind: type, data: object) -> None:
    with contextlib.suppress(DataError):
        assert isinstance(from_json(kind, json.dumps(data)), kind)


@given(st.sampled_from(KINDS), st.text())
def test_any_other_text_is_a_data_error(kind: type, text: str) -> None:
    with pytest.raises(DataError):
        from_json(kind, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_neither_read_nor_written(number: str) -> None:
    line = to_json(_sample()).replace('"temperature":0.0', f'"temperature":{number}')
    assert number in line
    with pytest.raises(DataError, match=f"{number} is not a JSON number"):
        from_json(Sample, line)
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(dataclasses.replace(_sample(), temperature=float(number)))


def test_a_wrong_type_is_named_with_its_value() -> None:
    with pytest.raises(DataError, match=r"Sample\.index must be int, got True"):
        from_json(Sample, json.dumps(to_data(_sample()) | {"index": True}))


def test_ids_and_seeds_depend_on_their_parts_alone() -> None:
    assert short_id("s", "a", 1) == short_id("s", "a", "1") != short_id("s", "a1")
    assert seed_of("a", 1) != seed_of("a", 2)
    assert 0 <= seed_of("x") < 2**31


def test_lone_surrogates_can_be_hashed() -> None:
    assert records.sha256("\ud800").startswith("sha256:")


def _sample() -> Sample:
    return Sample(
        id="s-1", problem_id="p-1", method="text", index=0, prompt="p", completion="c", finish="stop",
        prompt_tokens=1, tokens=1, seed=1, model="recorded",
    )  # fmt: skip
