"""The packages in the sandbox's root folder, copied from this Python environment.

Their versions are those that are installed here: for `make setup` and the images those of
constraints.txt.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path, PurePath

from mmst.core.errors import SetupError

_LEFT_OUT_FOLDERS = {"tests", "__pycache__", "include", "_examples", "bin", ".."}
_LEFT_OUT_SUFFIXES = {".h", ".hpp", ".pyi", ".pxd", ".pyx", ".a", ".pyc", ".c", ".f90", ".in", ".build"}


def installed(names: Iterable[str]) -> list[Distribution]:
    """The distributions of these names and all their requirements, each once, by name.

    `SetupError` with the remedy when one is not installed.
    """
    found: dict[str, Distribution] = {}
    wanted = [(name, "") for name in names]
    while wanted:
        name, asks = wanted.pop()
        if name in found:
            continue
        found[name] = _distribution(name, asks)
        wanted += [(needs, name) for needs in _requirements(found[name])]
    return [found[name] for name in sorted(found)]


def versions(names: Iterable[str]) -> list[str]:
    """`numpy 2.4.6` … for these packages and their requirements."""
    return [f"{d.name} {d.version}" for d in installed(names)]


def copy(names: Iterable[str], folder: Path) -> list[Path]:
    """Copy them into a folder, without tests and headers; returns the shared libraries among the files."""
    binaries = []
    for distribution in installed(names):
        for file in distribution.files or ():
            if _left_out(file):
                continue
            source, target = Path(str(file.locate())), folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            if ".so" in file.suffixes:
                binaries.append(source.resolve())
    return binaries


def _left_out(file: PurePath) -> bool:
    return bool(_LEFT_OUT_FOLDERS & set(file.parts)) or file.suffix in _LEFT_OUT_SUFFIXES or file.name == "RECORD"


def _distribution(name: str, asks: str) -> Distribution:
    try:
        found = importlib.metadata.distribution(name)
        if found.files:
            return found
        what = f"{name} is installed without a list of its files, so it cannot be copied into the sandbox"
    except importlib.metadata.PackageNotFoundError:
        what = f"{name} is not installed here, so it cannot be copied into the sandbox"
    why = f"{asks} needs it" if asks else "programs may import the packages of check.packages"
    remedy = f"pip install {name}, or name other packages: --set check.packages='[numpy]'"
    raise SetupError(what, why=why, remedy=remedy)


def _requirements(distribution: Distribution) -> list[str]:
    """Its requirements here, without extras; those with a marker only if they are installed."""
    names = []
    for requirement in distribution.requires or ():
        what, _, marker = requirement.partition(";")
        found = re.match(r"[\w.-]+", what.strip())
        if found and "extra" not in marker and (not marker or _is_here(found[0])):
            names.append(found[0].lower())
    return names


def _is_here(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
