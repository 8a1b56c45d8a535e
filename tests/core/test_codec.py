"""Records as JSON: read back as they were written, the same bytes as ever, and nothing else is read."""

import contextlib
import dataclasses
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.codec import digest, from_data, from_json, seed_of, sha256, short_id, to_data, to_json
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
    Split,
    Translation,
)

KINDS = [Problem, Sample, Translation, CheckedSample, Example, Outcome, Score, Report, Decision]
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


def finite(data: Any) -> bool:
    """Whether every number in plain data is one that JSON has (hypothesis once drew a NaN in spite of the above)."""
    if isinstance(data, dict | list):
        return all(map(finite, data.values() if isinstance(data, dict) else data))
    return not isinstance(data, float) or math.isfinite(data)


TEXT = st.text(st.characters(exclude_categories=()))
"""Also with halves of characters (lone surrogates), as completions hold them."""
st.register_type_strategy(str, TEXT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
PROBLEMS = st.builds(
    Problem,
    task=TEXT,
    family=TEXT,
    solutions=st.dictionaries(TEXT, TEXT),
    further=st.dictionaries(TEXT, JSON, max_size=3),
)
st.register_type_strategy(Problem, PROBLEMS)
RECORDS = st.one_of(*(st.from_type(kind) for kind in KINDS)).filter(lambda record: finite(to_data(record)))

STORED = [
    (
        Problem,
        '{"id":"p-1","question":"Q?","answer":"7","source":"x","split":"train","task":"main","family":"",'
        '"solutions":{"text":"7"}}',
        "sha256:376bab4c81bda4e91455e5675ebadee590945e7f6fbb66958d0a4623f77f97f0",
    ),
    (
        Problem,
        '{"id":"p-2","question":"Q?","answer":"7","source":"x","split":"dev","task":"main","family":"",'
        '"solutions":{},"further":{"n":[1,2.5,null,{"big":1180591620717411303424}]}}',
        "sha256:4e2193998120c3332c7dae1c49f26941376f25a807e309b8aa55795ade0d13e2",
    ),
    (
        Sample,
        '{"id":"s-1","problem_id":"p-1","method":"code","index":0,"prompt":"Q: \\"é\\"\\n",'
        '"completion":"print(3)\\n\x7f\u2028\ud800","finish":"stop","prompt_tokens":4,"tokens":3,'
        '"seed":2147483647,"model":"m","temperature":1e-07,"source_sample":"","source_method":"",'
        '"target_prompt":"","failure":""}',
        "sha256:42b43fdef1e8352c9e78e5ec1e042c987aa461fc1ccb834bf8047d57fff48eca",
    ),
    (
        Translation,
        '{"id":"s-1","problem_id":"p-1","method":"code","index":0,"prompt":"Q: \\"é\\"\\n",'
        '"completion":"7","finish":"stop","prompt_tokens":4,"tokens":3,"seed":2147483647,"model":"m",'
        '"temperature":0.0,"source_sample":"s-0","source_method":"text","target_prompt":"Q",'
        '"failure":""}',
        "sha256:0c3d056cf269f6c0ed2d594f03b0ccfb2fa89e49dbb91f39ab1d577e974c1d2a",
    ),
    (
        CheckedSample,
        '{"sample":{"id":"s-1","problem_id":"p-1","method":"code","index":0,"prompt":"Q: \\"é\\"\\n",'
        '"completion":"7","finish":"stop","prompt_tokens":4,"tokens":3,"seed":2147483647,"model":"m",'
        '"temperature":0.0,"source_sample":"","source_method":"","target_prompt":"","failure":""},'
        '"verdict":"passed","solution":"7","answer":null,"detail":"","nondeterministic":false,'
        '"contradicted":false}',
        "sha256:3a5cc40b145e8ab1f0a9c3f04cfd23a2a417e083335a7f2a6c51a203413ee656",
    ),
    (
        Example,
        '{"problem_id":"p-1","method":"text","prompt":"Q","completion":"7","origin":"own","lineage":["s-1","s-0"]}',
        "sha256:632e7febfb0a62e2001e3e441e16afa5c14cf14e0e3d6c79f1d3be2a9755a07e",
    ),
    (
        Outcome,
        '{"problem_id":"p-1","task":"main","family":"add","method":"code","passed":null,"sampled":4,'
        '"correct":3,"majority":true,"failed":0}',
        "sha256:40c44aa12f0e13fa2eaeb2a3cb34884c0f775c603fbe4b1710e352cd5f251e5e",
    ),
    (
        Report,
        '{"checkpoint":"c","heldout":"h","round":1,"arm":"mmst","scores":[{"task":"main","method":"code",'
        '"n":3,"pass_at_1":0.3333333333333333,"low":0.0,"high":1e+22,"pass_at_k":{"4":0.5},'
        '"majority":1e-05,"failed":0}]}',
        "sha256:9315bd5bec4764f8fc7e00ee1e6f9e94bb6e4829b5a845dee07bb8b7323ab92c",
    ),
    (
        Decision,
        '{"promote":true,"challenger":"a","champion":"","round":1,"reason":"better","gain":0.1,'
        '"p_value":5e-324,"checks":["x"]}',
        "sha256:84329f319f7d1eee971dabe28eecc8f99607e19ed0387d5b34834ec4530db31f",
    ),
]
"""Lines of stored stages and their digests, from which keys follow: they stay what they are."""
WHOLE: dict[type, object] = {kind: from_json(kind, line) for kind, line, _ in STORED}


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
    assert sha256("\ud800").startswith("sha256:")


@pytest.mark.parametrize(("kind", "line", "expected"), STORED)
def test_a_stored_record_keeps_its_bytes_and_its_digest(kind: type, line: str, expected: str) -> None:
    record: object = from_json(kind, line)
    assert to_json(record) == line
    assert digest(record) == expected


def _written(record: Any) -> Any:
    """A record's fields, without those that are not written where they hold nothing."""
    if isinstance(record, list | tuple):
        return [_written(part) for part in record]
    if not dataclasses.is_dataclass(record):
        return record
    values = {f.name: _written(getattr(record, f.name)) for f in dataclasses.fields(record)}
    return {f.name: values[f.name] for f in dataclasses.fields(record) if values[f.name] or "if_any" not in f.metadata}


@given(RECORDS)
def test_a_record_is_written_as_json_writes_its_fields(record: Any) -> None:
    assert to_json(record) == json.dumps(_written(record), default=dict, ensure_ascii=False, separators=(",", ":"))


@given(RECORDS)
def test_bytes_escapes_and_plain_data_are_the_same_record(record: Any) -> None:
    kind, line = type(record), to_json(record)
    assert from_json(kind, line.encode("utf-8", "surrogatepass")) == record
    assert from_json(kind, json.dumps(to_data(record))) == record
    assert from_data(kind, to_data(record)) == record


READ: list[tuple[str, str, object]] = [
    ("temperature", "1", 1.0),
    ("index", "-0", 0),
    ("index", "1" + "0" * 100, 10**100),
    ("completion", r'"\ud800"', "\ud800"),
    ("completion", r'"\ud83d\ude00"', "😀"),
    ("completion", '"NaN"', "NaN"),
]
REFUSED = [
    ("index", "1.0", "Sample.index must be int, got 1.0"),
    ("index", '"1"', "Sample.index must be int, got '1'"),
    ("index", "true", "Sample.index must be int, got True"),
    ("index", "9" * 5000, "not a JSON object (Exceeds the limit"),
    ("temperature", "1e400", "Sample.temperature must be a finite number, got inf"),
    ("temperature", "-1e400", "Sample.temperature must be a finite number, got -inf"),
    ("temperature", "true", "Sample.temperature must be float, got True"),
    ("temperature", '"0.5"', "Sample.temperature must be float, got '0.5'"),
    ("temperature", "1" + "0" * 400, "Sample.temperature is beyond every float"),
    ("completion", "1", "Sample.completion must be str, got 1"),
    ("completion", "null", "Sample.completion must be str, got None"),
    ("completion", "[" * 100_000, "not a JSON object ("),
]


@pytest.mark.parametrize(("field", "text", "value"), READ)
def test_a_value_is_read_as_python_reads_json(field: str, text: str, value: object) -> None:
    assert getattr(from_json(Sample, changed(field, text)), field) == value


@pytest.mark.parametrize(("field", "text", "says"), REFUSED)
def test_no_value_is_made_of_another(field: str, text: str, says: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(says)}"):
        from_json(Sample, changed(field, text))


def test_of_a_field_that_stands_twice_the_last_counts() -> None:
    line = to_json(_sample())[:-1]
    assert from_json(Sample, line + ',"index":"x","index":5}').index == 5


def test_further_fields_may_be_nested_deeply() -> None:
    deep = "[" * 400 + "]" * 400
    line = to_json(Problem(id="p", question="q", answer="a", source="s", split=Split.DEV))
    assert from_json(Problem, line[:-1] + f',"further":{{"x":{deep}}}}}').further == {"x": json.loads(deep)}


@dataclasses.dataclass(frozen=True)
class Maybe:
    """A number that may be absent."""

    number: float | None


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_json_lacks_is_refused_where_none_is_allowed(number: float) -> None:
    with pytest.raises(DataError, match=r"Maybe\.number.* must be a finite number, got (-?inf|nan)"):
        from_data(Maybe, {"number": number})


@pytest.mark.parametrize("text", ["1e999", '{"deep":[1,-1e999]}'])
def test_a_number_that_json_lacks_is_refused_in_data_of_any_form(text: str) -> None:
    line = to_json(Problem(id="p", question="q", answer="a", source="s", split=Split.DEV))
    with pytest.raises(DataError, match=r"Problem\.further\.x must be a finite number"):
        from_json(Problem, line[:-1] + f',"further":{{"x":{text}}}}}')


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_a_line_that_is_not_utf_8_is_refused(encoding: str) -> None:
    line = to_json(dataclasses.replace(_sample(), completion="é"))
    with pytest.raises(DataError, match=r"^not a JSON object \("):
        from_json(Sample, line.encode(encoding))


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        (Sample, [], "Sample must be an object, got []"),
        (Example, {"lineage": "s-1"}, "Example.lineage must be a list, got 's-1'"),
        (Example, {"lineage": ["s-1", 2]}, "Example.lineage[1] must be str, got 2"),
        (Report, {"scores": [{"pass_at_1": "0.5"}]}, "Report.scores[0].pass_at_1 must be float, got '0.5'"),
        (Problem, {"split": "tests"}, "Problem.split must be one of train, dev, test, got 'tests'"),
        (Problem, {"solutions": {"text": 7}}, "Problem.solutions.text must be str, got 7"),
        (CheckedSample, {"sample": {}}, "CheckedSample.sample lacks the field 'id'. Remedy: fields: id, problem_id, "),
        (Report, {"scores": [{"tsk": "main"}]}, "Report.scores[0] has no field 'tsk'. Remedy: did you mean 'task'? "),
    ],
)
def test_what_is_wrong_is_named_with_its_place(kind: type, data: object, says: str) -> None:
    whole = to_data(WHOLE[kind])
    if isinstance(data, dict):
        ((name, value),) = data.items()
        scores = isinstance(value, list) and isinstance(value[0], dict)
        data = whole | {name: [whole[name][0] | value[0]] if scores else value}
    with pytest.raises(DataError) as refused:
        from_data(kind, data)
    assert str(refused.value).startswith(says)


def changed(field: str, text: str) -> str:
    """A sample's line in which this JSON text stands for a field."""
    return re.sub(rf'"{field}":[^,]+', lambda found: f'"{field}":{text}', to_json(_sample()))


def _sample() -> Sample:
    return Sample(
        id="s-1", problem_id="p-1", method="text", index=0, prompt="p", completion="c", finish="stop",
        prompt_tokens=1, tokens=1, seed=1, model="recorded",
    )  # fmt: skip
