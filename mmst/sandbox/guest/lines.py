"""The program's own lines, for code that shows them: tracebacks, `inspect.getsource`, `warnings`.

Standard library only: it runs inside the sandbox. A program stands in no file that its interpreter could open, so
its text is entered into `linecache`, when something imports that.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any

from mmst.sandbox.guest.imports import spec_with

_MODULE = "linecache"


class Lines:
    """A `importlib.abc.MetaPathFinder` that finds nothing but `linecache`, and enters the program there."""

    source = b""
    names: tuple[str, ...] = ()

    @classmethod
    def known(cls, source: bytes, *names: str) -> None:
        """From now on, the files with these `names` have the lines of `source`."""
        cls.source, cls.names = source, names
        if _MODULE in sys.modules:
            cls._enter(sys.modules[_MODULE])
        else:
            sys.meta_path.insert(0, cls)

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The module whose import is awaited."""
        return spec_with(name, path, cls._enter) if name == _MODULE else None

    @classmethod
    def _enter(cls, module: Any) -> None:
        from importlib.util import decode_source

        try:
            text = decode_source(cls.source)
        except (SyntaxError, UnicodeError):
            return  # no program: its error shows the line itself
        lines = [f"{line}\n" for line in text.removesuffix("\n").split("\n")]
        for name in cls.names:
            module.cache[name] = (len(cls.source), None, lines, name)  # without a time it is never looked up again
