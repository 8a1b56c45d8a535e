"""The checked samples of a run: filtered, counted, a page at a time, or all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb

from mmst.view.database import Database, quoted

COLUMNS = ("kind", "round", "arm", "method", "verdict", "task", "family", "writer")
"""What has few values, of which one is chosen."""
MOST_SHOWN = 2000
"""Characters of a solution that a list of samples shows."""
_DOWNLOADED = 1000
"""Records that are downloaded at a time."""


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
        if not self._tables:
            return
        with self._database.cursor(self._files) as cursor:
            where, values = _where(wanted)
            query = f"SELECT part, place FROM {self._with_text(cursor, wanted.text)} {where} ORDER BY part, place"
            keys = cursor.execute(query, values).fetchnumpy()
        for part, table in enumerate(self._tables):
            head = json.dumps({"round": table.round, "arm": table.arm, "kind": table.kind}, ensure_ascii=False)
            places = keys["place"][keys["part"] == part]
            for i in range(0, len(places), _DOWNLOADED):
                some = places[i : i + _DOWNLOADED]
                query = (
                    f"SELECT line FROM read_parquet({quoted(table.file)}, file_row_number = true) "
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
        query = f"SELECT problem, question FROM read_parquet({quoted(self._problems)}) WHERE list_contains(?, problem)"
        with self._database.cursor(self._files) as cursor:
            return dict(cursor.execute(query, [list(problems)]).fetchall())

    def _with_text(self, cursor: duckdb.DuckDBPyConnection, text: str) -> str:
        """What to select the samples from that have a text: it is looked for once, however often they are counted."""
        small = "id, problem, method, verdict, task, family, writer"
        where = "WHERE contains(lower(completion), lower($text)) OR problem IN (FROM asked)" if text else ""
        parts = (
            f"SELECT {part} AS part, file_row_number AS place, '{t.round}' AS round, {quoted(t.arm)} AS arm, "
            f"'{t.kind}' AS kind, {small} FROM read_parquet({quoted(t.file)}, file_row_number = true) {where}"
            for part, t in enumerate(self._tables)
        )
        union = " UNION ALL ".join(parts)
        if not text:
            return f"({union})"
        asked = (
            f"SELECT problem FROM read_parquet({quoted(self._problems)}) WHERE contains(lower(question), lower($text))"
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
                f"SELECT {columns} FROM read_parquet({quoted(table.file)}, file_row_number = true) "
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
