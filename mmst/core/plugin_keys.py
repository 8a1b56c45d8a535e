"""Whose code made what is stored: the part of a stage's key for what a recipe names that is not ours (`plugins`).

Our own code has the stage's version. Of another package, name, version and the hash of its files count: the version
alone stays the same while a method is being written, and a changed method would find the results of the old one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmst.core.plugins import DATASETS, METHODS, SAMPLERS, SANDBOXES, Entry, coded, find
from mmst.core.sections import ROLES

if TYPE_CHECKING:
    from mmst.core.config import Config


def identity(*used: tuple[str, str]) -> dict[str, list[str]]:
    """Whose code a stage uses, of what it names as (group, name): a part of its key, empty while all of it is ours."""
    found = (find(*one) for one in used)
    return {f"{e.group}: {e.name}": [e.package, e.version, _code(e)] for e in found if not e.ours}


def of_methods(config: Config) -> dict[str, list[str]]:
    """As `identity`, of a recipe's methods."""
    return identity(*((METHODS, name) for name in coded(config)))


def of_samples(config: Config) -> dict[str, list[str]]:
    """As `identity`, of a recipe's methods and sampler."""
    return identity((SAMPLERS, config.sampling.backend), *((METHODS, name) for name in coded(config)))


def of_problems(config: Config) -> dict[str, list[str]]:
    """As `identity`, of the formats of a recipe's problems."""
    named = (source for role in ROLES for source in getattr(config.problems, role))
    return identity(*((DATASETS, source.format) for source in named))


def of_verdicts(config: Config) -> dict[str, list[str]]:
    """As `identity`, of a recipe's methods and sandbox."""
    return identity((SANDBOXES, config.check.sandbox), *((METHODS, name) for name in coded(config)))


def requirements(methods: Iterable[str], filed: Iterable[str] = ()) -> list[str]:
    """What must be installed beside MMST for these methods, but for those that stand in files: `acme==1.2`."""
    coded = (find(METHODS, name) for name in set(methods).difference(filed))
    return sorted({f"{e.package}=={e.version}" for e in coded if not e.ours})


def _code(entry: Entry) -> str:
    """The hash of all files of the package that an entry's module is in; "" when it is not found."""
    parts, level = entry.at.partition(":")[0].split("."), 1
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(parts[0])
        while spec and spec.origin is None and level < len(parts):  # a namespace holds other packages too
            level += 1
            spec = importlib.util.find_spec(".".join(parts[:level]))
        roots = [Path(p) for p in (spec and spec.submodule_search_locations) or ()]
        files = [(f.relative_to(root).as_posix(), f) for root in roots for f in root.rglob("*") if f.is_file()]
        if spec and spec.origin and not roots:
            files = [(Path(spec.origin).name, Path(spec.origin))]
        total = hashlib.sha256()
        for name, file in sorted(files):
            if "__pycache__" not in name:
                total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return total.hexdigest()[:16]
    return ""
