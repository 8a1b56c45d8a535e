"""The index of a store: what each run has checked, and all that was recorded of a problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mmst.core import private
from mmst.core.manifest import Manifest
from mmst.core.ports import Store
from mmst.core.records import CheckedSample, from_json
from mmst.runs.problem_history import Lines
from mmst.runs.summary import StageState
from mmst.view.database import quoted
from mmst.view.samples import Samples, Table
from mmst.view.tables import Tables

R = TypeVar("R")

KINDS: Mapping[str, str] = {
    "verify": "sample",
    "label": "sample",
    "verify-translations": "translation",
    "verify-heldout": "held-out",
}
"""The stages that hold checked samples, and what these are called."""


class Index:
    """The tables of a store's runs. May be used by several threads."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self._tables = Tables(store, folder or private.cache_path() / "view")

    def close(self) -> None:
        """Stop reading samples."""
        self._tables.database.close()

    def samples(self, stages: Sequence[StageState]) -> Samples:
        """The checked samples of a run's complete stages. What is new of them is read first."""
        found = [(s.place, s.manifest) for s in stages if s.manifest is not None]
        labelled = {place.round for place, _ in found if place.step == "label"}
        problems, table = self._problems(stages), self._tables.samples
        tables = [
            Table(round=place.round, arm=place.arm, kind=KINDS[place.step], file=table(manifest, problems))
            for place, manifest in found
            # A label stage has its round's samples again, with the verdicts that the labels give.
            if place.step in KINDS and not (place.step == "verify" and place.round in labelled)
        ]
        return Samples(self._tables.database, tables, problems)

    def about(self, stages: Sequence[StageState]) -> Lines:
        """What reads a run's records of one problem, as `problem_history.lines_about` does, in a moment."""
        problems = self._problems(stages)

        def lines(
            store: Store, manifest: Manifest | None, kind: type[R], problem_id: str, prefix: str = ""
        ) -> Iterator[R]:
            if manifest is None:
                return
            checked = kind is CheckedSample
            file = self._tables.samples(manifest, problems) if checked else self._tables.lines(manifest, prefix)
            with self._tables.database.cursor([file]) as cursor:
                query = f"SELECT line FROM read_parquet({quoted(file)}) WHERE problem = ?"
                found: list[tuple[str]] = cursor.execute(query, [problem_id]).fetchall()
            yield from (from_json(kind, line) for (line,) in found)

        return lines

    def _problems(self, stages: Sequence[StageState]) -> Path | None:
        """The table of the run's problems; None before they are prepared."""
        prepared = next((s.manifest for s in stages if s.place.step == "prepare" and s.manifest), None)
        return self._tables.problems(prepared) if prepared else None
