"""Records as canonical JSON, the same bytes everywhere; reading is checked by pydantic.

Any dataclass is a record. Reading is strict: no unknown or missing field, and no value is converted (`"3"` is not a
number, 1 is not a bool, 1.0 is not an int); numbers are finite. Lines are UTF-8, and strings may hold lone surrogates,
as completions do.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from mmst.core.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator, ValidationError

R = TypeVar("R")
Loc = tuple[str | int, ...]
"""A place in plain data: keys and indices from the top."""


class Misfit(ValueError):
    """Plain data that do not fit a record, at `loc`.

    `fault` is `unknown` or `missing` for a field, and `known` lists the fields there are. For a value it is `wrong`,
    and `says` is what the `value` must be ("must be int").
    """

    def __init__(self, fault: str, loc: Loc, says: str, value: object, known: Iterable[str]) -> None:
        super().__init__(f"{spelt(loc)} {says}")
        self.fault, self.loc, self.says, self.value, self.known = fault, loc, says, value, tuple(known)


def spelt(loc: Loc, root: str = "") -> str:
    """A place as people write it.

    >>> spelt(("train", 0, "path"), "problems")
    'problems.train[0].path'
    """
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return f"{root}{path}" if root else path.removeprefix(".")


def to_json(record: Any) -> str:
    """One line of canonical JSON: the same record is the same bytes everywhere.

    Raises `ValueError` for NaN and infinities, which JSON does not have.
    """
    return _LINE.encode(record)


def to_data(record: Any) -> Any:
    """The plain JSON value of a record (dicts, lists, strings, numbers)."""
    return json.loads(_DATA.encode(record))


def from_json(kind: type[R], line: str | bytes) -> R:
    """Read a record back; raises `DataError` for anything that is not such a record."""
    raw = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    if b"NaN" not in raw and b"Infinity" not in raw:
        try:
            return typing.cast(R, _validator(kind).validate_json(raw, extra="forbid"))
        except ValueError:
            pass  # `json` reads lone surrogates and deep nesting as well, and `from_data` says what is wrong
    try:
        # Decoded here: of bytes `json` would guess the encoding, and records are UTF-8.
        data = json.loads(raw.decode("utf-8", "surrogatepass"), parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise DataError(f"not a JSON object ({e})", value=line[:80]) from None
    return from_data(kind, data)


def from_data(kind: type[R], data: Any, where: str = "") -> R:
    """Build a record from a plain JSON value, strictly; `DataError` names the field after `where` (the record)."""
    try:
        return validated(kind, data)
    except Misfit as e:
        root = where or getattr(kind, "__name__", str(kind))
        if e.fault == "wrong":
            raise DataError(f"{spelt(e.loc, root)} {e.says}", value=e.value) from None
        has = "has no" if e.fault == "unknown" else "lacks the"
        near = did_you_mean(str(e.loc[-1]), e.known, quote="'") if e.fault == "unknown" else ""
        remedy = f"{near}fields: {', '.join(e.known)}"
        raise DataError(f"{spelt(e.loc[:-1], root)} {has} field '{e.loc[-1]}'", remedy=remedy) from None


def validated(kind: type[R], data: Any) -> R:
    """`from_data` for a caller that words its own errors: raises `Misfit`."""
    from pydantic_core import ValidationError

    try:
        return typing.cast(R, _validator(kind).validate_python(data, extra="forbid"))
    except ValidationError as e:
        raise _misfit(kind, e) from None


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a record, with each field's description, values and default."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Closed(GenerateJsonSchema):
        def dataclass_schema(self, schema: Any) -> dict[str, Any]:
            return super().dataclass_schema(schema) | {"additionalProperties": False}

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return TypeAdapter(kind).json_schema(schema_generator=Closed)


def sha256(data: bytes | str) -> str:
    """`sha256:<hex>` of bytes, or of a string as UTF-8 (lone surrogates kept)."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def digest(value: Any) -> str:
    """The digest of any record or plain JSON value: the hash of its canonical JSON."""
    return sha256(_SORTED.encode(value))


def short_id(prefix: str, *parts: object) -> str:
    """A stable id such as `s-3fa9…` (64 bits) from the parts that define the thing."""
    return f"{prefix}-{digest([str(p) for p in parts])[7:23]}"


def rank(id: str) -> bytes:
    """The place of an id in every choice: as good as random, the same each time."""
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()


def seed_of(*parts: object) -> int:
    """A 31-bit seed that depends on nothing but its parts."""
    return int(digest([str(p) for p in parts])[7:15], 16) & 0x7FFFFFFF


def _plain(value: Any) -> Any:
    """The plain form of what `json` cannot encode, one level deep."""
    if dataclasses.is_dataclass(value):
        return {name: v for name, if_any in _names(type(value)) if (v := getattr(value, name)) or not if_any}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


_names: Callable[[Any], list[tuple[str, bool]]] = functools.cache(
    lambda kind: [(f.name, "if_any" in f.metadata) for f in dataclasses.fields(kind)]
)

_Encoder = functools.partial(
    json.JSONEncoder, default=_plain, ensure_ascii=False, separators=(",", ":"), check_circular=False
)
_LINE, _DATA, _SORTED = _Encoder(allow_nan=False), _Encoder(), _Encoder(sort_keys=True)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _built(kind: Any) -> SchemaValidator:
    # Imported on first use: it takes 0.2 s, and many commands read no record.
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_strict(TypeAdapter(kind).core_schema))


_validator: Callable[[Any], SchemaValidator] = functools.cache(_built)


def _strict(schema: Any) -> Any:
    """A pydantic schema with strict scalars, which still takes a list for a tuple and a dict for a dataclass.

    Pydantic's own strict mode takes these only from JSON, and its JSON reader refuses lone surrogates.
    """
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(part) for key, part in schema.items()}
    if schema.get("type") in ("int", "bool", "str", "float"):
        strict["strict"] = True
    if schema.get("type") == "float":  # 1e999, and in JSON an int of 400 digits, would become infinity
        strict["allow_inf_nan"] = False
    if schema.get("type") == "any":
        return {"type": "function-after", "function": {"type": "no-info", "function": _finite}, "schema": strict}
    return strict


def _finite(data: Any) -> Any:
    """Plain data of any form in which every number is one that JSON has."""
    from pydantic_core import PydanticKnownError

    left = [data]
    while left:
        value = left.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise PydanticKnownError("finite_number")
        left += value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return data


_WORDS = {
    "dataclass_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "int_type": "must be int",
    "float_type": "must be float",
    "bool_type": "must be bool",
    "string_type": "must be str",
    "string_unicode": "must have names without lone surrogates",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}
_FAULTS = {"unexpected_keyword_argument": "unknown", "invalid_key": "unknown", "missing": "missing"}


def _misfit(kind: type[Any], error: ValidationError) -> Misfit:
    """The error to report: an unknown or missing field before a wrong value, which may follow from it."""
    errors = error.errors(include_url=False)
    first = next((e for wanted in _FAULTS for e in errors if e["type"] == wanted), errors[0])
    loc, value, context = first["loc"], first["input"], dict(first.get("ctx", {}))
    if "expected" in context:
        context["expected"] = context["expected"].replace("'", "").replace(" or ", ", ")
    words = _WORDS.get(first["type"])
    says = words.format(**context) if words else first["msg"].replace("Input should", "must")
    if first["type"] == "float_type" and type(value) is int:
        says = "is beyond every float"
    fault = _FAULTS.get(first["type"], "wrong")
    if loc[-1:] == ("[key]",):
        loc, says = (*loc[:-2], str(value)), "must be a string: put it in quotes"
    elif first["type"] == "invalid_key":
        loc = (*loc[:-1], str(value))
    return Misfit(fault, loc, says, value, () if fault == "wrong" else _fields_at(kind, loc[:-1]))


def _fields_at(kind: Any, loc: Loc) -> Iterable[str]:
    """The names of the fields of the record at a place."""
    for part in loc:
        kind = typing.get_type_hints(kind)[str(part)] if dataclasses.is_dataclass(kind) else _item(kind)
        kind = _item(kind) if isinstance(kind, types.UnionType) else kind
    return [f.name for f in dataclasses.fields(kind)]


def _item(kind: Any) -> Any:
    """The type of the items of a tuple or mapping, or of an optional value."""
    return next(a for a in typing.get_args(kind) if a not in (str, ..., types.NoneType))
