"""Recipes: complete experiments as YAML files, by name (those in this folder) or by path.

load("demo", ["sampling.k=8", "train.lr=1e-3"])      # the shipped recipe with two changes
load("my-experiment.yaml")                           # a file; paths in it are as seen from here
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mmst.config import Config, override, parse
from mmst.errors import ConfigError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of the shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_file: str, settings: Sequence[str] = ()) -> Config:
    """The recipe with `key=value` settings applied; values are YAML (`loop.controls=[seed-only]`).

    Raises `ConfigError` for an unknown recipe, bad YAML (file and line), an unknown key or a bad value.
    """
    return parse(override_all(read(name_or_file), settings))


def read(name_or_file: str) -> dict[str, Any]:
    """A recipe's plain data, unvalidated; its `name` defaults to the file's."""
    path = _path(name_or_file)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"recipe {path} cannot be read: {e}", remedy="give a readable UTF-8 YAML file") from None
    data = _yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"recipe {path} is not a mapping of keys", value=data, remedy="see `mmst recipes --keys`")
    return {"name": path.stem, **data}


def override_all(data: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Plain recipe data with the settings applied, a later one winning over an earlier."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError("--set takes key=value", value=setting, remedy="e.g. --set sampling.k=8")
        value = _yaml(text, f"--set {key}")
        try:
            data = override(data, {key.strip(): value})
        except (IndexError, ValueError, TypeError) as e:
            if isinstance(e, ConfigError):
                raise
            raise ConfigError(
                f"--set {key} does not lead to a list entry of the recipe",
                value=setting,
                remedy="entries count from 0, e.g. problems.train.0.limit=50",
            ) from None
    return data


def lay_over(data: dict[str, Any], text: str) -> dict[str, Any]:
    """Plain recipe data with a partial recipe (YAML text) laid over it, key by key.

    >>> lay_over({"check": {"timeout": 1.0}}, "check: {sandbox: gvisor_job}")["check"]
    {'timeout': 1.0, 'sandbox': 'gvisor_job'}
    """
    over = _yaml(text, "the release's settings") or {}
    if not isinstance(over, dict):
        raise ConfigError("the release's settings are not a mapping of keys", value=over)
    return _merged(data, over)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: _merged(under[k], v) if isinstance(v, dict) and isinstance(under.get(k), dict) else v
        for k, v in over.items()
    }
    return {**under, **both}


def _path(name_or_file: str) -> Path:
    shipped = FOLDER / f"{name_or_file}.yaml"
    if "/" not in name_or_file and shipped.is_file():
        return shipped
    path = Path(name_or_file).expanduser()
    if path.is_file():
        return path
    what = "no such recipe file" if "/" in name_or_file or path.suffix else "unknown recipe"
    raise ConfigError(what, value=name_or_file, remedy=f"recipes: {', '.join(names())}; or the path of a YAML file")


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


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as e:
        line = f", line {e.problem_mark.line + 1}, column {e.problem_mark.column + 1}" if e.problem_mark else ""
        raise ConfigError(f"{where}{line}: {e.problem}", remedy="correct the YAML there") from None
    except (yaml.YAMLError, ValueError) as e:
        raise ConfigError(f"{where}: not YAML ({e})", remedy="correct the YAML there") from None
