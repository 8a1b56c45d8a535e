"""Whether what a recipe says fits together: what no single option shows, said before anything runs."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import TYPE_CHECKING

from mmst.core import arms, method_files
from mmst.core.errors import ConfigError
from mmst.core.quantities import quantity
from mmst.core.sections import LabelConfig, SamplingConfig, Source, TrainConfig

if TYPE_CHECKING:
    from mmst.core.config import Config

CHECKER_OWN_MIB = 256
"""Memory of a code-check pod beyond that of the program in it."""
SEE = "see `mmst recipes --keys`"
"""The remedy for what the help of a key explains."""


def check(config: Config) -> None:
    """`ConfigError` unless the parts of a recipe fit together."""
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
    if s.backend == "kserve" and config.model.trust_remote_code:
        raise ConfigError(
            "a model server in the cluster runs no code that comes with a model",
            value="model.trust_remote_code",
            remedy="sampling.backend=local, which samples in the stage's own pod; or a model that transformers knows",
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
                        f"{at}.{key} must be among methods ({known})", value=sorted(unknown)[0], remedy=SEE
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
                raise ConfigError(f"an item of cluster.{name} must be {wanted}", value=shown, remedy=SEE)
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
