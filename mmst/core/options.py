"""How a recipe's options are declared, and what is derived from the declarations.

Bounds and help texts are field metadata under the names that pydantic reads.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from mmst.core.codec import to_data

T = typing.TypeVar("T")


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    affects: bool = True,
    quiet: bool = False,
    left_out: bool = False,
    files: bool = False,
) -> Any:
    """A config field: its default, what it does, and the least and the largest value.

    `affects=False` marks an option that cannot change any result (batch sizes, addresses),
    so it is left out of the keys under which stages are stored; `quiet=True` one that is left out
    while it has its default, so that what was stored before there was such an option stays valid. One that is
    `left_out` as well is not written either where it holds nothing, so that the text of a recipe, and with it the
    compiled graph, stays what it was. `files=True` one of a list of records that stand in files, which a recipe may
    name by their paths instead.
    """
    bounds = {name: bound for name, bound in (("ge", low), ("le", high)) if bound is not None}
    finite = {"allow_inf_nan": False} if isinstance(default, float) else {}
    said = {"if_any": True} if left_out else {}
    extra = {"json_schema_extra": _or_path} if files else {}
    about = {"description": help, "affects": affects, "quiet": quiet}
    return field(default=default, metadata={**about, **bounds, **finite, **said, **extra})


def options_by_name(help: str) -> Any:
    """A config field that maps names of the user's to sections; none as it comes, and then in no key."""
    return field(default_factory=dict, metadata={"description": help, "affects": True, "quiet": True, "if_any": True})


def _or_path(schema: dict[str, Any]) -> None:
    schema["items"] = {"anyOf": [{"type": "string"}, schema["items"]]}


def section(kind: type[T], *, affects: bool = True) -> T:
    """A nested section with its defaults; with `affects=False` none of its options can change a result."""
    return field(default_factory=kind, metadata={"affects": affects})


def optional_section() -> Any:
    """A section that most recipes do not have: None, and not written, where a recipe does not name it."""
    return field(default=None, metadata={"affects": True, "quiet": True, "if_any": True})


def declared(kind: type, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Every option as (path, type, default, help), for help texts and docs."""
    hints = typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if inner := section_kind(hints[f.name]):
            yield from declared(inner, f"{prefix}{f.name}.")
        elif typing.get_origin(hints[f.name]) is Mapping:
            yield f"{prefix}{f.name}", "mapping", {}, f.metadata["description"]
            yield from declared(typing.get_args(hints[f.name])[1], f"{prefix}{f.name}.NAME.")
        else:
            yield f"{prefix}{f.name}", _type_name(hints[f.name]), f.default, f.metadata["description"]


def section_kind(hint: Any) -> type | None:
    """The record of a section, optional or not; None for the type of an option."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((kind for kind in kinds if dataclasses.is_dataclass(kind) and isinstance(kind, type)), None)


def identity(config: Any) -> dict[str, Any]:
    """The part of a config (or section) that can change results, as plain data."""
    return {
        f.name: identity(v) if dataclasses.is_dataclass(v := getattr(config, f.name)) else _identities(v)
        for f in dataclasses.fields(config)
        if f.metadata.get("affects", True) and not (f.metadata.get("quiet") and getattr(config, f.name) == _default(f))
    }


def _default(f: dataclasses.Field[Any]) -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _identities(value: Any) -> Any:
    if isinstance(value, tuple):
        return [identity(v) if dataclasses.is_dataclass(v) else v for v in value]
    if isinstance(value, Mapping):
        return {name: identity(v) if dataclasses.is_dataclass(v) else to_data(v) for name, v in value.items()}
    return to_data(value)


def _type_name(hint: Any) -> str:
    args = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_name(args[0])}"
    if isinstance(hint, types.UnionType):
        return _type_name(args[0])
    return "str" if typing.get_origin(hint) is typing.Literal else str(getattr(hint, "__name__", hint))
