"""What the importers share: rows of a file that say where they stand when something is wrong."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from mmst.core.errors import DataError

ABSENT = object()
CARRIED = ("gold", "question", "options")
_LABEL = re.compile(r"[A-Z]|[1-9][0-9]?")
"""What a label of an option can be."""
_NEAR = 0.75
"""How alike a misspelt name is, as `difflib` counts."""
_OTHERS = {
    b"PK\x03\x04": ("a ZIP archive or a spreadsheet", "unzip it, or save the sheet as CSV"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "zstd -d FILE"),
    b"BZh": ("compressed with bzip2", "bunzip2 FILE"),
    b"\xfd7zXZ": ("compressed with xz", "unxz FILE"),
    b"ARROW1": ("an Arrow file", "write it with to_parquet or to_json"),
    b"\xff\xfe\x00\x00": ("UTF-32", "iconv -f utf-32 -t utf-8"),
    b"version https://git-lfs": ("a Git LFS pointer, not the file", "git lfs pull"),
}


class Digits(str):
    """A number as the file writes it: 51.0, 1.10 and 1e400 stay what they are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a problem file: its fields, and where it stands ("train.jsonl, line 7").

    What is read by `text` or `answer` becomes part of the problem; all the rest stays with it as it is (`further`).
    A field that is null, or NaN as some tools write it, is absent. In `repaired` fields a character was broken.
    Where `unlabelled` problems are read, the gold answer may be absent, or none that can be read.
    """

    where: str
    fields: Mapping[str, Any]
    repaired: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list, compare=False, repr=False)
    used: set[str] = field(default_factory=set, compare=False, repr=False)
    unlabelled: bool = False

    def fail(self, field: str, what: str, remedy: str, value: object = ABSENT) -> NoReturn:
        """Refuse the file because of this field."""
        shown = self.fields.get(field) if value is ABSENT else value
        raise DataError(f"{self.where}, field '{field}': {what}", value=shown, remedy=remedy)

    def nearest(self, field: str, known: Sequence[str]) -> str | None:
        """The field that seems to be this one, misspelt; None when it is there itself, or none is near.

        >>> Row("x, line 1", {"id": 1, "progrm": "print(7)"}).nearest("program", ("id", "program"))
        'progrm'
        """
        others = [] if field in self.fields else [name for name in self.fields if name not in known]
        return next(iter(difflib.get_close_matches(field, others, n=1, cutoff=_NEAR)), None)

    def has(self, field: str) -> bool:
        """Whether the field holds something."""
        value = self.fields.get(field)
        return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))

    def first(self, *names: str) -> str:
        """Which of these fields is there; the first name when none is."""
        return next((name for name in names if self.has(name)), names[0])

    def text(self, field: str, default: str | None = None) -> str:
        """A field that must be a text; not empty unless there is a default."""
        self.used.add(field)
        value = self.fields.get(field)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if default is None:
                self.fail(field, "is missing", f"fields there: {', '.join(self.fields) or 'none'}{self._within()}")
            return default
        if not isinstance(value, str) or isinstance(value, Digits):
            columns = isinstance(value, (list, dict))
            self.fail(
                field, "must be a text", "one object a problem, not one a column" if columns else "put it in quotes"
            )
        if default is None and not value.strip():
            self.fail(field, "is empty", "fill it in or remove the entry")
        return value

    def _within(self) -> str:
        """Where the problems seem to be, when this object is only what holds them."""
        lists = [n for n, v in self.fields.items() if isinstance(v, list) and v and isinstance(v[0], dict)]
        return f"; if '{lists[0]}' holds the problems: jq -c '.{lists[0]}[]' FILE" if len(lists) == 1 else ""

    def label(self, field: str) -> str:
        """The name of a kind: a text or a number, or "" when absent. It stays with the problem as it is."""
        value = self.fields.get(field) if self.has(field) else ""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            self.fail(field, "must be a text or a number", "write it in quotes or leave it out")
        return str(value).strip()

    def no_gold(self, field: str, what: str, remedy: str) -> str:
        """Refuse the file because of its gold answer; where there need be none, this one counts as none: ""."""
        return "" if self.unlabelled else self.fail(field, what, remedy)

    def unanswered(self, field: str) -> bool:
        """Whether the gold answer that stands in this field is absent, and may be."""
        return self.unlabelled and not self.has(field)

    def answer(self, field: str) -> str:
        """A gold answer: a text, or a number, whose digits are kept; "" where it is none and need not be one."""
        self.used.add(field)
        if self.unanswered(field):
            return ""
        value = self.fields.get(field)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            what = "is missing" if value is None else "must be a number or a text"
            return self.no_gold(field, what, "give the final answer alone, for example 7 or '7'")
        if isinstance(value, float) and not math.isfinite(value):
            return self.no_gold(field, "is not a finite number", "give the final answer alone, for example 7")
        return str(value) if isinstance(value, (Digits, int, float)) else self.text(field)

    def options(self, field: str) -> dict[str, str]:
        """The options that a question offers, text by label: an object, a list of texts, or of labels and texts.

        `{"A": "36", "B": "38"}`, `["36", "38"]` and `[{"label": "A", "text": "36"}, …]` are the same. Labels are
        capital letters or small numbers.
        """
        self.used.add(field)
        found = self.fields.get(field)
        if isinstance(found, dict) and {"label", "text"} == found.keys():  # a column each, as Parquet has it
            columns = itertools.zip_longest(_several(found["label"]), _several(found["text"]))
            found = [{"label": label, "text": text} for label, text in columns]
        if isinstance(found, list) and all(isinstance(o, dict) for o in found):
            pairs = [(o.get("label"), o.get("text")) for o in found]
        elif isinstance(found, list):
            pairs = list(zip(string.ascii_uppercase, found, strict=False)) if len(found) <= 26 else []
        else:
            pairs = list(found.items()) if isinstance(found, dict) else []
        made = {str(a).strip().upper(): " ".join(str(b).split()) for a, b in pairs if _said(a) and _said(b)}
        if len(pairs) < 2 or len(made) < len(pairs) or not all(_LABEL.fullmatch(label) for label in made):
            self.fail(field, "must be two options or more, each with a label and a text", '{"A": "36", "B": "38"}')
        return made

    def further(self) -> dict[str, Any]:
        """The fields that did not become part of the problem, as plain JSON values."""
        try:
            return {name: plain(value) for name, value in self.fields.items() if name not in self.used}
        except RecursionError:
            raise DataError(f"{self.where}: is nested too deeply", remedy="flatten the further fields") from None


def _said(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and bool(str(value).strip())


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def carried(row: Row) -> dict[str, Any]:
    """What commands on files of lines take along from a line to the one that they make of it, for `mmst grade`."""
    return {name: plain(row.fields[name]) for name in CARRIED if name in row.fields}


def plain(value: Any, depth: int = 50) -> Any:
    """A value as JSON can hold it; a number that Python would write in other digits becomes a text.

    >>> plain([Digits("17"), Digits("0.5"), Digits("1.10"), Digits("1e400"), float("nan")])
    [17, 0.5, '1.10', '1e400', None]
    """
    if depth == 0:
        raise RecursionError
    if isinstance(value, Digits):
        return _number(str(value))
    if isinstance(value, dict):
        return {str(k): plain(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, depth - 1) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _number(digits: str) -> int | float | str:
    if len(digits) > 400:
        return digits
    if digits.lstrip("-").isdigit():
        return int(digits) if str(int(digits)) == digits else digits
    return float(digits) if repr(float(digits)) == digits else digits


def shortest(number: str) -> str:
    """A decimal without an empty fraction: `8.0` → `8`, `2.50` → `2.5`.

    >>> shortest("8.0"), shortest("2.50"), shortest("100"), shortest("1e-05")
    ('8', '2.5', '100', '1e-05')
    """
    return number.rstrip("0").rstrip(".") or "0" if "." in number and "e" not in number.lower() else number


def without_blank_lines(text: str) -> str:
    """A solution in one paragraph of lines: completions end at a blank line."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines() if line.strip())


def jsonl_stream(path: Path, digits: bool = False) -> Iterator[Row]:
    """The objects of a JSON-lines file, a line at a time: it may be larger than memory. Blank lines are skipped.

    With `digits` a number is what stands in the file (`Digits`).
    """
    try:
        file = path.open("rb")
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror})", remedy="give the JSON-lines file to read") from None
    with file:
        head = file.peek(4096)[:4096]
        if other := no_lines(head):
            raise DataError(f"{path} is {other[0]}; JSON lines are read here", remedy=other[1])
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as e:
                value = raw[e.start : e.start + 8]
                raise DataError(f"{where}: not UTF-8", value=value, remedy="iconv -t utf-8") from None
            yield as_row(where, _json(line, path, number, Digits if digits else None))


def other_kind(head: bytes) -> tuple[str, str] | None:
    """What a file that begins so is, and what makes a text of it; None for what may be one."""
    return next((said for magic, said in _OTHERS.items() if head.startswith(magic)), None)


def no_lines(head: bytes) -> tuple[str, str] | None:
    """As `other_kind`, also of what problem files may be but plain JSON lines are not."""
    if other := other_kind(head):
        return other
    if head.startswith(b"\x1f\x8b"):
        return "gzipped", "gunzip it, or pipe it: gunzip -c FILE | mmst …, with - for the input"
    if head.startswith(b"PAR1"):
        return "a Parquet file", "write it as JSON lines, as pandas' to_json(lines=True, orient='records') does"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "not UTF-8 (but UTF-16)", "iconv -f utf-16 -t utf-8"
    return None


def as_row(where: str, data: Any) -> Row:
    """The row that a JSON value is; `DataError` when it is no object."""
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a JSON object", value=data, remedy="one {…} a problem")
    return Row(where, data)


def _json(text: str, path: Path, line: int, number: type[Digits] | None) -> Any:
    try:
        return json.loads(text, parse_int=number, parse_float=number)
    except json.JSONDecodeError as e:
        value = text[max(e.pos - 20, 0) : e.pos + 20]
        what = f"{path}, line {line}: not JSON ({e.msg}, column {e.colno})"
        raise DataError(what, value=value, remedy="is the file whole?") from None
    except (RecursionError, ValueError) as e:
        raise DataError(f"{path}, line {line}: cannot be read ({e})", remedy="is this a problem file?") from None
