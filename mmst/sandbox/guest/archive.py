"""The compiled modules of the packages in one file, which a sandbox reads faster than a thousand small ones.

Standard library only: it is read inside the sandbox, where every file that is opened costs a word
with the world outside.
"""

from __future__ import annotations

import marshal
import os
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

FILE = "/opt/packages.marshal"
_HEADER = 16
"""Bytes of a .pyc before the code (PEP 552)."""
_SIZE = 8
"""Bytes of the index that give its length."""


def write(folder: Path, file: Path) -> None:
    """Collect the compiled modules of the folder's packages."""
    index, at = {}, 0
    codes = []
    for compiled in folder.rglob("__pycache__/*.pyc"):
        parts = (*compiled.relative_to(folder).parts[:-2], compiled.name.partition(".")[0])
        package = parts[-1] == "__init__"
        codes.append(compiled.read_bytes()[_HEADER:])
        index[".".join(parts[:-1] if package else parts)] = (package, at, len(codes[-1]))
        at += len(codes[-1])
    head = marshal.dumps(index)
    file.write_bytes(b"".join((len(head).to_bytes(_SIZE, "big"), head, *codes)))


class Archive:
    """Finds modules in such a file; a module gets the same file and loader as without it."""

    def __init__(self, folder: str, file: str = FILE) -> None:
        self._folder, self._file = folder, open(file, "rb")  # noqa: PTH123, SIM115
        head = int.from_bytes(self._file.read(_SIZE), "big")
        self._index: dict[str, tuple[bool, int, int]] = marshal.loads(self._file.read(head))
        self._begin = _SIZE + head

    def close(self) -> None:
        """Stop finding modules."""
        self._index.clear()
        self._file.close()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name not in self._index:
            return None
        package, at, size = self._index[name]
        stem = f"{self._folder}/{name.replace('.', '/')}"
        file = f"{stem}/__init__.py" if package else f"{stem}.py"
        loader = _Loader(name, file, os.pread(self._file.fileno(), size, self._begin + at))
        places = [stem] if package else None
        return spec_from_file_location(name, file, loader=loader, submodule_search_locations=places)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: bytes) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        """See `importlib.abc.InspectLoader`."""
        code: CodeType = marshal.loads(self._code)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """See `importlib.abc.Loader`; afterwards nothing shows where the code came from."""
        super().exec_module(module)
        assert module.__spec__
        module.__spec__.loader = module.__loader__ = SourceFileLoader(self.name, self.path)
