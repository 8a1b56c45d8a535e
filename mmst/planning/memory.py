"""Memory needs of training and serving: figures, and what does not fit. Pure.

The states follow DeepSpeed's own estimators (`estimate_zero2_model_states_mem_needs`,
`estimate_zero3_model_states_mem_needs`): per
trained parameter 2 B of weights, 2 B of gradients, and 16 B of optimiser states (fp32 copies of
weights and gradients, and Adam's two moments); what is sharded is divided among the ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mmst.core.config import Config, TrainConfig
from mmst.core.errors import ConfigError, did_you_mean
from mmst.planning.architecture import Architecture
from mmst.planning.figures import Figure, counted, shown
from mmst.planning.hardware import Hardware
from mmst.training.budget import logits_at_once, tokens_at_once

TRAINING, SERVING = "training memory", "serving memory"
MOST_RANKS = 1024
"""Maximum of `train.ranks`."""
SIZES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
CACHE_SIZES = SIZES | {"int8": 4}
"""Of the key-value cache: CTranslate2 quantises weights alone."""


@dataclass(frozen=True, slots=True)
class States:
    """Bytes per rank that training holds from the first step to the last."""

    weights: float
    gradients: float
    optimiser: float
    gathered: float
    moved: float = 0.0
    """In the node's own memory (`train.offload`)."""

    @property
    def total(self) -> float:
        """Their sum, without what was moved."""
        return self.weights + self.gradients + self.optimiser + self.gathered


def lora_parameters(a: Architecture, t: TrainConfig) -> int:
    """Parameters of LoRA adapters on the linear layers that they are asked for: rank x (inputs + outputs) each.

    `ConfigError` for a target that is none of them.
    """
    h, q, k, f = a.hidden, a.queries, a.keys, a.mlp
    if a.kind == "bloom":
        layers = {
            "query_key_value": (h, q + 2 * k), "dense": (q, h), "dense_h_to_4h": (h, f), "dense_4h_to_h": (f, h),
        }  # fmt: skip
    else:
        layers = {"q_proj": (h, q), "k_proj": (h, k), "v_proj": (h, k), "o_proj": (q, h), "up_proj": (h, f)}
        layers |= {"gate_proj": (h, f)} if a.gated else {}
        layers |= {"down_proj": (f, h)}
    targets = [target.rpartition(".")[2] for target in t.lora_targets]
    if unknown := next((target for target in targets if target not in layers), ""):
        raise ConfigError(
            "train.lora_targets names no linear layer of the model's layers",
            value=unknown,
            remedy=f"{did_you_mean(unknown, layers)}linear layers of this model: {', '.join(layers)}",
        )
    return a.layers * t.lora_rank * sum(sum(layers[name]) for name in dict.fromkeys(targets or layers))


def states(a: Architecture, t: TrainConfig) -> States:
    """Weights, gradients and optimiser states of one rank, in bytes.

    Plain torch: fp32 weights, gradients and Adam's moments, 16 B a parameter.
    """
    zero, ranks = t.zero_stage, t.ranks
    trained = lora_parameters(a, t) if t.lora_rank else a.parameters
    everything = a.parameters + (trained if t.lora_rank else 0)
    if not zero:
        copies = 2 * a.matrix_parameters if t.precision == "bfloat16" else 0
        return States(4 * everything + copies, 4 * trained, 8 * trained, 0)
    size = 2 if t.precision == "bfloat16" else 4
    weights = size * everything / (ranks if zero == 3 else 1)
    # In ZeRO-3 DeepSpeed counts 18 B in all: 2 of weights and 16, its gradients among them.
    gradients = 0.0 if zero == 3 else size * trained / (ranks if zero == 2 else 1)
    gathered = 2 * size * a.largest_module_parameters if zero == 3 else 0
    optimiser = 16 * trained / ranks
    if t.offload == "none":
        return States(weights, gradients, optimiser, gathered)
    if t.offload == "optimizer":
        return States(weights, 0, 0, gathered, optimiser)
    return States(0, 0, 0, gathered, optimiser + weights)


def compute_size(t: TrainConfig) -> int:
    """Bytes per number in the forward pass. Plain torch keeps fp32 beside bfloat16: counted as 4."""
    return 2 if t.precision == "bfloat16" and t.zero_stage else 4


def logit_bytes(a: Architecture, size: int) -> int:
    """Bytes of a token's logits: the logits and their gradient, and in fp32 the copy and softmax of the loss."""
    return a.vocabulary * (2 * size + 8)


def logit_tokens(a: Architecture, t: TrainConfig) -> int:
    """Tokens whose logits are held together: all, for a model whose rows are padded (`mmst.training.loss`)."""
    tokens = tokens_at_once(t)
    return tokens if a.kind == "bloom" else logits_at_once(tokens, a.vocabulary)


def training_bytes(a: Architecture, t: TrainConfig, hardware: Hardware, row: int) -> float:
    """The peak memory of training per GPU, or per machine if its ranks share its memory."""
    size = compute_size(t)
    computed = tokens_at_once(t) * a.activation_bytes(size, row, t.gradient_checkpointing)
    computed += logit_tokens(a, t) * logit_bytes(a, size)
    held = states(a, t)
    if hardware.gpus:
        return held.total + computed
    return (held.total + held.moved + computed) * t.ranks


def least_ranks(a: Architecture, t: TrainConfig, hardware: Hardware, row: int) -> int:
    """The smallest number of GPUs on which this training fits; 0 if it is more than `MOST_RANKS`."""
    for ranks in range(1, MOST_RANKS + 1):
        if training_bytes(a, replace(t, ranks=ranks), hardware, row) <= hardware.usable_bytes:
            return ranks
    return 0


WEIGHT_FILE = 10e9
"""The bytes of one of a large model's weight files, at most: BLOOM's largest have 7.2 GB."""


def export_bytes(a: Architecture, config: Config, hardware: Hardware) -> float:
    """What a node's ranks hold in its memory at the end: each a weight file, a gathered matrix in fp32, what moved."""
    here = min(config.train.ranks, hardware.devices)
    each = min(WEIGHT_FILE, SIZES[config.model.dtype] * a.parameters)
    return here * (each + 4.0 * a.largest_module_parameters + states(a, config.train).moved)


def training(a: Architecture, config: Config, hardware: Hardware, row: int) -> Iterator[Figure]:
    """Memory of training per GPU (or machine) and on the first node; `row` is the longest row in tokens."""
    t, s, zero, p = config.train, states(a, config.train), config.train.zero_stage, f"{a.parameters:,} parameters"
    shared = {0: "plain torch", 1: "ZeRO-1", 2: "ZeRO-2", 3: "ZeRO-3"}[zero] + f", {counted(t.ranks, 'rank')}"
    size = compute_size(t)
    trained = f"{lora_parameters(a, t):,} LoRA parameters" if t.lora_rank else p
    divided = f" / {t.ranks}"

    def figure(name: str, value: float, formula: str) -> Figure:
        return Figure(group=TRAINING, name=name, value=value, unit="B", formula=formula)

    copies = " + 2 B of each matrix, cast for bfloat16" if t.precision == "bfloat16" and not zero else ""
    weights = f"{size} B x {p}{divided if zero == 3 else ''}"
    among = "among the optimiser states, as DeepSpeed counts" if zero == 3 else f"{size} B x {trained}"
    parts = "fp32 weights, gradients, Adam's two moments" if zero else "Adam's two moments"
    optimiser = f"{16 if zero else 8} B x {trained}{divided if zero else ''} ({parts})"
    moved = {"none": [], "optimizer": [optimiser], "parameters": [optimiser, weights]}[t.offload]
    there = "in main memory (train.offload)"
    yield figure("weights", s.weights, there if weights in moved else f"{weights}{copies} ({shared})")
    yield figure("gradients", s.gradients, there if moved else among + (divided if zero == 2 else ""))
    yield figure("optimiser states", s.optimiser, there if moved else optimiser)
    if moved:
        yield figure("in main memory, per rank", s.moved, " + ".join(moved))
    if s.gathered:
        largest = a.largest_module_parameters
        yield figure("gathered weights", s.gathered, f"{2 * size} B x {largest:,} of the largest module")
    tokens, each = tokens_at_once(t), a.activation_bytes(size, row, t.gradient_checkpointing)
    kept = f"the inputs of {a.layers} layers, and in one layer" if t.gradient_checkpointing else f"{a.layers} layers"
    scores = f", attention matrix of rows of {row} tokens included" if a.keeps_scores else ""
    yield figure("activations", tokens * each, f"{tokens:,} tokens x {each:,} B in {kept}{scores}")
    held, logit = logit_tokens(a, t), logit_bytes(a, size)
    yield figure("logits", held * logit, f"{held:,} tokens x {a.vocabulary:,} words x {2 * size + 8} B")
    ranks = 1 if hardware.gpus else t.ranks
    yield figure(
        f"in all, per {hardware.device}",
        training_bytes(a, t, hardware, row),
        f"their sum{f' x {ranks} ranks' if ranks > 1 else ''}; there are {usable(hardware)}",
    )
    if hardware.gpus:
        here = counted(min(t.ranks, hardware.devices), "rank")
        formula = f"{here}, each with a weight file and the largest module in fp32 (export)"
        formula += ", and what was moved" if s.moved else ""
        there = f"; there are {shown(hardware.node_bytes, 'B')}"
        yield figure("a node's own memory", export_bytes(a, config, hardware), formula + there)


def serving(a: Architecture, config: Config, hardware: Hardware, row: int, parallel: int) -> Iterator[Figure]:
    """Memory of sampling per GPU with the model on `parallel` of them, and how many completions fit at once."""
    size = SIZES[config.model.dtype]

    def figure(name: str, value: float, unit: str, formula: str) -> Figure:
        return Figure(group=SERVING, name=name, value=value, unit=unit, formula=formula)

    cached = CACHE_SIZES[config.model.dtype]
    weights, token = size * a.parameters / parallel, a.kv_bytes(cached)
    among = f" / {parallel}" if parallel > 1 else ""
    yield figure("weights", weights, "B", f"{size} B x {a.parameters:,} parameters{among}")
    heads = f"2 x {a.layers} layers x {a.kv_heads} key heads x {a.head_size} x {cached} B"
    yield figure("key-value cache of a token", token, "B", heads)
    most = rows_wanted(config)
    held = token * row / parallel
    rows = rows_at_once(a, config, hardware, row, parallel)
    formula = f"{most} wanted (batch, or concurrency x k); room for {usable(hardware)} - weights, {row} tokens each"
    yield figure("completions at once", rows, "completions", formula)
    yield figure("key-value cache", rows * held, "B", f"{rows} x {row} tokens x {token:,} B{among}")
    whole = weights + rows * held
    yield figure(f"in all, per {hardware.device}", whole, "B", f"their sum; there are {usable(hardware)}")
    if config.sampling.backend == "openai":
        formula = f"{size} B x {a.parameters:,} parameters: the server has the first model only"
        yield figure("trained checkpoints, in process", size * a.parameters, "B", formula)


def rows_wanted(config: Config) -> int:
    """Number of completions that sampling has in progress at once."""
    s = config.sampling
    return s.batch if in_process(config) else s.concurrency * s.k


def in_process(config: Config) -> bool:
    """Whether the first model is sampled in the stage's own process."""
    return config.sampling.backend in ("local", "ctranslate2", "recorded")


def rows_at_once(a: Architecture, config: Config, hardware: Hardware, row: int, parallel: int) -> int:
    """How many of the wanted completions fit into the key-value cache."""
    size = SIZES[config.model.dtype]
    room: float = hardware.usable_bytes - size * a.parameters / parallel
    token = a.kv_bytes(CACHE_SIZES[config.model.dtype])
    return max(0, min(rows_wanted(config), int(room * parallel / (token * row))))


def least_parallel(a: Architecture, config: Config, hardware: Hardware, row: int) -> int:
    """The smallest power of two of GPUs of one node that holds the model and one completion; 0 if none does."""
    for parallel in (1 << i for i in range(hardware.devices.bit_length())):
        if a.heads % parallel == 0 and rows_at_once(a, config, hardware, row, parallel):
            return parallel
    return 0


def usable(hardware: Hardware) -> str:
    """The memory that a plan may use, in words."""
    return f"{hardware.usable_share:.0%} of {shown(hardware.device_bytes, 'B')}"
