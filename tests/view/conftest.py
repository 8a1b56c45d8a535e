"""A made-up run with hostile text in it, in a store."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mmst.core.ports import Store
from mmst.core.records import CheckedSample
from mmst.core.stored import records
from mmst.runs.summary import StageState, stages
from mmst.storage.folder import FolderStore
from mmst.view.index import KINDS
from tests.support.report_run import engines, make_run


@dataclass(frozen=True)
class Run:
    folder: Path
    store: Store
    name: str

    @property
    def stages(self) -> list[StageState]:
        return list(stages(self.store, self.name))

    def samples(self) -> list[tuple[StageState, CheckedSample]]:
        """All checked samples, by reading every record."""
        return [
            (s, c)
            for s in self.stages
            if s.place.step in KINDS and s.manifest is not None
            for c in records(self.store, s.manifest, CheckedSample)
        ]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("view") / "out"
    name = make_run(engines(folder))
    return Run(folder, FolderStore(folder), name)
