"""The one configuration: frozen, nested, validated; a recipe is a file that fills it in.

A key is reached by its path (`sampling.k`). `mmst recipes --keys` and docs/recipes.md print what each does, and
`mmst recipes --schema` the same for editors.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmst.core import credentials, plugins
from mmst.core.codec import Misfit, digest, spelt, to_data, validated
from mmst.core.errors import ConfigError
from mmst.core.options import declared, option, options_by_name, section
from mmst.core.options import identity as identity
from mmst.core.quantities import quantity
from mmst.core.sections import RECHECK as RECHECK
from mmst.core.sections import CheckConfig as CheckConfig
from mmst.core.sections import ClusterConfig as ClusterConfig
from mmst.core.sections import EvaluateConfig as EvaluateConfig
from mmst.core.sections import LoopConfig as LoopConfig
from mmst.core.sections import ModelConfig as ModelConfig
from mmst.core.sections import ProblemsConfig as ProblemsConfig
from mmst.core.sections import PromoteConfig as PromoteConfig
from mmst.core.sections import PromptConfig as PromptConfig
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
        ("text", "code"), "methods that teach each other: text, code, and those of installed packages"
    )
    problems: ProblemsConfig = section(ProblemsConfig)
    model: ModelConfig = section(ModelConfig)
    teachers: Mapping[str, Teacher] = options_by_name(
        "who else writes solutions to train on, by name (docs/teachers.md)"
    )
    prompt: PromptConfig = section(PromptConfig)
    sampling: SamplingConfig = section(SamplingConfig)
    check: CheckConfig = section(CheckConfig)
    translate: TranslateConfig = section(TranslateConfig)
    trainset: TrainsetConfig = section(TrainsetConfig)
    train: TrainConfig = section(TrainConfig)
    evaluate: EvaluateConfig = section(EvaluateConfig)
    promote: PromoteConfig = section(PromoteConfig)
    loop: LoopConfig = section(LoopConfig)
    cluster: ClusterConfig = section(ClusterConfig, affects=False)

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
    _check_engine(config)
    _check_train(config.train)
    _check_arms(config)
    _check_sources(config)
    _check_cluster(config)
    _check_teachers(config)
    return config


ARMS = (
    "mmst",
    "no-translation",
    "equal-data",
    "equal-total",
    "unverified",
    "solved-by-one",
    "solved-by-all",
    "annotated-only",
)
"""Those that every choice of methods has."""


def arms(methods: Sequence[str]) -> tuple[str, ...]:
    """What a run with these methods can train on; `mmst.stages.build_trainset` says what each is.

    >>> arms(["text", "code"])[8:]
    ('own-text', 'own-code', 'text-to-code', 'code-to-text')
    """
    single = (f"own-{method}" for method in methods)
    directions = (f"{source}-to-{target}" for source, target in itertools.permutations(methods, 2))
    return (*ARMS, *single, *directions)


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
RENAMED_ARMS = {"seed-only": "annotated-only"}


def _refused(e: Misfit) -> ConfigError:
    path = spelt(e.loc)
    if e.fault == "wrong":
        return ConfigError(f"{path or 'a recipe'} {e.says}", value=e.value, remedy=_SEE)
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


def _check_arms(config: Config) -> None:
    known = arms(config.methods)
    for name, wanted in (("arm", (config.loop.arm,)), ("controls", config.loop.controls)):
        for arm in wanted:
            if arm not in known:
                remedy = f"it is called {new} now" if (new := RENAMED_ARMS.get(arm)) else _SEE
                raise ConfigError(f"loop.{name} must be of {', '.join(known)}", value=arm, remedy=remedy)
    if len({config.loop.arm, *config.loop.controls}) <= len(config.loop.controls):
        raise ConfigError("loop.controls must name other arms than loop.arm, each once", value=config.loop.controls)


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


def _check_sources(config: Config) -> None:
    for role in dataclasses.fields(config.problems):
        sources = getattr(config.problems, role.name)
        for i, source in enumerate(sources if isinstance(sources, tuple) else ()):
            percent_range(source.part)
            if unknown := set(source.annotated) - set(config.methods):
                raise ConfigError(
                    f"problems.{role.name}[{i}].annotated must be among methods ({', '.join(config.methods)})",
                    value=sorted(unknown)[0],
                    remedy=_SEE,
                )


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
