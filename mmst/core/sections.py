"""The sections of a recipe: every option, with its help text, its values and its default, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mmst.core.options import option
from mmst.sandbox.guest.packages import DEFAULT, KNOWN
from mmst.version import __version__

if TYPE_CHECKING:
    Package = str
else:
    Package = Literal[KNOWN]

PromptStyle = Literal["plain", "instruct", "few-shot", "chat"]

RECHECK = 0.01
"""Share of the programs that were evaluated which CPython runs as well, if nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where problems come from."""

    format: str = option(
        "",
        "importer: generated, gsm8k, svamp, asdiv, mawps, mawps-csv, math, mathqa, strategyqa, commonsenseqa, jsonl, "
        "or one of an installed package",
    )
    path: str = option("", "file to import (empty for generated)")
    split: Literal["all", "train", "dev", "test"] = option(
        "all", "all, or the problems whose content hash says train, dev or test"
    )
    part: str = option("0-100", "percent range of a second content hash, e.g. 0-20: the ranges of a file are disjoint")
    annotated: tuple[str, ...] = option((), "methods whose annotated solutions are kept (empty: all that there are)")
    limit: int = option(0, "at most this many problems, in file order (0: all)", low=0)
    count: int = option(0, "generated: how many problems", low=0)
    seed: int = option(0, "generated: the generator's seed", low=0)
    task: Literal["main", "related"] = option("main", "generated: main, or related (different questions)")
    methods: tuple[str, ...] = option(
        (), "in test and related: the only methods that are asked and measured (empty: all)", quiet=True
    )
    name: str = option(
        "", "in related: the name of this task in reports and claims, e.g. strategyqa (empty: related)", quiet=True
    )


ROLES = ("train", "test", "related", "annotated", "unlabelled")
"""What problems are for: the keys of a recipe's `problems` that list sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemsConfig:
    """Which problems are trained on, held out, and held out of a related task."""

    train: tuple[Source, ...] = option((), "problems to sample; verified solutions of them are trained on")
    test: tuple[Source, ...] = option((), "held-out problems of the same task")
    related: tuple[Source, ...] = option((), "held-out problems of a related but different task")
    annotated: tuple[Source, ...] = option((), "annotated problems, whose solutions are replayed in training")
    unlabelled: tuple[Source, ...] = option(
        (),
        "problems to sample whose answers are not known: the samples vote for a label (section label); an answer in "
        "the file is kept aside, and the labels are only measured by it",
        quiet=True,
        left_out=True,
    )
    near_duplicate: float = option(
        0.8, "share of common word 5-grams from which two questions count as near duplicates", low=0.0, high=1.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The model that the first round starts from."""

    base: str = option(
        "mmst:tiny", "mmst:tiny (shipped), a Hugging Face folder, a .gguf file, or hub:OWNER/NAME@REVISION"
    )
    trust_remote_code: str = option("", "name of a model folder whose own Python code may run (empty: none)")
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = option(
        "float32", "dtype used for sampling; int8 needs sampling.backend=ctranslate2"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """How a problem is put to the model."""

    style: PromptStyle = option(
        "plain", "plain (no instruction), instruct, few-shot, or chat (the tokenizer's template)"
    )
    shots: int = option(4, "number of worked examples in a few-shot prompt", low=1, high=8)
    demonstrations: Literal["built-in", "annotated", "nearest"] = option(
        "built-in",
        "which worked examples: built-in (the method's own, the same in every prompt), or for each problem others of "
        "problems.annotated: annotated (by chance) or nearest (the most similar questions)",
        quiet=True,
    )
    phrasing: int = option(
        1,
        "number of the phrasing with which each method asks (the shipped small model knows only 1)",
        low=1,
        high=3,
        quiet=True,
    )
    stop: tuple[str, ...] | None = option(
        None,
        'strings that end a completion, e.g. ["\\n\\n"] ([]: none; left out: "\\nQuestion:" for instruct '
        'and few-shot, "\\n\\n" and "\\nQuestion:" for plain, none for chat)',
        quiet=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How solutions are drawn."""

    backend: str = option(
        "local",
        "local (in process), ctranslate2 (in process, in int8 on CPUs), server (one started here for each checkpoint), "
        "kserve (an InferenceService per checkpoint), openai (a completions server that serves model.base), recorded "
        "(a file), or one of an installed package",
        affects=False,
    )
    k: int = option(4, "samples per problem and method", low=1)
    temperature: float = option(0.8, "sampling temperature", low=0.0, high=5.0)
    top_p: float = option(1.0, "nucleus sampling: share of the probability to keep", low=0.01, high=1.0)
    max_tokens: int = option(96, "maximum length of a completion, in tokens", low=1)
    seed: int = option(1, "seed of the run; sampling and training depend on it", low=0)
    shard: int = option(64, "problems per shard; a killed run loses at most one shard", low=1)
    batch: int = option(256, "for local, ctranslate2: rows decoded together", low=1, affects=False)
    server: str = option(
        "vllm",
        "for server: vllm, or a command that serves {model} at {port}, e.g. mmst serve {model} --port {port}",
        affects=False,
    )
    url: str = option("", "for openai: base address, e.g. http://127.0.0.1:8080/openai/v1", affects=False)
    served_model: str = option(
        "", "for openai: the model's name on the server (empty: the only model there)", affects=False
    )
    revision: str = option(
        "",
        "for openai: what a server that states no digest serves, e.g. a commit; its samples are stored under "
        "served_model and this (empty: the server must state the digest of model.base, as `mmst serve` does)",
        quiet=True,
    )
    answered_model: str = option(
        "", "for openai: the model's name in the server's answers, if it differs (an alias)", affects=False
    )
    api_key_env: str = option("", "for openai: the environment variable with the API key, e.g. KEY", affects=False)
    concurrency: int = option(16, "for openai, server, kserve: requests in flight", low=1, affects=False)
    deadline: float = option(
        600.0, "for openai, server, kserve: seconds for a request, including all its retries", low=0.1, affects=False
    )
    failures: float = option(
        0.01,
        "share of a stage's completions that may fail and are left out; above it, the stage stops",
        low=0.0,
        high=1.0,
        affects=False,
    )
    recorded: str = option("", "for recorded: JSONL file of {question or problem_id, method, completion}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Somebody else than the model who writes solutions to train on; what it does not say is as the recipe says."""

    base: str = option(
        "", "its model, as in model.base (empty: backend is openai or recorded, and nothing of it is here)"
    )
    rounds: int = option(1, "in how many rounds it writes, from the first on; in each anew", low=1, high=10)
    prompt: PromptConfig | None = option(None, "how a problem is put to it: a section like `prompt` (none: as there)")
    backend: str = option(
        "",
        "as sampling.backend (empty: as there, or local where that is openai or recorded)",
        affects=False,
    )
    trust_remote_code: str = option("", "name of its model folder, if that folder's own Python code may run")
    dtype: Literal["", "float32", "bfloat16", "float16", "int8"] = option("", "dtype (empty: model.dtype)")
    k: int | None = option(None, "samples per problem and method (none: sampling.k)", low=1)
    temperature: float | None = option(None, "temperature (none: sampling.temperature)", low=0.0, high=5.0)
    top_p: float | None = option(None, "nucleus sampling (none: sampling.top_p)", low=0.01, high=1.0)
    max_tokens: int | None = option(None, "longest completion, in tokens (none: sampling.max_tokens)", low=1)
    protocol: Literal["completions", "chat"] = option(
        "completions", "for openai: completions, or chat (the prompt is one message of the user's)"
    )
    url: str = option("", "for openai: base address, e.g. http://127.0.0.1:8080/openai/v1", affects=False)
    served_model: str = option(
        "", "for openai: the model's name on the server (empty: the only model there)", affects=False
    )
    answered_model: str = option("", "for openai: its name in the answers, if it differs (an alias)", affects=False)
    revision: str = option(
        "", "for openai: what a server that states no digest serves, e.g. a commit; needed there", quiet=True
    )
    api_key_env: str = option("", "for openai: the environment variable with the API key, e.g. KEY", affects=False)
    server: str = option("", "for server: as sampling.server (empty: as there)", affects=False)
    recorded: str = option("", "for recorded: JSONL file of {question or problem_id, method, completion}")
    most_tokens: int = option(
        0,
        "most tokens that it may write in a stage; there the run stops, and goes on when this is raised (0: any)",
        low=0,
        affects=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """How programs are run and answers compared."""

    sandbox: str = option(
        "gvisor",
        "gvisor (on this machine), gvisor_job (Kubernetes Jobs), subprocess (unconfined; only for code you would "
        "run yourself), or one of an installed package",
        affects=False,
    )
    timeout: float = option(
        2.0, "time limit of a program in seconds (CPU time, plus time that it sleeps)", low=0.05, high=600.0
    )
    memory_mib: int = option(256, "memory limit of a program, in MiB", low=32)
    output_kib: int = option(64, "output limit of a program, in KiB", low=1)
    packages: tuple[Package, ...] = option(
        DEFAULT,
        "packages that programs may import besides the standard library: numpy, sympy (with mpmath), "
        "scipy, pandas; in the versions installed here (gvisor_job: those in cluster.checker_image; "
        "subprocess: everything installed)",
        quiet=True,
    )
    workers: int = option(0, "programs at once (0: one per core)", low=0, affects=False)
    recheck: float = option(
        RECHECK,
        "share of the evaluated programs that CPython also runs, to compare the results",
        low=0.0,
        high=1.0,
        affects=False,
    )
    shard: int = option(2048, "samples per shard", low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig:
    """How the samples of a problem without a gold answer vote for its label."""

    rule: Literal["methods-agree", "majority", "random"] = option(
        "methods-agree",
        "methods-agree (the answer with the most votes among those that at least two methods gave), majority (the "
        "answer with the most votes), or, as a control, random (any answer, of problems that methods-agree labels)",
    )
    least: float = option(0.5, "smallest share of the votes that makes an answer a label", low=0.01, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateConfig:
    """How correct solutions are rewritten into the other methods."""

    n: int = option(2, "translations per source solution and target method", low=1)
    temperature: float = option(0.6, "sampling temperature of translations", low=0.0, high=5.0)
    sources: int = option(2, "number of different correct solutions to translate, per problem and method", low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainsetConfig:
    """How training examples are chosen from verified solutions."""

    cap: int = option(4, "maximum number of examples per problem and method", low=1)
    balance: bool = option(True, "cut each method to at most twice the size of the smallest")
    annotated_share: float = option(
        0.5, "share of the training steps spent on annotated data (0: none)", low=0.0, high=1.0
    )
    prompts: tuple[PromptStyle, ...] = option(
        (),
        "prompt styles under which examples are learned, in turn (empty: prompt.style, under which they are measured)",
        quiet=True,
        left_out=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How the model is fine-tuned."""

    launcher: Literal["local", "pytorchjob", "trainjob"] = option(
        "local",
        "where training runs: local, pytorchjob (training-operator) or trainjob (Kubeflow Trainer)",
        affects=False,
    )
    steps: int = option(100, "optimiser steps (equal for every arm)", low=1)
    batch_tokens: int = option(4096, "tokens per step, over all ranks", low=16)
    micro_tokens: int = option(
        0,
        "tokens that a rank computes at once; the gradients of a step's parts are added up (0: batch_tokens / ranks)",
        low=0,
        quiet=True,
    )
    lr: float = option(1e-3, "peak learning rate", low=1e-9, high=1.0)
    warmup: float = option(0.1, "share of the steps used for warm-up", low=0.0, high=1.0)
    weight_decay: float = option(0.01, "AdamW weight decay", low=0.0, high=1.0)
    clip: float = option(1.0, "maximum gradient norm", low=0.0)
    precision: Literal["float32", "bfloat16"] = option(
        "float32", "float32, or bfloat16 if the hardware supports it well"
    )
    lora_rank: int = option(0, "LoRA rank (0: train all weights)", low=0)
    lora_alpha: float = option(16.0, "LoRA alpha", low=0.1)
    lora_targets: tuple[str, ...] = option((), "names of the modules that get LoRA (empty: every linear layer)")
    export: Literal["merged", "adapter", "both"] = option(
        "merged",
        "with LoRA, what is kept: merged (a checkpoint like the base), both (and the adapter in PEFT's format beside "
        "it, in adapter/), or adapter alone (`mmst train` only: a run goes on with the checkpoint)",
        quiet=True,
    )
    ranks: int = option(1, "number of training processes, on this machine or over all nodes", low=1, high=1024)
    zero: int = option(0, "DeepSpeed ZeRO stage (0: plain torch, or ZeRO-2 when ranks > 1)", low=0, high=3)
    offload: Literal["none", "optimizer", "parameters"] = option(
        "none",
        "what ZeRO keeps in main memory instead of the GPUs': none, optimizer (its states), or parameters too (zero=3)",
        quiet=True,
    )
    gradient_checkpointing: bool = option(
        False,
        "recompute activations in the backward pass instead of keeping them: far less memory, a third more work",
        affects=False,
    )
    checkpoint_every: int = option(50, "steps between two resumable checkpoints", low=1, affects=False)
    spike: float = option(
        4.0,
        "stop if the loss stays above this multiple of its start value, or of its best running mean (0: "
        "never; mmst/training/guard.py)",
        low=0.0,
    )

    @property
    def zero_stage(self) -> int:
        """The ZeRO stage that the worker will use: 0 is plain torch."""
        return self.zero or (2 if self.ranks > 1 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """How a checkpoint is measured on held-out problems."""

    k: int = option(0, "samples for pass@k and majority vote, besides the greedy one (0: greedy only)", low=0)
    temperature: float = option(0.8, "sampling temperature for these samples", low=0.0, high=5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """When a challenger becomes champion, and where it is registered."""

    name: str = option("mmst", "name of the registered model")
    alpha: float = option(0.05, "significance level of the paired test", low=0.0001, high=0.5)
    tolerance: float = option(0.03, "maximum loss of any method or related task, as a fraction", low=0.0, high=1.0)
    tracking_uri: str = option(
        "", "address of MLflow (empty: $MLFLOW_TRACKING_URI, else SQLite in the store)", affects=False
    )
    experiment: str = option("mmst", "MLflow experiment")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """How often, and when to stop."""

    rounds: int = option(1, "maximum number of rounds", low=1, high=10)
    arm: str = option(
        "mmst",
        "what the run trains on: mmst, annotated-only, no-translation, equal-data, own-METHOD, METHOD-to-METHOD, … "
        "(docs/concepts.md)",
    )
    controls: tuple[str, ...] = option((), "other arms, trained in each round from the same checkpoint and samples")
    min_new: int = option(20, "stop if a round finds fewer new examples than this", low=0)
    min_gain: float = option(
        0.0, "stop if a round gains less than this (fraction of the mean accuracy)", low=-1.0, high=1.0
    )
    plateau: Literal["stop", "continue"] = option(
        "stop", "if a challenger is rejected or gains too little: stop, or go on to the last round (for experiments)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Where and with what a run's pods run. Nothing here can change a result."""

    namespace: str = option("mmst", "namespace of stages, training and model servers")
    sandbox_namespace: str = option("mmst-sandbox", "namespace of the check pods")
    runtime_class: str = option("gvisor", "RuntimeClass of the check pods; must be gVisor")
    pipeline_image: str = option(f"mmst/pipeline:{__version__}", "image of the stages")
    checker_image: str = option(f"mmst/checker:{__version__}", "image of the check pods")
    trainer_image: str = option(f"mmst/trainer:{__version__}", "image of the training processes")
    server_image: str = option(f"mmst/server:{__version__}", "image of MMST's model server")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = option("IfNotPresent", "imagePullPolicy of all pods")
    pull_secrets: tuple[str, ...] = option((), "Secrets for pulling images")
    secrets: tuple[str, ...] = option((), "Secrets whose keys become environment variables of stages and servers")
    stage_secrets: tuple[str, ...] = option((), "further Secrets, whose keys become variables of stages alone")
    env: tuple[str, ...] = option((), "environment variables of stages, training and servers, as NAME=value")
    volume: str = option("mmst-scratch", "volume claim shared by stages and training (ReadWriteMany)")
    mount: str = option("/mnt/mmst", "where that volume is mounted")
    queue: str = option("", "Kueue LocalQueue for training and checks (empty: none)")
    node_selector: tuple[str, ...] = option((), "labels of the nodes for training and servers, as key=value")
    tolerations: tuple[str, ...] = option(
        (), "taints that training and servers tolerate, as key=value:Effect or key:Effect"
    )
    gpu_resource: str = option("nvidia.com/gpu", "resource name of a GPU")
    shm_gib: float = option(1.0, "shared memory of training and server pods, in GiB", low=0.0)
    checkers: int = option(4, "number of check pods at once", low=1, high=10_000)
    checker_cpu: str = option("1", "CPU of a check pod")
    checker_memory: str = option("1Gi", "memory of a check pod")
    trainer_nodes: int = option(1, "number of training pods; train.ranks is divided among them", low=1)
    trainer_gpus: int = option(0, "GPUs of a training pod", low=0)
    trainer_cpu: str = option("1", "CPU of a training pod")
    trainer_memory: str = option("4Gi", "memory of a training pod")
    server_runtime: Literal["mmst", "vllm"] = option(
        "mmst", "model server: mmst (MMST's own, for small models) or vllm (KServe's)"
    )
    server_gpus: int = option(0, "GPUs of a server pod; for vllm also its tensor parallelism", low=0)
    server_cpu: str = option("1", "CPU of a server pod")
    server_memory: str = option("4Gi", "memory of a server pod")
    start_timeout: float = option(900.0, "seconds in which a pod must start", low=1.0)
