"""What the importers share: rows of a file that say where they stand when something is wrong."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmst.errors import DataError

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a problem file: its fields, and where it stands ("train.jsonl, line 7")."""

    where: str
    fields: Mapping[str, Any]

    def fail(self, field: str, what: str, remedy: str, value: object = ABSENT) -> NoReturn:
        """Refuse the file because of this field."""
        shown = self.fields.get(field) if value is ABSENT else value
        raise DataError(f"{self.where}, field '{field}': {what}", value=shown, remedy=remedy)

    def text(self, field: str, default: str | None = None) -> str:
        """A field that must be a text; not empty unless there is a default."""
        value = self.fields.get(field, default)
        if value is None:
            self.fail(field, "is missing", f"fields there: {', '.join(self.fields) or 'none'}")
        if not isinstance(value, str):
            self.fail(field, "must be a text", "put it in quotes")
        if default is None and not value.strip():
            self.fail(field, "is empty", "fill it in or remove the entry")
        return value

    def answer(self, field: str) -> str:
        """A gold answer: a text, or a number, which becomes its shortest decimal form."""
        value = self.fields.get(field)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            what = "is missing" if value is None else "must be a number or a text"
            self.fail(field, what, "give the final answer alone, for example 7 or '7'")
        if isinstance(value, str):
            return self.text(field)
        if isinstance(value, float) and not math.isfinite(value):
            self.fail(field, "is not a finite number", "give the final answer alone, for example 7")
        return shortest(str(value)) if isinstance(value, float) else str(value)


def shortest(number: str) -> str:
    """A decimal without an empty fraction: `8.0` → `8`, `2.50` → `2.5`.

    >>> shortest("8.0"), shortest("2.50"), shortest("100"), shortest("1e-05")
    ('8', '2.5', '100', '1e-05')
    """
    return number.rstrip("0").rstrip(".") or "0" if "." in number and "e" not in number.lower() else number


def without_blank_lines(text: str) -> str:
    """A solution in one paragraph of lines: completions end at a blank line."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if line.strip())


def text_of(path: Path) -> str:
    """The file as UTF-8 text; `DataError` names the line that is not."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8", value=raw[e.start : e.start + 8], remedy="iconv -t utf-8"
        ) from None


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file; blank lines are skipped."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip():
            yield _row(f"{path}, line {number}", _json(line, path, number))


def jsonl_stream(path: Path) -> Iterator[Row]:
    """As `jsonl_rows`, a line at a time, for files that are larger than memory."""
    try:
        file = path.open("rb")
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror})", remedy="give the JSON-lines file to read") from None
    with file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as e:
                value = raw[e.start : e.start + 8]
                raise DataError(f"{where}: not UTF-8", value=value, remedy="iconv -t utf-8") from None
            yield _row(where, _json(line, path, number))


def json_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON file that is one list."""
    data = _json(text_of(path), path)
    if not isinstance(data, list):
        raise DataError(
            f"{path} is not a JSON list of problems", value=data, remedy="give the list that holds the problems"
        )
    for number, item in enumerate(data, 1):
        yield _row(f"{path}, entry {number}", item)


def csv_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV file with a header line."""
    reader = csv.DictReader(text_of(path).splitlines(keepends=True), strict=True)
    try:
        for fields in reader:
            where = f"{path}, line {reader.line_num}"
            if None in fields or None in fields.values():
                raise DataError(
                    f"{where}: not as many columns as the header has",
                    value=list(fields.values()),
                    remedy="quote fields that contain commas",
                )
            yield Row(where, fields)
    except csv.Error as e:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({e})", remedy="is the file whole?") from None


def _row(where: str, data: Any) -> Row:
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a JSON object", value=data, remedy="one {…} a problem")
    return Row(where, data)


def _json(text: str, path: Path, line: int = 0) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as e:
        value = text[max(e.pos - 20, 0) : e.pos + 20]
        at = line or e.lineno
        raise DataError(
            f"{path}, line {at}: not JSON ({e.msg}, column {e.colno})", value=value, remedy="is the file whole?"
        ) from None
    except (RecursionError, ValueError) as e:
        raise DataError(f"{path}, line {line or 1}: cannot be read ({e})", remedy="is this a problem file?") from None
