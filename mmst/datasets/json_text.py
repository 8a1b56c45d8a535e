"""Read JSON as rows: numbers keep their digits, names are unique, errors have their line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from mmst.core.errors import DataError
from mmst.core.rows import Digits, Row, as_row

_SPACE = re.compile(r"[ \t\r\n]*")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Incomplete(DataError):
    """A line that is not a whole JSON value; together with the next ones it may be one."""


class _Twice(ValueError):
    """A name that appears twice in one object."""

    def __init__(self, name: str, values: list[Any]) -> None:
        super().__init__(name)
        self.name, self.values = name, values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(twice, [value for name, value in pairs if name == twice])
    return made


_DECODER = json.JSONDecoder(
    parse_float=Digits, parse_int=Digits, parse_constant=lambda text: float(text), object_pairs_hook=_object
)


def line_row(path: Path, number: int, line: str) -> Row:
    """The row of one line; `Incomplete` if it is not JSON by itself."""
    begin = _SPACE.match(line)
    start = begin.end() if begin else 0
    value, end = _decoded(line, start, path, number)
    if line[end:].strip(" \t\r\n"):
        _refuse(line, end, "Extra data", path, number)
    return repaired(as_row(f"{path}, line {number}", value), line)


def listed(path: Path, line: int, text: str) -> Iterator[Row]:
    """The objects of a text that is one JSON list and begins on this line."""
    at = _skip(text, text.index("[") + 1)
    if text[at : at + 1] == "]":
        at, more = at + 1, False
    else:
        more = True
    entry, counted = 0, 0
    while more:
        line, counted = line + text.count("\n", counted, at), at
        value, end = _decoded(text, at, path, line)
        entry += 1
        yield repaired(as_row(f"{path}, line {line}, entry {entry}", value), text[at:end])
        at = _skip(text, end)
        if text[at : at + 1] not in (",", "]"):
            _refuse(text, at, "Expecting ',' or ']'", path, line + text.count("\n", counted, at))
        more = text[at] == ","
        at = _skip(text, at + 1)
        if more and text[at : at + 1] == "]":
            _refuse(text, at, "Expecting value", path, line + text.count("\n", counted, at))
    if at < len(text):
        _refuse(text, at, "Extra data", path, line + text.count("\n", counted, at))


def objects(path: Path, line: int, text: str, first_line: DataError) -> Iterator[Row]:
    """Objects one after another, each over several lines; if the first is none, its first line was wrong."""
    at, counted, entry = _skip(text, 0), 0, 0
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, end = _decoded(text, at, path, line)
        except Incomplete as e:
            broken_off = entry == 0 and not _spread(text)
            raise first_line if broken_off else e  # noqa: B904
        entry += 1
        yield repaired(as_row(f"{path}, line {line}", value), text[at:end])
        at = _skip(text, end)


def repaired(row: Row, raw: str) -> Row:
    """The row; half a character (a lone surrogate, which UTF-8 cannot hold) becomes U+FFFD and is reported."""
    if not _HALF.search(raw):
        return row
    broken = frozenset(_whole(name) for name, value in row.fields.items() if _halves(name) or _halves(value))
    notes = [f"field '{name}': half a character (a lone surrogate) was replaced by U+FFFD" for name in sorted(broken)]
    return Row(row.where, {_whole(name): _whole(value) for name, value in row.fields.items()}, broken, notes)


def _halves(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_SURROGATE.search(value))
    if isinstance(value, dict):
        return any(map(_halves, value)) or any(map(_halves, value.values()))
    return isinstance(value, list) and any(map(_halves, value))


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Digits):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(v) for v in value]
    return {_whole(k): _whole(v) for k, v in value.items()} if isinstance(value, dict) else value


def _spread(text: str) -> bool:
    """Whether the first line looks like the start of several: `{` or `{"a": 1,`."""
    return text.lstrip().partition("\n")[0].rstrip().endswith(("{", "[", ",", ":"))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _decoded(text: str, at: int, path: Path, line: int) -> tuple[Any, int]:
    """The JSON value at a position on this line, and where it ends."""
    try:
        value: tuple[Any, int] = _DECODER.raw_decode(text, at)
        return value
    except json.JSONDecodeError as e:
        _refuse(text, e.pos, e.msg, path, line + text.count("\n", at, e.pos))
    except _Twice as e:
        what = f"{path}, line {line}, field '{e.name}': appears twice in one object"
        raise DataError(what, value=e.values, remedy="keep only one of them") from None
    except (RecursionError, ValueError) as e:
        what = f"{path}, line {line}: cannot be read ({e})"
        raise DataError(what, value=text[at : at + 40], remedy="check that this is a problem file") from None


def _refuse(text: str, at: int, what: str, path: Path, line: int) -> NoReturn:
    before, behind = text[max(at - 200, 0) : at].rstrip(), text[at : at + 200].lstrip()
    remedy = "check that the file is complete"
    if before.endswith(",") and behind[:1] in ("}", "]"):
        remedy = f"remove the comma before {behind[0]}"
    elif before.endswith("}") and behind[:1] == ",":
        remedy = "remove the comma after the object, or make it one list: [{…}, {…}]"
    elif behind[:1] == "'":
        remedy = "JSON needs double quotes: write the file with json.dumps"
    column = at - text.rfind("\n", 0, at)
    value = text[max(at - 20, 0) : at + 20]
    raise Incomplete(f"{path}, line {line}: not JSON ({what}, column {column})", value=value, remedy=remedy)
