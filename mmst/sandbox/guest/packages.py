"""The packages that programs in the sandbox may have besides the standard library.

Standard library only: it runs inside the sandbox.
"""

from __future__ import annotations

import os
import re
from importlib.machinery import ModuleSpec
from typing import Any

from mmst.sandbox.guest.imports import spec_with

KNOWN = ("numpy", "sympy", "scipy", "pandas")
"""Distributions, each of which is also the name of its module."""
DEFAULT = ("numpy", "sympy")
FOLDER = "/opt/packages"
"""Where they are inside the sandbox."""
_NAMES = re.compile(rb"\b(numpy|sympy|mpmath|scipy|pandas)\b")
_WITH = {"mpmath": "sympy"}


def present(folder: str = FOLDER) -> tuple[str, ...]:
    """The packages in this sandbox, in the order of `KNOWN`."""
    return tuple(name for name in KNOWN if os.path.isdir(f"{folder}/{name}"))  # noqa: PTH112


def wanted(source: bytes, here: tuple[str, ...]) -> tuple[str, ...]:
    """The packages here that are imported before a program begins: none, one of `DEFAULT`, or all.

    A guess from its text, which decides only how fast it is. The less is imported the less a fork
    costs, so what most programs import alone is apart.

    >>> wanted(b"import numpy as np", DEFAULT), wanted(b"from mpmath import mp", DEFAULT), wanted(b"print(1)", DEFAULT)
    (('numpy',), ('sympy',), ())
    """
    found = {name.decode() for name in _NAMES.findall(source)}
    names = {_WITH.get(name, name) for name in found} & {*here}
    return tuple(names) if len(names) < 2 and names <= {*DEFAULT} else here


class Seeds:
    """Seeds the packages' own generators with 0 at import, as is done with `random` for every program."""

    modules = ("numpy.random", "sympy.core.random")

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`; only for modules with something to seed."""
        return spec_with(name, path, lambda module: module.seed(0)) if name in cls.modules else None
