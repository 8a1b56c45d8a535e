"""Read problem files of every published kind as the same rows.

    JSON lines, one JSON list, one JSON object    CSV, TSV (with a header line)
    Parquet                                       XML with an element <Problem> each
    a folder of such files (MATH: one problem a file)

The first bytes of a file decide its kind, not its name. Text is UTF-8 or, with a byte-order mark, UTF-16, and may
be gzipped. JSON lines, CSV and Parquet are streamed; a JSON list and XML are loaded whole, up to 1 GiB.
"""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mmst.core.errors import DataError
from mmst.core.rows import Row, other_kind
from mmst.datasets import json_text, tables

Bytes = io.BufferedReader | gzip.GzipFile

LONGEST_LINE = 64 * 2**20
LARGEST_WHOLE = 2**30
ENDINGS = (".json", ".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".xml")
"""The files that are read from a folder; each may also end in .gz."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file, or of every file of a folder in the order of their names (2.json before 10.json).

    Raises `DataError` with file, line and remedy for anything that cannot be read. In a folder of files with one
    object each, a row has the further field `file`: its name there.
    """
    if not path.is_dir():
        yield from file_rows(path)
        return
    for file in members(path):
        found = file_rows(file)
        beginning = list(itertools.islice(found, 2))
        if not beginning:
            raise DataError(
                f"{file} contains no problem", remedy="check that the file is complete, or remove it from the folder"
            )
        if len(beginning) == 1:
            named = {"file": file.relative_to(path).as_posix()}
            beginning = [replace(beginning[0], fields=named | dict(beginning[0].fields))]
        yield from itertools.chain(beginning, found)


def members(folder: Path) -> list[Path]:
    """The files of a folder that can hold problems, without hidden ones; `DataError` if there is none."""
    found = [
        file
        for file in folder.rglob("*")
        if file.name.removesuffix(".gz").endswith(ENDINGS)
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    ]
    if not found:
        raise DataError(f"the folder {folder} contains no problem file", remedy=f"names end in {', '.join(ENDINGS)}")
    return sorted(found, key=lambda file: _natural(file.relative_to(folder).as_posix()))


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of one file."""
    with opened(path) as file:
        head = file.peek(4096)[:4096]
        if other := other_kind(head):
            raise DataError(f"{path} is {other[0]}", remedy=other[1])
        if head.startswith(b"PAR1") and isinstance(file, gzip.GzipFile):
            raise DataError(f"{path} is a gzipped Parquet file", remedy="gunzip it: Parquet has its own compression")
        if head.startswith(b"PAR1"):
            yield from tables.parquet_rows(path)
            return
        lines = _Lines(file, path, "utf-16" if head.startswith(_UTF16) else "utf-8-sig")
        first = next((line for line in lines if line[1].strip()), None)
        if first is None:
            return
        start = first[1].lstrip()[0]
        if start == "[":
            yield from json_text.listed(path, first[0], lines.whole(first))
        elif start == "{":
            yield from _objects(path, first, lines)
        elif start == "<":
            yield from tables.xml_rows(path, lines.whole(first))
        elif any(separator in first[1] for separator in ",;\t"):
            yield from tables.csv_rows(path, itertools.chain([first], lines))
        else:
            what = f"{path}, line {first[0]}: neither JSON nor a table"
            raise DataError(what, value=first[1][:80], remedy="give JSON lines, a JSON list, CSV, XML or Parquet")


@contextmanager
def opened(path: Path) -> Iterator[Bytes]:
    """The file's bytes, unzipped; every problem with reading it is a `DataError`."""
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            yield gzip.GzipFile(fileobj=raw) if zipped else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise DataError(f"{path}: the gzip file is broken ({e})", remedy="download it again") from None
    except OSError as e:
        raise DataError(
            f"{path} cannot be read ({e.strerror or e})", remedy="check the file and its permissions"
        ) from None


class _Lines:
    """The numbered lines of a text file, with their ends; a line has at most `LONGEST_LINE` bytes."""

    def __init__(self, file: Bytes, path: Path, encoding: str) -> None:
        self.file, self.path = file, path
        self.encoding = encoding
        self.wide = encoding == "utf-16"
        if self.wide:
            self.encoding = "utf-16-le" if file.read(2) == _UTF16[0] else "utf-16-be"
        self.number = 0

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return self

    def __next__(self) -> tuple[int, str]:
        raw = self._line()
        if not raw:
            raise StopIteration
        self.number += 1
        encoding = self.encoding if self.number == 1 or self.wide else "utf-8"
        return self.number, self._decoded(raw, encoding, self.number)

    def whole(self, first: tuple[int, str]) -> str:
        """The rest of the file as one text, from this line on."""
        rest = self.file.read(LARGEST_WHOLE + 1)
        if len(rest) > LARGEST_WHOLE:
            raise DataError(
                f"{self.path} is one JSON or XML value of more than {LARGEST_WHOLE >> 30} GiB",
                remedy="write it as JSON lines, one object per line: jq -c '.[]' FILE",
            )
        return first[1] + self._decoded(rest, self.encoding if self.wide else "utf-8", self.number + 1)

    def _line(self) -> bytes:
        raw = self.file.readline(LONGEST_LINE + 1)
        if self.wide:
            raw = self._wide_line(raw)
        if len(raw) > LONGEST_LINE:
            what = f"{self.path}, line {self.number + 1}: longer than {LONGEST_LINE >> 20} MiB"
            raise DataError(what, value=raw[:40], remedy="write one problem per line, or a JSON list")
        return raw

    def _wide_line(self, raw: bytes) -> bytes:
        """A byte 0x0A ends a line only where it is half of U+000A."""
        little = self.encoding.endswith("le")
        while raw and len(raw) <= LONGEST_LINE:
            if little and len(raw) % 2:
                raw += self.file.read(1)
            if len(raw) % 2 == 0 and raw[-2:] == (b"\n\x00" if little else b"\x00\n"):
                break
            more = self.file.readline(LONGEST_LINE + 1 - len(raw))
            if not more:
                break
            raw += more
        return raw

    def _decoded(self, raw: bytes, encoding: str, line: int) -> str:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as e:
            at = line + raw.count(b"\n", 0, e.start)
            name = "UTF-16" if self.wide else "UTF-8"
            value = raw[e.start : e.start + 8]
            raise DataError(f"{self.path}, line {at}: not {name}", value=value, remedy="iconv -t utf-8") from None


def _objects(path: Path, first: tuple[int, str], lines: _Lines) -> Iterator[Row]:
    """JSON lines; or, if the first line is not a whole object, objects over several lines."""
    try:
        row = json_text.line_row(path, *first)
    except json_text.Incomplete as e:
        yield from json_text.objects(path, first[0], lines.whole(first), e)
        return
    yield row
    for number, line in lines:
        if line.strip():
            yield json_text.line_row(path, number, line)


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
