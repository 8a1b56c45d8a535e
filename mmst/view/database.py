"""DuckDB, its cursors, and what its errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

import duckdb

from mmst.core.errors import Stopped, StoreError

SETTINGS = {"memory_limit": "2GB", "preserve_insertion_order": "true", "autoinstall_known_extensions": "false"}


class Database:
    """DuckDB in memory. May be used by several threads, each with a cursor of its own."""

    def __init__(self, spill: Path) -> None:
        self._connection = duckdb.connect(":memory:", config={**SETTINGS, "temp_directory": str(spill)})
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


def quoted(text: object) -> str:
    """A string of SQL."""
    return "'" + str(text).replace("'", "''") + "'"
