"""The checked samples of a run as one table that is searched in a moment, however many there are.

A stage's result never changes. So its samples are read once, into a Parquet file under the digest of its manifest,
and every later question is DuckDB's over these files. They are a cache: whatever is lost of it is made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from mmst.core import private
from mmst.core.errors import ConfigError, Stopped, StoreError
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, digest, from_json
from mmst.core.stored import shard
from mmst.runs.problem_history import Lines
from mmst.runs.summary import StageState
from mmst.stages.reads import CHECKED, PROBLEMS

R = TypeVar("R")

KINDS: Mapping[str, str] = {
    "verify": "sample",
    "label": "sample",
    "verify-translations": "translation",
    "verify-heldout": "held-out",
}
"""The stages that hold checked samples, and what these are called."""
COLUMNS = ("kind", "round", "arm", "method", "verdict", "task", "family", "writer")
"""What has few values, of which one is chosen."""
MOST_SHOWN = 2000
"""Characters of a solution that a list of samples shows."""
_WORK = "making-"
"""How what is not finished is called, before its process's number."""
_VERSION = 1
"""Of the files' columns."""
_SETTINGS = {"memory_limit": "2GB", "preserve_insertion_order": "true", "autoinstall_known_extensions": "false"}
_BLOCK = 32 << 20
"""Bytes of records that are read at a time."""
_TOGETHER = 16_384
"""The most rows that Parquet keeps together: fewer are found sooner, more take less space."""
_BYTES_TOGETHER = 16 << 20
"""Bytes of records from which on there are fewer: each thread has so much, several times over, in memory."""
_DOWNLOADED = 1000
"""Records that are downloaded at a time."""

_READ = "read_ndjson_objects($files, maximum_object_size = $longest)"


def _fields(**paths: str) -> str:
    """Columns by their paths in a record, which is parsed once for all of them."""
    listed = ", ".join(f"'$.{path}'" for path in paths.values())
    columns = ", ".join(f"found[{i}] AS {name}" for i, name in enumerate(paths, 1))
    return (
        f"SELECT place, {columns}, line FROM (SELECT row_number() OVER () AS place, json::VARCHAR AS line, "
        f"json_extract_string(json, [{listed}]) AS found FROM {_READ})"
    )


_PROBLEMS = _fields(problem="id", question="question", gold="answer", task="task", family="family")
_SAMPLES = _fields(
    id="sample.id",
    problem="sample.problem_id",
    method="sample.method",
    verdict="verdict",
    answer="answer",
    solution="solution",
    completion="sample.completion",
    detail="detail",
    tokens="sample.tokens",
    writer="sample.writer",
    source="sample.source_method",
)
_LINES = _fields(of="problem_id", own="id")
_NO_PROBLEMS = "(SELECT '' AS problem, '' AS question, '' AS gold, '' AS task, '' AS family)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which samples are wanted; what is empty does not matter.

    `text` is looked for in questions and completions, in either case of letters.
    """

    kind: str = ""
    round: str = ""
    arm: str = ""
    method: str = ""
    verdict: str = ""
    task: str = ""
    family: str = ""
    writer: str = ""
    problem: str = ""
    text: str = ""

    def query(self) -> dict[str, str]:
        """What is not empty, as an address has it."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The samples of one stage, and where in the run it stands."""

    round: int
    arm: str
    kind: str
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some samples of all that are wanted; how many there are, and of each value of `COLUMNS`.

    The counts of a column are those under all other choices, so that another of its values can be chosen.
    """

    total: int
    counts: Mapping[str, Mapping[str, int]]
    rows: Sequence[Mapping[str, Any]]


class Database:
    """DuckDB in memory. May be used by several threads, each with a cursor of its own."""

    def __init__(self, spill: Path) -> None:
        self._connection = duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(spill)})
        self._cursors = set[duckdb.DuckDBPyConnection]()
        self.closed = False

    @contextlib.contextmanager
    def cursor(self, files: Collection[Path] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor to query these files; they are deleted, to be made again, when one cannot be read."""
        self.check()
        with self._connection.cursor() as cursor:
            self._cursors.add(cursor)
            try:
                yield cursor
            except duckdb.InterruptException:
                raise Stopped("the samples were not read to their end") from None
            except duckdb.OutOfMemoryException as e:
                what = "the samples take more memory than `mmst view` may have"
                raise StoreError(what, why=str(e).partition("\n")[0], remedy="ask for fewer at once") from e
            except duckdb.Error as e:
                if not files or isinstance(
                    e, duckdb.BinderException | duckdb.ParserException | duckdb.CatalogException
                ):
                    raise
                for file in files:
                    file.unlink(missing_ok=True)
                remedy = "ask again: they are read anew from the store"
                raise StoreError("the tables of samples were lost or damaged", why=str(e)[:200], remedy=remedy) from e
            finally:
                self._cursors.discard(cursor)

    def check(self) -> None:
        """`Stopped` when it is closed."""
        if self.closed:
            raise Stopped("the samples were not read to their end")

    def close(self) -> None:
        """Stop whatever is under way."""
        self.closed = True
        for cursor in list(self._cursors):
            cursor.interrupt()


class Index:
    """The tables of a store's runs. May be used by several threads."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self._store = store
        self._folder = _own(folder or private.cache_path() / "view")
        self._locks, self._lock = dict[Path, threading.Lock](), threading.Lock()
        self._whole = set[Path]()
        self._database = Database(self._folder / f"{_WORK}{os.getpid()}-spill")

    def close(self) -> None:
        """Stop reading samples."""
        self._database.close()

    def samples(self, stages: Sequence[StageState]) -> Samples:
        """The checked samples of a run's complete stages. What is new of them is read first."""
        found = [(s.place, s.manifest) for s in stages if s.manifest is not None]
        labelled = {place.round for place, _ in found if place.step == "label"}
        prepared = next((m for place, m in found if place.step == "prepare"), None)
        problems = self._problems(prepared) if prepared else None
        tables = [
            Table(round=place.round, arm=place.arm, kind=KINDS[place.step], file=self._samples(manifest, problems))
            for place, manifest in found
            # A label stage has its round's samples again, with the verdicts that the labels give.
            if place.step in KINDS and not (place.step == "verify" and place.round in labelled)
        ]
        return Samples(self._database, tables, problems)

    def about(self, stages: Sequence[StageState]) -> Lines:
        """What reads a run's records of one problem, as `problem_history.lines_about` does, in a moment."""
        problems = next((self._problems(s.manifest) for s in stages if s.place.step == "prepare" and s.manifest), None)

        def lines(
            store: Store, manifest: Manifest | None, kind: type[R], problem_id: str, prefix: str = ""
        ) -> Iterator[R]:
            if manifest is None:
                return
            checked = kind is CheckedSample
            file = self._samples(manifest, problems) if checked else self._lines(manifest, prefix)
            with self._database.cursor([file]) as cursor:
                query = f"SELECT line FROM read_parquet({_quoted(file)}) WHERE problem = ?"
                found: list[tuple[str]] = cursor.execute(query, [problem_id]).fetchall()
            yield from (from_json(kind, line) for (line,) in found)

        return lines

    def _lines(self, manifest: Manifest, prefix: str) -> Path:
        query = f"SELECT coalesce(of, own) AS problem, line FROM ({_LINES})"
        return self._made(self._file(digest([manifest.digest, prefix])), manifest, (prefix,), query, "*")

    def _problems(self, manifest: Manifest) -> Path:
        path = self._file(manifest.digest)
        # One that has several roles stands in several files.
        query = f"SELECT * EXCLUDE (place, line) FROM ({_PROBLEMS})"
        return self._made(path, manifest, PROBLEMS, query, "DISTINCT ON (problem) *")

    def _samples(self, manifest: Manifest, problems: Path | None) -> Path:
        path = self._file(digest([manifest.digest, problems.name if problems else ""]))
        joined = f"read_parquet({_quoted(problems)})" if problems else _NO_PROBLEMS
        once = "* EXCLUDE (place) REPLACE (nullif(solution, completion) AS solution)"
        query = f"SELECT {once} FROM ({_SAMPLES}) LEFT JOIN {joined} USING (problem) ORDER BY place"
        return self._made(path, manifest, (CHECKED,), query, "*")

    def _file(self, name: str) -> Path:
        return self._folder / f"{name.removeprefix('sha256:')}.parquet"

    def _made(self, path: Path, manifest: Manifest, prefix: tuple[str, ...], query: str, columns: str) -> Path:
        """The Parquet file of a result, made where it is not there, or is not whole."""
        with self._lock:
            lock = self._locks.setdefault(path, threading.Lock())
        if path in self._whole and path.is_file():
            return path
        with lock:
            if not self._is_whole(path):
                private.folder(self._folder)
                with tempfile.TemporaryDirectory(dir=self._folder, prefix=f"{_WORK}{os.getpid()}-") as folder:
                    work, parts, rows = Path(folder), list[str](), _TOGETHER
                    for lines in self._blocks(manifest, prefix, work):
                        self._database.check()
                        parts.append(str(work / f"{len(parts):06d}.parquet"))
                        rows = min(rows, self._read(query, lines, Path(parts[-1])))
                    whole = f"SELECT {columns} FROM read_parquet($files)"
                    self._write(whole, {"files": parts}, work / "whole.parquet", rows)
                    with (work / "whole.parquet").open("rb") as file:
                        os.fsync(file.fileno())
                    (work / "whole.parquet").replace(path)
            self._whole.add(path)
        return path

    def _is_whole(self, path: Path) -> bool:
        """Whether the file is there, to its end."""
        if not path.is_file():
            return False
        try:
            with self._database.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM read_parquet({_quoted(path)})").fetchall()
        except duckdb.Error:
            return False
        return True

    def _blocks(self, manifest: Manifest, prefix: tuple[str, ...], folder: Path) -> Iterator[Path]:
        """The records in files of about `_BLOCK` bytes, one at least; every shard's hash is compared first."""
        path, size, any_yet = folder / "block.jsonl", 0, False
        file = path.open("wb")
        for entry in manifest.files:
            if entry.name.startswith(prefix) and entry.name.endswith(".jsonl"):
                size += file.write(shard(self._store, manifest, entry))
                if size >= _BLOCK:
                    file.close()
                    yield path
                    file, size, any_yet = path.open("wb"), 0, True
        file.close()
        if size or not any_yet:
            yield path

    def _read(self, query: str, lines: Path, to: Path) -> int:
        """Make a part of the table; how many of its rows are to be kept together."""
        with lines.open("rb") as file:
            sizes = [len(line) for line in file]
        rows = max(min(_BYTES_TOGETHER * len(sizes) // max(sum(sizes), 1), _TOGETHER), 64)
        values = {"files": [str(lines)], "longest": max(1 << 20, 2 * max(sizes, default=0))}
        try:
            self._write(query, values, to, rows)
        except duckdb.InvalidInputException:  # half a surrogate pair, which a model may have written
            mended = lines.with_suffix(".mended")
            with lines.open("rb") as file, mended.open("wb") as other:
                other.writelines(map(_mended, file))
            self._write(query, values | {"files": [str(mended)]}, to, rows)
        return rows

    def _write(self, query: str, values: Mapping[str, Any], to: Path, rows: int) -> None:
        options = f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows})"
        with self._database.cursor() as cursor:
            cursor.execute(f"COPY ({query}) TO {_quoted(to)} {options}", dict(values))


class Samples:
    """The checked samples of one run, in the order in which they were drawn."""

    def __init__(self, database: Database, tables: Sequence[Table], problems: Path | None) -> None:
        self._database, self._tables, self._problems = database, tables, problems
        self._files = [t.file for t in tables] + ([problems] if problems else [])

    def page(self, wanted: Filter, page: int, size: int) -> Page:
        """The samples of one page (1 is the first; the last one, where there are fewer)."""
        if not self._tables:
            return Page(total=0, counts={}, rows=())
        with self._database.cursor(self._files) as cursor:
            source = self._with_text(cursor, wanted.text)
            total, counts = _counts(cursor, source, wanted)
            page = max(min(page, -(-total // size)), 1)
            where, values = _where(wanted)
            query = (
                f"SELECT part, place FROM {source} {where} ORDER BY part, place LIMIT {size} OFFSET {(page - 1) * size}"
            )
            keys: list[tuple[int, int]] = cursor.execute(query, values).fetchall()
            return Page(total=total, counts=counts, rows=[*self._rows(cursor, keys)])

    def lines(self, wanted: Filter) -> Iterator[bytes]:
        """The records as the store has them, a line each, with where in the run they stand; many lines at a time."""
        for part, table in enumerate(self._tables):
            head = json.dumps({"round": table.round, "arm": table.arm, "kind": table.kind}, ensure_ascii=False)
            with self._database.cursor(self._files) as cursor:
                where, values = _where(wanted)
                source = self._with_text(cursor, wanted.text)
                query = f"SELECT place FROM {source} {where or 'WHERE true'} AND part = {part} ORDER BY place"
                places = cursor.execute(query, values).fetchnumpy()["place"]
            for i in range(0, len(places), _DOWNLOADED):
                some = places[i : i + _DOWNLOADED]
                query = (
                    f"SELECT line FROM read_parquet({_quoted(table.file)}, file_row_number = true) "
                    f"WHERE file_row_number BETWEEN {some[0]} AND {some[-1]} AND list_contains(?, file_row_number) "
                    "ORDER BY file_row_number"
                )
                with self._database.cursor(self._files) as cursor:
                    rows = cursor.execute(query, [some.tolist()]).fetchall()
                yield "".join(f"{head[:-1]}, {line[1:]}\n" for (line,) in rows).encode("utf-8", "replace")

    def questions(self, problems: Collection[str]) -> dict[str, str]:
        """The questions of these problems."""
        if not self._problems or not problems:
            return {}
        query = f"SELECT problem, question FROM read_parquet({_quoted(self._problems)}) WHERE list_contains(?, problem)"
        with self._database.cursor(self._files) as cursor:
            return dict(cursor.execute(query, [list(problems)]).fetchall())

    def _with_text(self, cursor: duckdb.DuckDBPyConnection, text: str) -> str:
        """What to select the samples from that have a text: it is looked for once, however often they are counted."""
        small = "id, problem, method, verdict, task, family, writer"
        where = "WHERE contains(lower(completion), lower($text)) OR problem IN (FROM asked)" if text else ""
        parts = (
            f"SELECT {part} AS part, file_row_number AS place, '{t.round}' AS round, {_quoted(t.arm)} AS arm, "
            f"'{t.kind}' AS kind, {small} FROM read_parquet({_quoted(t.file)}, file_row_number = true) {where}"
            for part, t in enumerate(self._tables)
        )
        union = " UNION ALL ".join(parts)
        if not text:
            return f"({union})"
        asked = (
            f"SELECT problem FROM read_parquet({_quoted(self._problems)}) WHERE contains(lower(question), lower($text))"
            if self._problems
            else "SELECT NULL WHERE false"
        )
        cursor.execute(f"CREATE TEMP TABLE found AS WITH asked AS ({asked}) {union}", {"text": text})
        return "found"

    def _rows(self, cursor: duckdb.DuckDBPyConnection, keys: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
        columns = (
            f"id, problem, method, verdict, answer, left(coalesce(solution, completion), {MOST_SHOWN}) AS solution, "
            "left(detail, 500) AS detail, tokens, writer, source, question, gold"
        )
        for part in dict.fromkeys(part for part, _ in keys):
            table = self._tables[part]
            query = (
                f"SELECT {columns} FROM read_parquet({_quoted(table.file)}, file_row_number = true) "
                f"WHERE file_row_number IN ({', '.join(str(place) for p, place in keys if p == part)}) "
                "ORDER BY file_row_number"
            )
            found = cursor.execute(query)
            names = [column[0] for column in found.description or ()]
            for row in found.fetchall():
                yield {"round": table.round, "arm": table.arm, "kind": table.kind, **dict(zip(names, row, strict=True))}


def _counts(cursor: duckdb.DuckDBPyConnection, source: str, wanted: Filter) -> tuple[int, dict[str, dict[str, int]]]:
    """See `Page`."""
    asked = wanted.query()
    chosen = [c for c in COLUMNS if c in asked]
    free = [c for c in COLUMNS if c not in chosen]
    total, found = 0, dict[str, dict[str, int]]()
    for columns in (free, *([c] for c in chosen)):
        where, values = _where(Filter(**{name: value for name, value in asked.items() if name not in columns}))
        sets = ", ".join(f"({c})" for c in columns)
        names = ", ".join(columns)
        query = (
            f"SELECT grouping_id({names}), count(*), {names} FROM {source} {where} GROUP BY GROUPING SETS ((), {sets})"
        )
        for which, n, *of in cursor.execute(query, values).fetchall():
            column = next((i for i in range(len(columns)) if not which >> (len(columns) - 1 - i) & 1), None)
            if column is not None:
                found.setdefault(columns[column], {})[of[column] or ""] = n
            elif columns is free:
                total = n
    return total, {c: dict(sorted(found[c].items())) for c in COLUMNS if c in found}


def _where(wanted: Filter) -> tuple[str, list[str]]:
    """The condition, but for the text."""
    asked = {name: value for name, value in wanted.query().items() if name != "text"}
    return f"WHERE {' AND '.join(f'{name} = ?' for name in asked)}" if asked else "", list(asked.values())


def _own(folder: Path) -> Path:
    """The folder of the tables; what a process left that was killed while it made some is swept away."""
    if any(c in str(folder) for c in "*?["):
        what = "the folder of the tables must have none of * ? [ in its name"
        raise ConfigError(what, value=str(folder), remedy="set XDG_CACHE_HOME to another folder")
    try:
        found = private.folder(folder / f"v{_VERSION}")
        for left in found.glob(f"{_WORK}*"):
            pid = left.name.removeprefix(_WORK).partition("-")[0]
            if not Path("/proc", pid).exists():
                shutil.rmtree(left, ignore_errors=True)
    except OSError as e:
        remedy = "set XDG_CACHE_HOME to a folder that can be written"
        raise ConfigError(f"the tables cannot be kept in {folder}: {e.strerror}", remedy=remedy) from e
    return found


def _quoted(text: object) -> str:
    """A string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def _mended(line: bytes) -> bytes:
    """A record that every reader of JSON takes: half a surrogate pair becomes a question mark."""
    data = json.loads(line.decode("utf-8", "surrogatepass"))
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
