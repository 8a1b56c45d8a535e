"""Recipes: complete experiments as YAML files, by name (those in this folder) or by path.

load("demo", ["sampling.k=8", "train.lr=1e-3"])      # the shipped recipe with two changes
load("my-experiment.yaml")                           # a file; paths in it are as seen from here

A recipe may be its difference from another: `extends: word-problems` (a shipped one, or a file as seen from this one).
Its mappings are laid over the other's key by key; its lists and values replace the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmst.core import yaml
from mmst.core.codec import json_schema, to_data
from mmst.core.config import Config, override, parse
from mmst.core.errors import ConfigError
from mmst.core.yaml import Shipped
from mmst.methods import files

SHIPPED = Shipped("recipe", Path(__file__).parent)
OWN = ("name", "title")
"""What a recipe does not have of the one that it extends."""


def load(name_or_file: str, settings: Sequence[str] = ()) -> Config:
    """The recipe with `key=value` settings applied; values are YAML (`loop.controls=[annotated-only]`).

    Raises `ConfigError` for an unknown recipe, bad YAML (file and line), an unknown key or a bad value.
    """
    return parse(override_all(read(name_or_file), settings))


def read(name_or_file: str) -> dict[str, Any]:
    """A recipe's plain data, unvalidated, with what it extends; its `name` defaults to the file's.

    Raises `ConfigError` for a circle, and for a recipe that is not there.
    """
    return _whole(name_or_file, ())


def _whole(name_or_file: str, extending: tuple[Path, ...]) -> dict[str, Any]:
    path = SHIPPED.path(name_or_file)
    if path.resolve() in extending:
        circle = " → ".join(p.name for p in (*extending, path))
        raise ConfigError("recipes extend each other in a circle", value=circle, remedy="leave out one `extends`")
    data = SHIPPED.read(name_or_file)
    parent = data.pop("extends", None)
    if parent is None:
        return data
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends must name one recipe", value=parent, remedy="extends: word-problems")
    beside = path.parent / Path(parent).expanduser()
    if parent not in SHIPPED.names() and beside.is_file():
        parent = str(beside)
    try:
        under = _whole(parent, (*extending, path.resolve()))
    except ConfigError as e:
        if extending or e.value != parent:
            raise
        raise ConfigError(f"{path}: extends: {e.what}", value=parent, remedy=e.remedy) from None
    return _merged({key: value for key, value in under.items() if key not in OWN}, data)


def schema() -> dict[str, Any]:
    """The JSON Schema of a recipe's file."""
    whole = json_schema(Config)
    extends = {"type": "string", "description": "the recipe that this one is the difference from: its name, or a file"}
    return {**whole, "properties": {"extends": extends, **whole["properties"]}}


def override_all(data: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Plain recipe data with the settings applied, a later one winning over an earlier, and then `whole`."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError("--set needs key=value", value=setting, remedy="e.g. --set sampling.k=8")
        value = yaml.parse(text, f"--set {key}")
        try:
            data = override(data, {key.strip(): value})
        except (IndexError, ValueError, TypeError) as e:
            if isinstance(e, ConfigError):
                raise
            raise ConfigError(
                f"--set {key} is not a list entry of the recipe",
                value=setting,
                remedy="entries count from 0, e.g. problems.train.0.limit=50",
            ) from None
    return whole(data)


def whole(data: dict[str, Any]) -> dict[str, Any]:
    """Plain recipe data in which the content of its method files stands for their paths, and is checked.

    A method that is shipped as a file need not be named in `method_files`. Raises `ConfigError`.
    """
    given, names = data.get("method_files", []), data.get("methods", [])
    if not isinstance(given, list) or not isinstance(names, list):
        return data  # refused when it is parsed
    found = [
        files.read(file) if isinstance(file, str) else files.checked(file, f"method_files[{i}]")
        for i, file in enumerate(given)
    ]
    there = {file.name for file in found}
    found += [files.read(name) for name in names if name in files.SHIPPED.names() and name not in there]
    return {**data, "method_files": to_data(found)} if found else data


def lay_over(data: dict[str, Any], text: str) -> dict[str, Any]:
    """Plain recipe data with a partial recipe (YAML text) laid over it, key by key.

    >>> lay_over({"check": {"timeout": 1.0}}, "check: {sandbox: gvisor_job}")["check"]
    {'timeout': 1.0, 'sandbox': 'gvisor_job'}
    """
    over = yaml.parse(text, "the release's settings") or {}
    if not isinstance(over, dict):
        raise ConfigError("the release's settings are not a mapping of keys", value=over)
    return _merged(data, over)


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {
        k: _merged(under[k], v) if isinstance(v, dict) and isinstance(under.get(k), dict) else v
        for k, v in over.items()
    }
    return {**under, **both}
