"""YAML files that users name: the shipped ones of a folder by name, their own by path.

>>> from mmst.core.yaml import parse
>>> parse("lr: 1e-3", "an example")
{'lr': 0.001}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmst.core.errors import ConfigError, did_you_mean


@dataclass(frozen=True, slots=True)
class Shipped:
    """The YAML files of a folder; `what` is the word for one of them."""

    what: str
    folder: Path

    def names(self) -> list[str]:
        """What the shipped files are called."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def read(self, name_or_file: str) -> dict[str, Any]:
        """A file's mapping; its `name` defaults to the file's. A shipped name goes before a file of that name.

        Raises `ConfigError` where there is no such file, or it is not YAML or not a mapping.
        """
        path = self._path(name_or_file)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            remedy = "give a readable UTF-8 YAML file"
            raise ConfigError(f"{self.what} {path} cannot be read: {e}", remedy=remedy) from None
        data = parse(text, str(path))
        if not isinstance(data, dict):
            remedy = f"write it like the shipped ones: {', '.join(self.names())}"
            raise ConfigError(f"{self.what} {path} is not a mapping of keys", value=data, remedy=remedy)
        return {"name": path.stem, **data}

    def _path(self, name_or_file: str) -> Path:
        if name_or_file in self.names():
            return self.folder / f"{name_or_file}.yaml"
        path = Path(name_or_file).expanduser()
        if path.is_file():
            return path
        what = f"no such {self.what} file" if "/" in name_or_file or path.suffix else f"unknown {self.what}"
        if path.exists():
            what = f"a {self.what} is a file, and this is {'a folder' if path.is_dir() else 'none'}"
        hint = did_you_mean(name_or_file, self.names())
        remedy = f"{hint}shipped: {', '.join(self.names())}; or the path of a YAML file"
        raise ConfigError(what, value=name_or_file, remedy=remedy)


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: 1e-3 is a number (in YAML 1.1 a string), and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first value would silently be lost."""
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key.value}' stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def parse(text: str, where: str) -> Any:
    """The text's value; `ConfigError` with `where`, line and column when it is not YAML."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as e:
        line = f", line {e.problem_mark.line + 1}, column {e.problem_mark.column + 1}" if e.problem_mark else ""
        raise ConfigError(f"{where}{line}: {e.problem}", remedy="correct the YAML there") from None
    except (yaml.YAMLError, ValueError) as e:
        raise ConfigError(f"{where}: not YAML ({e})", remedy="correct the YAML there") from None
