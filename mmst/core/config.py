"""The one configuration: frozen, nested, validated; a recipe is a file that fills it in.

A key is reached by its path (`sampling.k`). Every option carries its help text here, and
`mmst recipes --keys` and docs/recipes.md print these texts: they stand in one place.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmst.core import credentials
from mmst.core.errors import ConfigError, DataError
from mmst.core.quantities import quantity
from mmst.core.records import digest, from_data, to_data
from mmst.sandbox.guest.packages import DEFAULT, KNOWN
from mmst.version import __version__

T = typing.TypeVar("T")


CHECKER_OWN_MIB = 256
"""Memory of a code-check pod beyond that of the program in it."""

RECHECK = 0.01
"""Share of the programs that were evaluated which CPython runs as well, if nobody says otherwise."""


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    affects: bool = True,
    quiet: bool = False,
) -> Any:
    """A config field: its default, what it does, and the values it may take.

    `affects=False` marks an option that cannot change any result (batch sizes, addresses),
    so it is left out of the keys under which stages are stored; `quiet=True` one that is left out
    while it has its default, so that what was stored before there was such an option stays valid.
    """
    meta = {"help": help, "low": low, "high": high, "choices": choices, "affects": affects, "quiet": quiet}
    if isinstance(default, (dict, list)):
        return field(default_factory=default.copy, metadata=meta)
    return field(default=default, metadata=meta)


def section(kind: type[T], *, affects: bool = True) -> T:
    """A nested section with its defaults; with `affects=False` none of its options can change a result."""
    return field(default_factory=kind, metadata={"affects": affects})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where problems come from."""

    format: str = option("", "importer: generated, gsm8k, svamp, asdiv, mawps, mawps-csv, math or jsonl")
    path: str = option("", "file to import (empty for generated)")
    split: str = option(
        "all",
        "all, or the problems whose content hash says train, dev or test",
        choices=("all", "train", "dev", "test"),
    )
    part: str = option("0-100", "percent range of a second content hash, e.g. 0-20: the ranges of a file are disjoint")
    annotated: tuple[str, ...] = option((), "methods whose annotated solutions are kept (empty: all that there are)")
    limit: int = option(0, "at most this many problems, in file order (0: all)", low=0)
    count: int = option(0, "generated: how many problems", low=0)
    seed: int = option(0, "generated: the generator's seed", low=0)
    task: str = option("main", "generated: main, or related (different questions)", choices=("main", "related"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemsConfig:
    """Which problems are trained on, held out, and held out of a related task."""

    train: tuple[Source, ...] = option((), "problems to sample, whose verified solutions are trained on")
    test: tuple[Source, ...] = option((), "held-out problems of the same task")
    related: tuple[Source, ...] = option((), "held-out problems of a related but different task")
    annotated: tuple[Source, ...] = option((), "annotated problems, whose solutions training replays")
    near_duplicate: float = option(
        0.8, "share of common word 5-grams from which two questions are near duplicates", low=0.0, high=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The model that the first round starts from."""

    base: str = option("mmst:tiny", "mmst:tiny (shipped), or a Hugging Face folder")
    trust_remote_code: str = option("", "name of a model folder whose own Python code may run (empty: none)")
    dtype: str = option("float32", "dtype for sampling", choices=("float32", "bfloat16", "float16"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """How a problem is put to the model."""

    style: str = option(
        "plain",
        "plain (no instruction), instruct, few-shot, or chat (the tokenizer's template)",
        choices=("plain", "instruct", "few-shot", "chat"),
    )
    shots: int = option(4, "few-shot: how many worked examples", low=1, high=8)
    phrasing: int = option(
        1,
        "which of the phrasings of each method asks (the shipped small model knows only 1)",
        low=1,
        high=3,
        quiet=True,
    )
    stop: tuple[str, ...] | None = option(
        None,
        r'texts at which a completion ends, e.g. ["\n\n"] ([]: none; left out: "\nQuestion:" for instruct and few-shot,'
        r' "\n\n" and "\nQuestion:" for plain, none for chat)',
        quiet=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How solutions are drawn."""

    backend: str = option(
        "local",
        "local (in process), kserve (an InferenceService per checkpoint), openai (a completions server that serves "
        "model.base), recorded (a file)",
        choices=("local", "kserve", "openai", "recorded"),
        affects=False,
    )
    k: int = option(4, "solutions per problem and method", low=1)
    temperature: float = option(0.8, "sampling temperature", low=0.0, high=5.0)
    top_p: float = option(1.0, "nucleus sampling: share of probability kept", low=0.01, high=1.0)
    max_tokens: int = option(96, "longest completion in tokens", low=1)
    seed: int = option(1, "seed of the run: samples and training follow from it", low=0)
    shard: int = option(64, "problems per shard: what a killed run loses at most", low=1)
    batch: int = option(256, "local: rows decoded together", low=1, affects=False)
    url: str = option("", "openai: base address, e.g. http://127.0.0.1:8080/openai/v1", affects=False)
    served_model: str = option("", "openai: the model's name on the server (empty: its only model)", affects=False)
    answered_model: str = option(
        "", "openai: the model's name in the server's answers, where that is another (an alias)", affects=False
    )
    api_key_env: str = option("", "openai: the environment variable that holds the API key, e.g. KEY", affects=False)
    concurrency: int = option(16, "openai, kserve: requests in flight", low=1, affects=False)
    deadline: float = option(
        600.0, "openai, kserve: seconds that a request has, with all its retries", low=0.1, affects=False
    )
    failures: float = option(
        0.01,
        "share of a stage's completions that may fail for good, and are left out; more stop it",
        low=0.0,
        high=1.0,
        affects=False,
    )
    recorded: str = option("", "recorded: JSONL of {question or problem_id, method, completion}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """How programs are run and answers compared."""

    sandbox: str = option(
        "gvisor",
        "gvisor (on this machine), gvisor_job (Kubernetes Jobs), or subprocess (unconfined; only for code you would "
        "run yourself)",
        choices=("gvisor", "gvisor_job", "subprocess"),
        affects=False,
    )
    timeout: float = option(2.0, "seconds a program may run", low=0.05, high=600.0)
    memory_mib: int = option(256, "memory a program may use, in MiB", low=32)
    output_kib: int = option(64, "output a program may write, in KiB", low=1)
    packages: tuple[str, ...] = option(
        DEFAULT,
        "packages that programs may import beside the standard library: numpy, sympy (with mpmath), scipy, pandas; in "
        "the versions that are installed here (gvisor_job: those that cluster.checker_image holds; subprocess: all "
        "that are installed)",
        choices=KNOWN,
        quiet=True,
    )
    workers: int = option(0, "programs at once (0: as many as cores)", low=0, affects=False)
    recheck: float = option(
        RECHECK,
        "share of the programs that the evaluator finished which CPython runs as well, to compare",
        low=0.0,
        high=1.0,
        affects=False,
    )
    shard: int = option(2048, "samples per shard", low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateConfig:
    """How correct solutions are rewritten into the other methods."""

    n: int = option(2, "translations per source solution and target method", low=1)
    temperature: float = option(0.6, "sampling temperature", low=0.0, high=5.0)
    sources: int = option(2, "different correct solutions translated per problem and method", low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainsetConfig:
    """How training examples are chosen from verified solutions."""

    cap: int = option(4, "examples per problem and method at most", low=1)
    balance: bool = option(True, "cut each method to at most twice the count of the smallest")
    annotated_share: float = option(0.5, "share of the steps spent on annotated data (0: none)", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How the model is fine-tuned."""

    launcher: str = option(
        "local",
        "where the training processes run: local, pytorchjob (training-operator) or trainjob (Kubeflow Trainer)",
        choices=("local", "pytorchjob", "trainjob"),
        affects=False,
    )
    steps: int = option(100, "optimiser steps (the same for every arm)", low=1)
    batch_tokens: int = option(4096, "tokens of a step, over all ranks", low=16)
    micro_tokens: int = option(
        0,
        "tokens that a rank computes at once; the gradients of a step's parts are added up (0: batch_tokens / ranks)",
        low=0,
        quiet=True,
    )
    lr: float = option(1e-3, "peak learning rate", low=1e-9, high=1.0)
    warmup: float = option(0.1, "share of the steps spent warming up", low=0.0, high=1.0)
    weight_decay: float = option(0.01, "AdamW weight decay", low=0.0, high=1.0)
    clip: float = option(1.0, "gradient norm clip", low=0.0)
    precision: str = option(
        "float32", "float32, or bfloat16 where the hardware does it well", choices=("float32", "bfloat16")
    )
    lora_rank: int = option(0, "LoRA rank (0: train all weights); merged on export", low=0)
    lora_alpha: float = option(16.0, "LoRA alpha", low=0.1)
    lora_targets: tuple[str, ...] = option((), "module names that get LoRA (empty: every linear layer)")
    ranks: int = option(1, "training processes, on this machine or over all nodes", low=1, high=1024)
    zero: int = option(0, "DeepSpeed ZeRO stage (0: plain torch, or ZeRO-2 when ranks > 1)", low=0, high=3)
    gradient_checkpointing: bool = option(
        False,
        "compute activations again in the backward pass instead of keeping them: far less memory, a third more work",
        affects=False,
    )
    checkpoint_every: int = option(50, "steps between resumable checkpoints", low=1, affects=False)
    spike: float = option(
        4.0,
        "stop when the loss stays above this multiple of what it was at the start, or of its best running mean "
        "(0: never; mmst/training/guard.py)",
        low=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """How a checkpoint is measured on held-out problems."""

    k: int = option(0, "samples for pass@k and majority vote beside the greedy one (0: greedy only)", low=0)
    temperature: float = option(0.8, "temperature of those samples", low=0.0, high=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """When a challenger becomes champion, and where it is registered."""

    name: str = option("mmst", "registered model name")
    alpha: float = option(0.05, "significance level of the paired test", low=0.0001, high=0.5)
    tolerance: float = option(0.03, "no method and no related task may be worse by more (fraction)", low=0.0, high=1.0)
    tracking_uri: str = option(
        "", "MLflow address (empty: $MLFLOW_TRACKING_URI, else SQLite in the run's folder)", affects=False
    )
    experiment: str = option("mmst", "MLflow experiment")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How often, and when to stop."""

    rounds: int = option(1, "rounds at most", low=1, high=10)
    arm: str = option(
        "mmst",
        "what the run trains on: mmst, annotated-only, no-translation, equal-data, own-METHOD or METHOD-to-METHOD",
    )
    controls: tuple[str, ...] = option((), "arms trained beside each round, from the same checkpoint and samples")
    min_new: int = option(20, "stop when a round finds fewer new examples", low=0)
    min_gain: float = option(0.0, "stop when a round gains less (fraction of the aggregate)", low=-1.0, high=1.0)
    plateau: str = option(
        "stop",
        "when a round's challenger is rejected or gains less: stop, or go on to the last round (experiments)",
        choices=("stop", "continue"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Where and with what a run's pods run. Nothing here can change a result."""

    namespace: str = option("mmst", "namespace of stages, training and model servers")
    sandbox_namespace: str = option("mmst-sandbox", "namespace of the code checks")
    runtime_class: str = option("gvisor", "RuntimeClass of the code checks; must be gVisor")
    pipeline_image: str = option(f"mmst/pipeline:{__version__}", "image of the stages")
    checker_image: str = option(f"mmst/checker:{__version__}", "image of the code checks")
    trainer_image: str = option(f"mmst/trainer:{__version__}", "image of the training processes")
    server_image: str = option(f"mmst/server:{__version__}", "image of our own model server")
    pull_policy: str = option(
        "IfNotPresent", "imagePullPolicy of all pods", choices=("Always", "IfNotPresent", "Never")
    )
    pull_secrets: tuple[str, ...] = option((), "Secrets for pulling the images")
    secrets: tuple[str, ...] = option(
        (), "Secrets whose keys become environment variables of stages, training and servers"
    )
    env: tuple[str, ...] = option((), "further environment variables of these, as NAME=value")
    volume: str = option("mmst-scratch", "volume claim that stages and training share (ReadWriteMany)")
    mount: str = option("/mnt/mmst", "where that volume is mounted")
    queue: str = option("", "Kueue LocalQueue for training and checks (empty: none)")
    node_selector: tuple[str, ...] = option((), "labels of the nodes for training and servers: key=value")
    tolerations: tuple[str, ...] = option(
        (), "taints that training and servers tolerate: key=value:Effect or key:Effect"
    )
    gpu_resource: str = option("nvidia.com/gpu", "resource name of a GPU")
    shm_gib: float = option(1.0, "shared memory of training and server pods, in GiB", low=0.0)
    checkers: int = option(4, "code-check pods at once", low=1, high=10_000)
    checker_cpu: str = option("1", "CPU of a code-check pod")
    checker_memory: str = option("1Gi", "memory of a code-check pod")
    trainer_nodes: int = option(1, "training pods; train.ranks is divided among them", low=1)
    trainer_gpus: int = option(0, "GPUs of a training pod", low=0)
    trainer_cpu: str = option("1", "CPU of a training pod")
    trainer_memory: str = option("4Gi", "memory of a training pod")
    server_runtime: str = option(
        "mmst", "model server: mmst (ours, small models) or vllm (KServe's)", choices=("mmst", "vllm")
    )
    server_gpus: int = option(0, "GPUs of a server pod; vllm: its tensor parallelism", low=0)
    server_cpu: str = option("1", "CPU of a server pod")
    server_memory: str = option("4Gi", "memory of a server pod")
    start_timeout: float = option(900.0, "seconds that a pod may take to start", low=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole recipe."""

    name: str = option("run", "name of the recipe")
    title: str = option("", "one line for people")
    out: str = option("mmst-out", "where everything is stored: a folder, or s3://bucket/prefix", affects=False)
    methods: tuple[str, ...] = option(("text", "code"), "methods that teach each other")
    problems: ProblemsConfig = section(ProblemsConfig)
    model: ModelConfig = section(ModelConfig)
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
    _known_keys(Config, data, "")
    try:
        config = from_data(Config, data, "recipe")
    except DataError as e:
        raise ConfigError(e.what.removeprefix("recipe."), value=e.value, remedy=_SEE) from None
    _check_values(config, "")
    if len(set(config.methods)) != len(config.methods) or not config.methods:
        raise ConfigError("methods must name each method once", value=config.methods, remedy="methods=[text, code]")
    if not all(config.prompt.stop or ["…"]):
        raise ConfigError(
            "prompt.stop must hold texts that are not empty", value=config.prompt.stop, remedy="prompt.stop=[] for none"
        )
    if config.sampling.backend == "openai" and not config.sampling.url:
        raise ConfigError(
            "sampling.backend=openai needs sampling.url",
            remedy="--set sampling.url=http://127.0.0.1:8080/openai/v1 (start one with `mmst serve`)",
        )
    if not re.fullmatch(r"([A-Z_][A-Z0-9_]{0,63})?", config.sampling.api_key_env):
        # The value is not shown: it may be the key itself.
        raise ConfigError(
            "sampling.api_key_env must name an environment variable (A-Z, 0-9, _), not hold the key",
            remedy="export KEY=…, and --set sampling.api_key_env=KEY",
        )
    if config.sampling.backend == "recorded" and not config.sampling.recorded:
        raise ConfigError(
            "sampling.backend=recorded needs sampling.recorded", remedy="--set sampling.recorded=completions.jsonl"
        )
    _check_arms(config)
    _check_sources(config)
    _check_cluster(config)
    return config


def arms(methods: Sequence[str]) -> tuple[str, ...]:
    """What a run with these methods can train on; `mmst.stages.build_trainset` says what each is.

    >>> arms(["text", "code"])[4:]
    ('own-text', 'own-code', 'text-to-code', 'code-to-text')
    """
    single = (f"own-{method}" for method in methods)
    directions = (f"{source}-to-{target}" for source, target in itertools.permutations(methods, 2))
    return ("mmst", "no-translation", "equal-data", "annotated-only", *single, *directions)


def override(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe data with `path=value` settings applied; values are already-parsed plain data.

    >>> override({"sampling": {"k": 4}}, {"sampling.k": 8})["sampling"]["k"]
    8
    """
    result: dict[str, Any] = json.loads(json.dumps(data))
    for path, value in settings.items():
        node: Any = result
        *parents, last = path.split(".")
        for i, part in enumerate(parents):
            node = node.setdefault(part, {}) if isinstance(node, dict) else node[int(part)]
            if not isinstance(node, (dict, list)):
                raise ConfigError(f"{'.'.join(parents[: i + 1])} is not a section", value=path, remedy=_SEE)
        if isinstance(node, list):
            node[int(last)] = value
        else:
            node[last] = value
    return result


def to_text(config: Config) -> str:
    """The config as JSON: how it travels between components."""
    return json.dumps(to_data(config), ensure_ascii=False, sort_keys=True)


def from_text(text: str) -> Config:
    """The config back from `to_text`."""
    return parse(json.loads(text))


def identity(config: Any) -> dict[str, Any]:
    """The part of a config (or section) that can change results, as plain data."""
    return {
        f.name: identity(v) if dataclasses.is_dataclass(v := getattr(config, f.name)) else _identities(v)
        for f in dataclasses.fields(config)
        if f.metadata.get("affects", True) and not (f.metadata.get("quiet") and getattr(config, f.name) == f.default)
    }


def run_id(config: Config) -> str:
    """The name of a run: recipe name and the digest of all that can change its results."""
    return f"{config.name}-{digest(identity(config))[7:15]}"


def options(kind: type = Config, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Every option as (path, type, default, help), for help texts and docs."""
    hints = typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[f.name]):
            yield from options(typing.cast(type, hints[f.name]), f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", _type_name(hints[f.name]), f.default, f.metadata["help"]


_SEE = "see `mmst recipes --keys`"
RENAMED = {"problems.seeds": "problems.annotated", "trainset.seed_share": "trainset.annotated_share"}
"""Keys of older recipes, and what they are called now."""
RENAMED_ARMS = {"seed-only": "annotated-only"}


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
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", part)
    if not found or not int(found[1]) < int(found[2]) <= 100:
        raise ConfigError("a source's part must be a range of whole percents", value=part, remedy="e.g. part: 0-20")
    return int(found[1]), int(found[2])


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


def _identities(value: Any) -> Any:
    if isinstance(value, tuple):
        return [identity(v) if dataclasses.is_dataclass(v) else v for v in value]
    return to_data(value)


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return f"list of {_type_name(typing.get_args(hint)[0])}"
    if isinstance(hint, types.UnionType):
        return _type_name(typing.get_args(hint)[0])
    return str(getattr(hint, "__name__", hint))


def _known_keys(kind: Any, data: Any, path: str) -> None:
    if typing.get_origin(kind) is tuple:
        for i, v in enumerate(data if isinstance(data, list) else ()):
            _known_keys(typing.get_args(kind)[0], v, f"{path[:-1]}[{i}].")
        return
    if isinstance(kind, types.UnionType) or not dataclasses.is_dataclass(kind) or not isinstance(data, Mapping):
        return
    hints = typing.get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            if new := RENAMED.get(f"{path}{key}"):
                raise ConfigError(f"unknown recipe key '{path}{key}'", remedy=f"it is called {new} now")
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {path}{near[0]}? " if near else ""
            raise ConfigError(f"unknown recipe key '{path}{key}'", remedy=f"{hint}{_SEE}")
        _known_keys(hints[key], value, f"{path}{key}.")


def _check_values(node: Any, path: str) -> None:
    for f in dataclasses.fields(node):
        value, name = getattr(node, f.name), f"{path}{f.name}"
        if dataclasses.is_dataclass(value):
            _check_values(value, f"{name}.")
            continue
        low, high, choices = (f.metadata.get(m) for m in ("low", "high", "choices"))
        if isinstance(value, float) and value != value:
            raise ConfigError(f"{name} must be a number", value=value, remedy=_SEE)
        if low is not None and value < low:
            raise ConfigError(f"{name} must be at least {low:g}", value=value, remedy=_SEE)
        if high is not None and value > high:
            raise ConfigError(f"{name} must be at most {high:g}", value=value, remedy=_SEE)
        for i, item in enumerate(value if isinstance(value, tuple) else (value,)):
            if dataclasses.is_dataclass(item):
                _check_values(item, f"{name}[{i}].")
            elif choices and item not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}", value=item, remedy=_SEE)
