"""What stages have made, as Parquet files: each result is read once, and kept under its digest.

A result never changes. The files are a cache: whatever is lost of it is made again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from mmst.core import private
from mmst.core.errors import ConfigError
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import digest
from mmst.core.stored import shard
from mmst.stages.reads import CHECKED, PROBLEMS
from mmst.view.database import Database, quoted

_WORK = "making-"
"""How what is not finished is called, before its process's number."""
_VERSION = 1
"""Of the files' columns."""
_BLOCK = 32 << 20
"""Bytes of records that are read at a time."""
_TOGETHER = 16_384
"""The most rows that Parquet keeps together: fewer are found sooner, more take less space."""
_BYTES_TOGETHER = 16 << 20
"""Bytes of records from which on there are fewer: each thread has so much, several times over, in memory."""

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


class Tables:
    """The files, made where they are not there. May be used by several threads."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, _own(folder)
        self._locks, self._lock = dict[Path, threading.Lock](), threading.Lock()
        self._whole = set[Path]()
        self.database = Database(self._folder / f"{_WORK}{os.getpid()}-spill")

    def problems(self, manifest: Manifest) -> Path:
        """Those that a run was prepared with: problem, question, gold, task, family."""
        path = self._file(manifest.digest)
        query = f"SELECT * EXCLUDE (place, line) FROM ({_PROBLEMS})"
        # One that has several roles stands in several files.
        return self._made(path, manifest, PROBLEMS, query, "DISTINCT ON (problem) *")

    def samples(self, manifest: Manifest, problems: Path | None) -> Path:
        """Checked samples, each with its problem's question, answer and kind, and as the line that the store has."""
        path = self._file(digest([manifest.digest, problems.name if problems else ""]))
        joined = f"read_parquet({quoted(problems)})" if problems else _NO_PROBLEMS
        once = "* EXCLUDE (place) REPLACE (nullif(solution, completion) AS solution)"
        query = f"SELECT {once} FROM ({_SAMPLES}) LEFT JOIN {joined} USING (problem) ORDER BY place"
        return self._made(path, manifest, (CHECKED,), query, "*")

    def lines(self, manifest: Manifest, prefix: str) -> Path:
        """Any records as lines, by their problem."""
        query = f"SELECT coalesce(of, own) AS problem, line FROM ({_LINES})"
        return self._made(self._file(digest([manifest.digest, prefix])), manifest, (prefix,), query, "*")

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
                        self.database.check()
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
            with self.database.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM read_parquet({quoted(path)})").fetchall()
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
        with self.database.cursor() as cursor:
            cursor.execute(f"COPY ({query}) TO {quoted(to)} {options}", dict(values))


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


def _mended(line: bytes) -> bytes:
    """A record that every reader of JSON takes: half a surrogate pair becomes a question mark."""
    data = json.loads(line.decode("utf-8", "surrogatepass"))
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
