"""Read Parquet, CSV and XML as rows."""

from __future__ import annotations

import base64
import csv
import decimal
import math
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmst.core.errors import DataError, SetupError
from mmst.core.extras import install
from mmst.core.rows import Digits, Row

BATCH = 512
"""Rows of a Parquet file that are in memory at a time."""


def csv_rows(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
    """The rows of a CSV file: numbered lines, the first of which names the columns.

    Columns are separated as in that line: by commas, else by tabs, else by semicolons.
    """
    numbered = iter(lines)
    first, header = next(numbered)
    separator = next((s for s in ",\t;" if s in header), ",")
    reader = csv.reader([header], delimiter=separator, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
    except csv.Error as e:
        raise DataError(f"{path}, line {first}: not CSV ({e})", remedy="check that the file is complete") from None
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"{path}, line {first}: two columns have the same name", value=twice, remedy="rename one of them"
        )
    reader = csv.reader((line for _, line in numbered), delimiter=separator, strict=True)
    before = 0
    try:
        for values in reader:
            where, before = f"{path}, line {first + before + 1}", reader.line_num
            if len(values) not in (0, len(names)):
                what = f"{where}: a different number of columns than the header"
                raise DataError(what, value=values, remedy="quote fields that contain commas")
            if values:
                yield Row(where, dict(zip(names, values, strict=True)))
    except csv.Error as e:
        at = first + reader.line_num
        raise DataError(f"{path}, line {at}: not CSV ({e})", remedy="check that the file is complete") from None


def xml_rows(path: Path, text: str) -> Iterator[Row]:
    """The <Problem> elements of an XML text, with attributes and child texts as fields."""
    if "<!ENTITY" in text:
        raise DataError(f"{path} defines XML entities", remedy="the published file has none; download it again")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as e:
        raise DataError(
            f"{path}, line {e.position[0]}: not XML ({e})", remedy="check that the file is complete"
        ) from None
    except ValueError as e:
        raise DataError(f"{path}: not XML ({e})", remedy="check that the file is complete") from None
    for element in root.iter("Problem"):
        id = element.get("ID", "")
        at = text.find(f'ID="{id}"') if id else -1
        line = f"line {text.count(chr(10), 0, at) + 1}, " if at >= 0 else ""
        children = {child.tag: "".join(child.itertext()).strip() for child in element}
        yield Row(f"{path}, {line}problem {id or '(without ID)'}", {**element.attrib, **children})


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, some hundred at a time.

    Raises `SetupError` if pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        remedy = install("parquet")
        raise SetupError("pyarrow is not installed", why=f"it is needed to read {path.name}", remedy=remedy) from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path, memory_map=True) as file:
            _refuse_twins(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH):
                single = {f.name for f in batch.schema if pyarrow.types.is_float32(f.type)}
                for fields in batch.to_pylist():
                    number += 1
                    found = {k: _single(v) if k in single else _plain(v) for k, v in fields.items()}
                    yield Row(f"{path}, row {number}", found)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as e:
        if isinstance(e, DataError):
            raise
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        what = f"{path}, row {number + 1}: cannot be read as Parquet ({reason})"
        raise DataError(what, remedy="check that the file is complete") from None


def _refuse_twins(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{path}: two columns have the same name", value=name, remedy="rename one of them")


def _plain(value: Any) -> Any:
    """A value of a column in JSON terms: numbers by their digits; bytes, dates and others as texts."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return Digits(repr(value)) if isinstance(value, int) or math.isfinite(value) else value
    if isinstance(value, decimal.Decimal):
        return Digits(f"{value:f}") if value.is_finite() else float(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


def _single(value: float | None) -> Any:
    """A single-precision number in the fewest digits that identify it: 1.1, not 1.100000023841858."""
    if value is None or not math.isfinite(value):
        return value
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return Digits(repr(short))
    return Digits(repr(value))
