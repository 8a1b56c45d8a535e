"""Fixtures of the sampler and server tests: one tiny model, one server process for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving import Served, serving
from tests.support.tiny_models import tiny_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("served") / "model", "llama")


@pytest.fixture(scope="session")
def served(model_folder: Path) -> Iterator[Served]:
    with serving(model_folder) as server:
        yield server
