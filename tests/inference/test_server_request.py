"""Bodies are read strictly: one type and one limit a field, and the field's name in what is said."""

import contextlib
import json
from typing import Any

import pytest

pytest.importorskip("orjson")

from hypothesis import given
from hypothesis import strategies as st

from mmst.inference.providers.openai_dialect import NEUTRAL
from mmst.inference.server.request import BODY_BYTES, FIELDS, VALUES, Asked, BadRequest, _values, read
from tests.support.serve_abuse import QUICK


def reading(raw: bytes, context: int = 2048) -> Asked:
    return read(raw, model="tiny", context=context, id="r", seed=7)


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "tiny", "prompt": "1 + 1 =", **fields}).encode()


@pytest.mark.parametrize(("name", "value"), QUICK)
def test_a_value_of_another_type_or_beyond_its_limit_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        reading(f'{{"model": "tiny", "prompt": "1", "{name}": {value}}}'.encode())
    assert refused.value.status == 400
    assert len(str(refused.value)) < 300


def test_what_switches_off_what_this_server_has_not_is_taken_and_nothing_else() -> None:
    reading(body(**NEUTRAL))
    for name in NEUTRAL:
        with pytest.raises(BadRequest, match=name):
            reading(body(**{name: 0.5}))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"n": 1, "temperature": 1.0, "top_p": 1.0, "max_tokens": 16, "stop": (), "seed": 7}),
        ({"n": 256}, {"n": 256}),
        ({"temperature": 0}, {"temperature": 0.0}),
        ({"temperature": 5}, {"temperature": 5.0}),
        ({"temperature": 1e-310}, {"temperature": 1e-310}),
        ({"top_p": 1}, {"top_p": 1.0}),
        ({"top_p": 5e-324}, {"top_p": 5e-324}),
        ({"max_tokens": 1 << 20}, {"max_tokens": 1 << 20}),
        ({"seed": -(2**63)}, {"seed": -(2**63)}),
        ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
        ({"seed": 0}, {"seed": 0}),
        ({"seed": None, "stop": None, "user": None, "logprobs": None}, {"seed": 7, "stop": ()}),
        ({"stop": "\n"}, {"stop": ("\n",)}),
        ({"stop": []}, {"stop": ()}),
        ({"stop": ["é" * 256] * 16}, {"stop": ("é" * 256,) * 16}),
        ({"prompt": ["a"]}, {"prompt": "a"}),
        ({"prompt": '["{,' * 2000}, {"prompt": '["{,' * 2000}),
        ({"prompt": '\\"' * 9000}, {"prompt": '\\"' * 9000}),
        ({"prompt": "\0\u2028🍎"}, {"prompt": "\0\u2028🍎"}),
        ({"user": "[" * 5000}, {}),
    ],
)
def test_what_is_well_is_taken_as_it_is(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = reading(body(**fields)).request
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize("name", ["model", "prompt"])
def test_what_is_missing_is_named(name: str) -> None:
    fields = {"model": "tiny", "prompt": "1"}
    del fields[name]
    with pytest.raises(BadRequest, match=name):
        reading(json.dumps(fields).encode())


def test_another_model_is_not_found() -> None:
    with pytest.raises(BadRequest, match="gpt-9") as refused:
        reading(body(model="gpt-9"))
    assert (refused.value.status, refused.value.parameter) == (404, "model")


def test_a_prompt_is_measured_against_the_context_before_it_is_tokenised() -> None:
    assert reading(body(prompt="é" * 32), context=2).request.prompt
    with pytest.raises(BadRequest, match="66 bytes") as refused:
        reading(body(prompt="é" * 33), context=2)
    assert refused.value.parameter == "prompt"


def test_a_body_beyond_its_size_is_413() -> None:
    with pytest.raises(BadRequest) as refused:
        reading(b" " * (BODY_BYTES + 1))
    assert refused.value.status == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(FIELDS)), inner),
    max_leaves=20,
)


def size(value: Any) -> int:
    """Brackets, strings, and commas of a JSON value."""
    if isinstance(value, str):
        return 1
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(size, value))
    if isinstance(value, dict):
        return 1 + max(0, len(value) - 1) + sum(1 + size(v) for v in value.values())
    return 0


@given(JSON, st.booleans())
def test_values_are_counted_whatever_stands_in_strings(value: Any, ascii: bool) -> None:
    assert _values(json.dumps(value, ensure_ascii=ascii).encode("utf-8", "surrogatepass")) == min(
        size(value), max(size(value), VALUES)
    )


@given(st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert reading(raw).request.prompt


@given(
    st.fixed_dictionaries(
        {"model": st.just("tiny"), "prompt": st.just("1")}, optional={n: JSON for n in FIELDS - {"model", "prompt"}}
    )
)
def test_what_is_read_has_its_types(fields: dict[str, Any]) -> None:
    try:
        request = reading(json.dumps(fields).encode()).request
    except BadRequest:
        return
    assert [type(getattr(request, n)) for n in ("n", "seed", "max_tokens", "temperature", "top_p", "stop")] == [
        int,
        int,
        int,
        float,
        float,
        tuple,
    ]
