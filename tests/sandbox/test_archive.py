"""The archive of compiled modules: what is imported from it is what would be imported from the files."""

from __future__ import annotations

import compileall
import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from mmst.sandbox.guest.archive import Archive, write

FILES = {
    "oak/__init__.py": "from oak.leaf import green\n",
    "oak/leaf.py": "green = 'leaf'\n",
    "oak/root/__init__.py": "",
    "oak/root/hair.py": "from . import __name__ as above\n",
}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    compileall.compile_dir(tmp_path, quiet=2)
    write(tmp_path, tmp_path / "all.marshal")
    made = Archive(str(tmp_path), str(tmp_path / "all.marshal"))
    sys.meta_path.insert(0, made)
    yield made
    sys.meta_path.remove(made)
    made.close()
    for name in [name for name in sys.modules if name.split(".")[0] == "oak"]:
        del sys.modules[name]


def test_modules_and_packages_are_imported(archive: Archive, tmp_path: Path) -> None:
    for path in tmp_path.rglob("*.py"):
        path.unlink()  # nothing is read from the files
    assert importlib.import_module("oak").green == "leaf"
    assert importlib.import_module("oak.root.hair").above == "oak.root"


def test_they_tell_of_themselves_what_those_from_files_tell(archive: Archive, tmp_path: Path) -> None:
    oak, leaf = importlib.import_module("oak"), importlib.import_module("oak.leaf")
    assert oak.__file__ == f"{tmp_path}/oak/__init__.py"
    assert oak.__path__ == [f"{tmp_path}/oak"]
    assert leaf.__file__ == f"{tmp_path}/oak/leaf.py"
    assert leaf.__package__ == "oak"
    for module in (oak, leaf):
        assert module.__spec__ is not None
        assert module.__spec__.loader is module.__loader__
        assert type(module.__loader__) is SourceFileLoader


def test_what_is_not_in_it_is_left_to_others(archive: Archive) -> None:
    assert archive.find_spec("oak.acorn") is None
    assert archive.find_spec("json") is None


def test_a_closed_one_finds_nothing(archive: Archive) -> None:
    archive.close()
    assert archive.find_spec("oak") is None
