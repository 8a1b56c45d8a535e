"""A store that was moved or copied, with its database: the artifacts beside it are found where they are now.

MLflow writes absolute paths into its tables, and has no call that changes them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

FOLDER = "mlflow-artifacts"
"""The folder of all experiments' artifacts, beside the database."""
_PATHS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""The tables of MLflow 3 and their columns that hold paths of artifacts."""


def follow(database: Path) -> None:
    """Let every path in the database's tables that leads into a folder `FOLDER` lead into the one beside it.

    Nothing is changed in a database that is no such one: artifacts that are not found then are MLflow's to report.
    """
    if not database.is_file() or not database.stat().st_size:
        return
    here = (database.parent / FOLDER).as_uri()
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as db, db:
        for table, column in _PATHS:
            was = f"substr({column}, 1, instr({column}, '/{FOLDER}/') + {len(FOLDER)})"
            db.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, length({was}) + 1) "
                f"WHERE {column} LIKE 'file:///%/{FOLDER}/%' AND {was} != ?",
                (here, here),
            )
