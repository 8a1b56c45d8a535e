"""A hook into an import: what a module gets as soon as it has been executed.

Standard library only: it runs inside the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any


def spec_with(name: str, path: Any, then: Callable[[Any], None]) -> ModuleSpec | None:
    """The module as Python finds it, passed to `then` once it has been executed; for a `MetaPathFinder`."""
    spec = PathFinder.find_spec(name, path)
    if spec and spec.loader:
        execute = spec.loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
    return spec
