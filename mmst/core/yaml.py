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
    """The YAML files of a folder; `what` is the word for one of them, and `largest` its bytes at most (0: any)."""

    what: str
    folder: Path
    largest: int = 0

    def names(self) -> list[str]:
        """What the shipped files are called."""
        return sorted(path.stem for path in self.folder.glob("*.yaml"))

    def read(self, name_or_file: str) -> dict[str, Any]:
        """A file's mapping; its `name` defaults to the file's. A shipped name goes before a file of that name.

        Raises `ConfigError` where there is no such file, or it is not YAML or not a mapping.
        """
        path = self.path(name_or_file)
        try:
            if 0 < self.largest < (size := path.stat().st_size):
                what = f"{self.what} {path} is larger than {self.largest >> 10} KiB"
                raise ConfigError(what, value=size, remedy="leave out what is not needed")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            remedy = "give a readable UTF-8 YAML file"
            raise ConfigError(f"{self.what} {path} cannot be read: {e}", remedy=remedy) from None
        data = parse(text, str(path))
        if not isinstance(data, dict):
            remedy = f"write it like the shipped ones: {', '.join(self.names())}"
            raise ConfigError(f"{self.what} {path} is not a mapping of keys", value=data, remedy=remedy)
        return {"name": path.stem, **data}

    def path(self, name_or_file: str) -> Path:
        """Where the file is; `ConfigError` where there is none."""
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


DEEPEST = 100
"""Levels of lists and mappings."""
REPEATED = 10_000
"""Nodes that aliases may repeat: a few lines of them can stand for more than any memory holds."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map", "merge")}
_OTHER_BASE = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers to the base 8 and 60, which look like others, or like none."""
_QUOTE = "put it in quotes if it is a text"


class _Loader(yaml.SafeLoader):
    """YAML as people expect it: plain data, numbers as they look, 1e-3 among them, and no key stands twice."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._repeated, self._sizes = 0, 0, dict[yaml.Node, int]()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node that is plain data, of bounded depth, with the nodes that stand in it by their aliases."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if self._depth == DEEPEST:
            raise _refused(event, f"lists and mappings are nested deeper than {DEEPEST} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _refused(event, f"*{event.anchor} stands within what it repeats")
            self._repeated += self._sizes[node]
            if self._repeated > REPEATED:
                raise _refused(event, f"aliases repeat more than {REPEATED} values", "write out what is needed")
        else:
            _check_plain(node, event, self)
            self._sizes[node] = 1 + sum(self._sizes[part] for part in _parts(node))
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first value would silently be lost."""
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise _refused(key, f"key '{key.value}' stands twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_plain(node: yaml.Node, event: Any, loader: Any) -> None:
    kind = node.tag.removeprefix(_TAG)
    if node.tag not in _PLAIN:
        raise _refused(event, f"a {kind} is no value of a recipe", f"write a text, number, list or mapping; {_QUOTE}")
    if not isinstance(node, yaml.ScalarNode) or kind == "str":
        return
    if node.tag != loader.resolve(yaml.ScalarNode, node.value, (True, False)):
        raise _refused(event, f"{node.value!r} is no {kind}", "leave out the tag")
    if kind in ("int", "float") and _OTHER_BASE.fullmatch(node.value):
        base = 60 if ":" in node.value else 8
        raise _refused(
            event, f"{node.value} is a number to the base {base} in YAML", f"write the decimal number, or {_QUOTE}"
        )


def _refused(at: Any, what: str, remedy: str = "") -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=at.start_mark, note=remedy)


def _apart(value: Any) -> Any:
    """The value, in which what an alias repeated is a copy: a setting changes the one place that it names."""
    if isinstance(value, dict):
        return {key: _apart(part) for key, part in value.items()}
    return [_apart(part) for part in value] if isinstance(value, list) else value


def parse(text: str, where: str) -> Any:
    """The text's value, of dicts, lists, texts, numbers, bools and None.

    `ConfigError` with `where`, line and column when it is not YAML, or YAML of another kind.
    """
    try:
        return _apart(yaml.load(text, _Loader))
    except yaml.MarkedYAMLError as e:
        line = f", line {e.problem_mark.line + 1}, column {e.problem_mark.column + 1}" if e.problem_mark else ""
        raise ConfigError(f"{where}{line}: {e.problem}", remedy=e.note or "correct the YAML there") from None
    except (yaml.YAMLError, ValueError) as e:
        raise ConfigError(f"{where}: not YAML ({e})", remedy="correct the YAML there") from None
