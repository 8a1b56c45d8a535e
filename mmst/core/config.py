"""The one configuration: frozen, nested, validated; a recipe is a file that fills it in.

A key is reached by its path (`sampling.k`). `mmst recipes --keys` and docs/recipes.md print what each does, and
`mmst recipes --schema` the same for editors.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmst.core import addresses, consistency, credentials, plugins
from mmst.core.arms import Arm
from mmst.core.codec import Misfit, digest, spelt, to_data, validated
from mmst.core.consistency import SEE
from mmst.core.errors import ConfigError
from mmst.core.method_files import MethodFile
from mmst.core.options import declared, option, optional_section, options_by_name, section
from mmst.core.options import identity as identity
from mmst.core.sections import RECHECK as RECHECK
from mmst.core.sections import CheckConfig as CheckConfig
from mmst.core.sections import ClusterConfig as ClusterConfig
from mmst.core.sections import EvaluateConfig as EvaluateConfig
from mmst.core.sections import LabelConfig as LabelConfig
from mmst.core.sections import LoopConfig as LoopConfig
from mmst.core.sections import ModelConfig as ModelConfig
from mmst.core.sections import ProblemsConfig as ProblemsConfig
from mmst.core.sections import PromoteConfig as PromoteConfig
from mmst.core.sections import PromptConfig as PromptConfig
from mmst.core.sections import PromptStyle as PromptStyle
from mmst.core.sections import SamplingConfig as SamplingConfig
from mmst.core.sections import Source as Source
from mmst.core.sections import Teacher as Teacher
from mmst.core.sections import TrainConfig as TrainConfig
from mmst.core.sections import TrainsetConfig as TrainsetConfig
from mmst.core.sections import TranslateConfig as TranslateConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole recipe."""

    name: str = option("run", "name of the recipe")
    title: str = option("", "one-line description, for people", affects=False)
    out: str = option(
        "mmst-out", "the store, for everything that the run produces: a folder, or s3://bucket/prefix", affects=False
    )
    methods: tuple[str, ...] = option(
        ("text", "code"),
        "methods that teach each other: text, code, those of method files (answer and decompose are shipped), and "
        "those of installed packages",
    )
    method_files: tuple[MethodFile, ...] = option(
        (),
        "methods without code: YAML files (docs/extending.md), whose content becomes part of the recipe",
        quiet=True,
        files=True,
    )
    problems: ProblemsConfig = section(ProblemsConfig)
    model: ModelConfig = section(ModelConfig)
    teachers: Mapping[str, Teacher] = options_by_name(
        "who else writes solutions to train on, by name (docs/teachers.md)"
    )
    prompt: PromptConfig = section(PromptConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    check: CheckConfig = section(CheckConfig)
    label: LabelConfig | None = optional_section()
    translate: TranslateConfig = section(TranslateConfig)
    trainset: TrainsetConfig = section(TrainsetConfig)
    train: TrainConfig = section(TrainConfig)
    evaluate: EvaluateConfig = section(EvaluateConfig)
    promote: PromoteConfig = section(PromoteConfig)
    loop: LoopConfig = section(LoopConfig)
    arms: Mapping[str, Arm] = options_by_name(
        "arms of your own, by name: what loop.arm and loop.controls may name besides the built-in ones"
    )
    cluster: ClusterConfig = section(ClusterConfig, affects=False)

    @property
    def filed(self) -> tuple[MethodFile, ...]:
        """The files of those of its methods that have one."""
        return tuple(file for name in self.methods for file in self.method_files if file.name == name)

    @property
    def near(self) -> float | None:
        """From which share on a near duplicate is not demonstrated; None if no annotated problem is."""
        return None if self.prompt.demonstrations == "built-in" else self.problems.near_duplicate

    @property
    def writer(self) -> str:
        """Who writes by this recipe: "" for the model itself, a name where a teacher sees it (`mmst.core.teachers`)."""
        return ""

    @property
    def teacher(self) -> Teacher | None:
        """What the recipe says of that teacher; None for the model itself."""
        return None

    @property
    def whole(self) -> Config:
        """The recipe of the run, also where a teacher sees it."""
        return self


def parse(data: Mapping[str, Any]) -> Config:
    """A validated `Config` from plain data; raises `ConfigError` naming key, value and remedy.

    A credential in it is refused, without being named (`mmst.core.credentials`).

    >>> parse({"sampling": {"k": -1}})
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: sampling.k must be at least 1, got -1. Remedy: see `mmst recipes --keys`
    """
    credentials.refuse(data)
    config = parse_stored(data)
    check_name(config.name, "name")
    _check_addresses(config)
    plugins.check(config)
    return config


def _check_addresses(config: Config) -> None:
    """`ConfigError` for an address that no store, model server or tracking server can have."""
    addresses.store(config.out)
    asked = {"sampling": config.sampling.url} | {f"teachers.{n}": t.url for n, t in config.teachers.items()}
    for key, url in asked.items():
        if url:
            addresses.web(url, f"{key}.url", "http://127.0.0.1:8080/openai/v1")
    addresses.tracking(config.promote.tracking_uri, "promote.tracking_uri")


NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
NAME_LONGEST = 54
"""With the digest of its run a name is a label in Kubernetes: 63 characters."""


def check_name(name: str, key: str) -> None:
    """`ConfigError` unless a recipe's or experiment's `name` can begin the names of its runs.

    These are folders, S3 prefixes, labels in Kubernetes, runs in Kubeflow and MLflow, and words of commands.

    >>> check_name("a/b", "name")
    Traceback (most recent call last):
    mmst.core.errors.ConfigError: name must be 1 to 54 of A-Z, a-z, 0-9, '.', '_' and '-', with a letter or \
digit at both ends, got 'a/b'. Remedy: --set name=a-b
    """
    if NAME.fullmatch(name) and len(name) <= NAME_LONGEST:
        return
    near = re.sub(r"[^A-Za-z0-9._]+", "-", name)[:NAME_LONGEST].strip("._-") or "my-recipe"
    raise ConfigError(
        f"{key} must be 1 to {NAME_LONGEST} of A-Z, a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends",
        value=name,
        remedy=f"--set name={near}" if key == "name" else f"{key}: {near}",
    )


def parse_stored(data: Mapping[str, Any]) -> Config:
    """As `parse`, of a recipe that a run was made of: its name is what it is."""
    try:
        config = validated(Config, data)
    except Misfit as e:
        raise _refused(e) from None
    consistency.check(config)
    return config


def override(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe data with `path=value` settings applied; values are already-parsed plain data.

    >>> override({"sampling": {"k": 4}}, {"sampling.k": 8})["sampling"]["k"]
    8
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    for path, value in settings.items():
        node: Any = result
        *parents, last = path.split(".")
        for i, part in enumerate(parents):
            node = node.setdefault(part, {}) if isinstance(node, dict) else node[_entry(part)]
            if not isinstance(node, (dict, list)):
                raise ConfigError(f"{'.'.join(parents[: i + 1])} is not a section", value=path, remedy=SEE)
        if isinstance(node, list):
            node[_entry(last)] = value
        else:
            node[last] = value
    return result


def _entry(part: str) -> int:
    if not re.fullmatch(r"[0-9]+", part):
        raise ValueError(f"{part!r} is no number of an entry")
    return int(part)


def to_text(config: Config) -> str:
    """The config as JSON: how it travels between components."""
    return json.dumps(to_data(config), ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> Config:
    """The config back from `to_text`."""
    return parse(json.loads(text))


def run_id(config: Config) -> str:
    """The name of a run: recipe name and the digest of all that can change its results."""
    return f"{config.name}-{digest(what_counts(config.whole))[7:15]}"


def what_counts(config: Config) -> dict[str, Any]:
    """All of a recipe that can change its results, as plain data.

    The name of a model on a server counts only where it says, with a revision, which model that is.
    """
    counts = identity(config)
    if config.sampling.revision:
        counts["sampling"]["served_model"] = config.sampling.served_model
    for name, teacher in config.teachers.items():
        if teacher.revision:
            counts["teachers"][name]["served_model"] = teacher.served_model
    return counts


def options(kind: type = Config) -> Iterator[tuple[str, str, Any, str]]:
    """Every option as (path, type, default, help), for help texts and docs."""
    return declared(kind)


RENAMED = {"problems.seeds": "problems.annotated", "trainset.seed_share": "trainset.annotated_share"}
"""Keys of older recipes, and what they are called now."""


def _refused(e: Misfit) -> ConfigError:
    path = spelt(e.loc)
    if e.fault == "wrong":
        return ConfigError(f"{path or 'a recipe'} {e.says}", value=e.value, remedy=SEE)
    if e.fault == "missing":
        return ConfigError(f"{path} is missing", remedy=f"keys: {', '.join(e.known)}")
    if new := RENAMED.get(path):
        return ConfigError(f"unknown recipe key '{path}'", remedy=f"it is called {new} now")
    near = _nearest(*e.loc[:-1], str(e.loc[-1]), known=e.known)
    return ConfigError(f"unknown recipe key '{path}'", remedy=f"did you mean {near}? {SEE}" if near else SEE)


def _nearest(*loc: str | int, known: Sequence[str]) -> str:
    """The key that was probably meant: a similar one in that section, the same name in another, or a similar path."""
    *section, name = loc
    if near := difflib.get_close_matches(str(name), known, n=1):
        return spelt((*section, near[0]))
    paths = [path for path, *_ in options() if ".NAME." not in path]
    named = [path for path in paths if path.rpartition(".")[2] == name]
    return " or ".join(named or difflib.get_close_matches(spelt(loc), paths, n=1))


def tasks(config: Config) -> dict[str, tuple[str, ...]]:
    """The tasks that a recipe measures, main first, each with the methods that it is measured by.

    >>> tasks(Config(problems=ProblemsConfig(related=(Source(methods=("text",)), Source(name="svamp")))))
    {'main': ('text', 'code'), 'related': ('text',), 'svamp': ('text', 'code')}
    """
    found: dict[str, set[str]] = {"main": set()} if not config.problems.test else {}
    for task, sources in (("main", config.problems.test), ("related", config.problems.related)):
        for source in sources:
            found.setdefault(source.name or task, set()).update(source.methods or config.methods)
    return {task: tuple(m for m in config.methods if m in by or not by) for task, by in found.items()}
