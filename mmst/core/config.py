"""The one configuration: frozen, nested, validated; a recipe is a file that fills it in.

A key is reached by its path (`sampling.k`). `mmst recipes --keys` and docs/recipes.md print what each does, and
`mmst recipes --schema` the same for editors.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmst.core import arms, credentials, method_files, plugins
from mmst.core.arms import Arm
from mmst.core.codec import Misfit, digest, spelt, to_data, validated
from mmst.core.errors import ConfigError
from mmst.core.method_files import MethodFile
from mmst.core.options import declared, option, optional_section, options_by_name, section
from mmst.core.options import identity as identity
from mmst.core.quantities import quantity
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

CHECKER_OWN_MIB = 256
"""Memory of a code-check pod beyond that of the program in it."""


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
    plugins.check(config)
    return config


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
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) and len(name) <= NAME_LONGEST:
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
    if len(set(config.methods)) != len(config.methods) or not config.methods:
        raise ConfigError("methods must name each method once", value=config.methods, remedy="methods=[text, code]")
    method_files.check_all(config.method_files, config.methods, config.prompt.phrasing)
    _check_engine(config)
    _check_train(config.train)
    arms.check(config)
    _check_sources(config)
    _check_labels(config)
    _check_cluster(config)
    _check_teachers(config)
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
                raise ConfigError(f"{'.'.join(parents[: i + 1])} is not a section", value=path, remedy=_SEE)
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


_SEE = "see `mmst recipes --keys`"
RENAMED = {"problems.seeds": "problems.annotated", "trainset.seed_share": "trainset.annotated_share"}
"""Keys of older recipes, and what they are called now."""


def _refused(e: Misfit) -> ConfigError:
    path = spelt(e.loc)
    if e.fault == "wrong":
        return ConfigError(f"{path or 'a recipe'} {e.says}", value=e.value, remedy=_SEE)
    if e.fault == "missing":
        return ConfigError(f"{path} is missing", remedy=f"keys: {', '.join(e.known)}")
    if new := RENAMED.get(path):
        return ConfigError(f"unknown recipe key '{path}'", remedy=f"it is called {new} now")
    near = _nearest(*e.loc[:-1], str(e.loc[-1]), known=e.known)
    return ConfigError(f"unknown recipe key '{path}'", remedy=f"did you mean {near}? {_SEE}" if near else _SEE)


def _nearest(*loc: str | int, known: Sequence[str]) -> str:
    """The key that was probably meant: a similar one in that section, the same name in another, or a similar path."""
    *section, name = loc
    if near := difflib.get_close_matches(str(name), known, n=1):
        return spelt((*section, near[0]))
    paths = [path for path, *_ in options() if ".NAME." not in path]
    named = [path for path in paths if path.rpartition(".")[2] == name]
    return " or ".join(named or difflib.get_close_matches(spelt(loc), paths, n=1))


def percent_range(part: str) -> tuple[int, int]:
    """The bounds of a source's `part`: at least the first, below the second.

    >>> percent_range("0-20")
    (0, 20)
    """
    found = re.fullmatch(r"([0-9]{1,3})-([0-9]{1,3})", part)
    if not found or not int(found[1]) < int(found[2]) <= 100:
        raise ConfigError("a source's part must be a range of whole percents", value=part, remedy="e.g. part: 0-20")
    return int(found[1]), int(found[2])


REVISION_LONGEST = 100


def _check_revision(sampling: SamplingConfig) -> None:
    if len(sampling.revision) > REVISION_LONGEST or not sampling.revision.isprintable():
        raise ConfigError(
            f"sampling.revision must be at most {REVISION_LONGEST} characters that print",
            value=sampling.revision[:REVISION_LONGEST],
            remedy="e.g. the commit of the model",
        )
    if sampling.backend == "openai" and sampling.revision and not sampling.served_model:
        raise ConfigError(
            "sampling.revision needs sampling.served_model",
            value=sampling.revision,
            remedy="--set sampling.served_model=NAME: what is sampled is stored under both",
        )


def _check_engine(config: Config) -> None:
    """Whether what writes can be asked; of a teacher too, who sees the recipe as its own."""
    s = config.sampling
    _check_demonstrations(config)
    if not all(config.prompt.stop or ["…"]):
        raise ConfigError(
            "prompt.stop must hold texts that are not empty", value=config.prompt.stop, remedy="prompt.stop=[] for none"
        )
    if s.backend == "openai" and not s.url:
        raise ConfigError(
            "sampling.backend=openai needs sampling.url",
            remedy="--set sampling.url=http://127.0.0.1:8080/openai/v1 (start one with `mmst serve`)",
        )
    _check_revision(s)
    if not re.fullmatch(r"([A-Z_][A-Z0-9_]{0,63})?", s.api_key_env):
        # The value is not shown: it may be the key itself.
        raise ConfigError(
            "sampling.api_key_env must name an environment variable (A-Z, 0-9, _), not hold the key",
            remedy="export KEY=…, and --set sampling.api_key_env=KEY",
        )
    if s.backend == "recorded" and not s.recorded:
        raise ConfigError(
            "sampling.backend=recorded needs sampling.recorded", remedy="--set sampling.recorded=completions.jsonl"
        )
    _check_dtype(config)
    _check_server(s)


def _check_teachers(config: Config) -> None:
    if config.teachers:
        from mmst.core import teachers  # what they see is a `Config`

        teachers.check(config, _check_engine)


def _check_server(sampling: SamplingConfig) -> None:
    if sampling.backend != "server" or sampling.server == "vllm":
        return
    try:
        words = shlex.split(sampling.server)
    except ValueError:
        words = []
    if not words or "{model}" not in sampling.server or "{port}" not in sampling.server:
        raise ConfigError(
            "sampling.server must be vllm, or a command with {model} and {port}",
            value=sampling.server,
            remedy="e.g. --set sampling.server='mmst serve {model} --port {port}'",
        )


def _check_dtype(config: Config) -> None:
    dtype, backend = config.model.dtype, config.sampling.backend
    if backend == "ctranslate2" and dtype not in ("int8", "float32"):
        what, remedy = "sampling.backend=ctranslate2 takes model.dtype=int8 or float32", "--set model.dtype=int8"
        raise ConfigError(what, value=dtype, remedy=remedy)
    if dtype == "int8" and backend not in ("ctranslate2", "recorded"):
        remedy = "--set sampling.backend=ctranslate2, or another dtype"
        raise ConfigError("model.dtype=int8 needs sampling.backend=ctranslate2", value=backend, remedy=remedy)


def _check_train(t: TrainConfig) -> None:
    if t.offload != "none" and not t.zero_stage:
        raise ConfigError("train.offload needs ZeRO", value=t.offload, remedy="--set train.zero=2")
    if t.offload == "parameters" and t.zero_stage != 3:
        remedy = "--set train.zero=3, or train.offload=optimizer"
        raise ConfigError("train.offload=parameters needs train.zero=3", value=t.zero_stage, remedy=remedy)
    if t.export != "merged" and not t.lora_rank:
        what = "train.export is about LoRA, and train.lora_rank is 0"
        raise ConfigError(what, value=t.export, remedy="--set train.lora_rank=16, or train.export=merged")


def _check_demonstrations(config: Config) -> None:
    p, sources = config.prompt, config.problems.annotated
    if p.demonstrations == "built-in":
        return
    if p.style != "few-shot":
        what = f"prompt.demonstrations={p.demonstrations} needs prompt.style=few-shot"
        raise ConfigError(what, value=p.style, remedy="--set prompt.style=few-shot")
    for name in config.methods:
        if not any(name in source.annotated or not source.annotated for source in sources):
            raise ConfigError(
                f"prompt.demonstrations={p.demonstrations} needs annotated problems with a solution by every method, "
                "and problems.annotated names no source for one",
                value=name,
                remedy=f"add a source with solutions by {name}, or --set prompt.demonstrations=built-in",
            )


def _check_sources(config: Config) -> None:
    for role in dataclasses.fields(config.problems):
        sources = getattr(config.problems, role.name)
        for i, source in enumerate(sources if isinstance(sources, tuple) else ()):
            percent_range(source.part)
            at = f"problems.{role.name}[{i}]"
            for key in ("annotated", "methods"):
                if unknown := set(getattr(source, key)) - set(config.methods):
                    known = ", ".join(config.methods)
                    raise ConfigError(
                        f"{at}.{key} must be among methods ({known})", value=sorted(unknown)[0], remedy=_SEE
                    )
            _check_measured(role.name, at, source)


_TASK = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


def _check_measured(role: str, at: str, source: Source) -> None:
    """What says how problems are measured stands where problems are measured."""
    if source.methods and role not in ("test", "related"):
        remedy = f"leave it out; {at}.annotated chooses annotated solutions" if role == "annotated" else "leave it out"
        raise ConfigError(
            f"{at}.methods is for problems.test and problems.related", value=source.methods, remedy=remedy
        )
    if source.name and role != "related":
        raise ConfigError(f"{at}.name is for problems.related", value=source.name, remedy="leave it out")
    if source.name and (not _TASK.fullmatch(source.name) or source.name == "main"):
        what = f"{at}.name must be up to 40 letters, digits, '_' and '-' that begin with a letter, and not main"
        raise ConfigError(what, value=source.name, remedy="e.g. name: strategyqa")


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


def _check_labels(config: Config) -> None:
    """What cannot be labelled is refused before anything is sampled."""
    if not config.problems.unlabelled:
        if config.label is not None:
            remedy = "name problems without answers in problems.unlabelled, or leave out the section label"
            raise ConfigError("label is about problems.unlabelled, and that names none", remedy=remedy)
        return
    if config.teachers:
        raise ConfigError(
            "problems.unlabelled are labelled by the model's own votes, and teachers have none yet",
            value=list(config.teachers),
            remedy="leave out teachers, or problems.unlabelled",
        )
    rule, samples = (config.label or LabelConfig()).rule, config.sampling.k * len(config.methods)
    if rule != "majority" and len(config.methods) < 2:
        raise ConfigError(
            f"label.rule={rule} needs two methods that can agree",
            value=config.methods,
            remedy="--set label.rule=majority, or name another method",
        )
    if samples < 2:
        remedy = f"--set sampling.k={max(4, config.sampling.k + 1)}"
        raise ConfigError("a vote needs at least 2 samples of a problem", value=samples, remedy=remedy)


def _check_cluster(config: Config) -> None:
    c, form = config.cluster, {"env": "NAME=value", "node_selector": "key=value", "tolerations": "key=value:Effect"}
    for name, wanted in form.items():
        for item in getattr(c, name):
            if not (re.search(r".=", item) or (name == "tolerations" and re.search(r".:", item))):
                # Of a variable, only the name: what follows may be a password that lacks its equals sign.
                shown = item if name != "env" else re.split(r"\W", item, maxsplit=1)[0]
                raise ConfigError(f"an item of cluster.{name} must be {wanted}", value=shown, remedy=_SEE)
    for amount in (f.name for f in dataclasses.fields(c) if f.name.endswith(("_cpu", "_memory"))):
        quantity(getattr(c, amount), f"cluster.{amount}")
    least = config.check.memory_mib + CHECKER_OWN_MIB
    if config.check.sandbox == "gvisor_job" and quantity(c.checker_memory) < least * 2**20:
        raise ConfigError(
            f"cluster.checker_memory must hold a program of check.memory_mib={config.check.memory_mib} and the sandbox",
            value=c.checker_memory,
            remedy=f"--set cluster.checker_memory={least}Mi",
        )
    if config.train.launcher != "local" and config.train.ranks % c.trainer_nodes:
        raise ConfigError(
            f"train.ranks={config.train.ranks} cannot be divided among cluster.trainer_nodes",
            value=c.trainer_nodes,
            remedy="make train.ranks a multiple of it",
        )
