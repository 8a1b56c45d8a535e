"""What a recipe needs before anything is launched: memory, GPUs, work, time, bytes, money. Pure.

Every figure carries its formula with the inputs. The parts: `architecture` (the model's shape),
`memory`, `work` (what a run does), `time`, `fit` (what does not fit, and what would).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mmst.core.config import Config
from mmst.core.teachers import SELF, rounds_of, seen_by
from mmst.planning import memory, time
from mmst.planning.architecture import Architecture
from mmst.planning.figures import Figure, counted, shown
from mmst.planning.fit import Misfit, misfits, teacher_misfits
from mmst.planning.hardware import Hardware
from mmst.planning.work import SOLVED, Count, Work, work
from mmst.stages.base_model import COPY_BELOW
from mmst.training.checkpoints import KEEP


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe on some hardware: figures by group, and what does not fit (empty: it runs)."""

    recipe: str
    model: str
    hardware: str
    figures: tuple[Figure, ...]
    misfits: tuple[Misfit, ...]

    def value(self, name: str, group: str = "") -> float:
        """The value of the figure with this name; `KeyError` if there is none."""
        for f in self.figures:
            if f.name == name and group in ("", f.group):
                return f.value
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Model:
    """The model to plan for: its shape, its name, and the size of its folder's files if it is here."""

    shape: Architecture
    name: str
    weights_bytes: int = 0
    other_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """A teacher whose model is here: its shape, the recipe as it sees it, its work, and the GPUs that hold it."""

    shape: Architecture
    seen: Config
    done: Work
    parallel: int


def plan(
    config: Config,
    model: Model,
    hardware: Hardware,
    count: Count,
    price: float = 0.0,
    solved: float = SOLVED,
    teachers: Mapping[str, Model] = MappingProxyType({}),
) -> Plan:
    """The plan of a recipe.

    `count` gives the tokens of texts, `price` is a node's per hour (0: the hardware's), `solved` the share of
    (problem, method) with at least one right sample; `teachers` are the models of those whose model is here.
    """
    a, done = model.shape, work(config, count, solved)
    row, example = done.longest, min(done.example, config.train.batch_tokens)
    parallel = _parallel(a, config, hardware, row)
    asked = {
        name: _asked(config, name, taught.shape, hardware, done)
        for name, taught in teachers.items()
        if name in done.teachers
    }
    times = list(_time(a, config, hardware, done, parallel, asked))
    figures = [
        *_model(a, model.name),
        *memory.training(a, config, hardware, example),
        *memory.serving(a, config, hardware, row, parallel),
        *(f for name, taught in asked.items() for f in _teacher_memory(name, taught, hardware)),
        *_gpus(a, config, hardware, row, example, parallel),
        *_work(config, done),
        *times,
        *_storage(a, config, model, done),
        *_money(times, hardware, price or hardware.price_per_hour),
    ]
    found = misfits(a, config, hardware, row, example, parallel)
    for name, taught in asked.items():
        found += teacher_misfits(name, taught.shape, taught.seen, hardware, taught.done.longest, taught.parallel)
    return Plan(config.name, model.name, hardware.title, tuple(figures), tuple(found))


def _asked(config: Config, name: str, shape: Architecture, hardware: Hardware, done: Work) -> Asked:
    seen, own = seen_by(config, name), done.teachers[name]
    return Asked(shape, seen, own, _parallel(shape, seen, hardware, own.longest))


def _teacher_memory(name: str, taught: Asked, hardware: Hardware) -> Iterator[Figure]:
    """As the model's own: one after the other has the memory."""
    for f in memory.serving(taught.shape, taught.seen, hardware, taught.done.longest, taught.parallel):
        if not f.name.startswith("trained"):
            yield replace(f, name=f"{f.name}, {name}")


def _parallel(a: Architecture, config: Config, hardware: Hardware, row: int) -> int:
    """GPUs that hold the model for sampling: as in the recipe, or the smallest sufficient number."""
    s = config.sampling
    if memory.in_process(config) or not hardware.gpus:
        return 1
    if s.backend == "kserve":
        return max(1, config.cluster.server_gpus) if config.cluster.server_runtime == "vllm" else 1
    return memory.least_parallel(a, config, hardware, row) or hardware.gpus


def _arms(config: Config) -> int:
    return 1 + len(config.loop.controls)


def _model(a: Architecture, name: str) -> Iterator[Figure]:
    h, f = a.hidden, a.mlp
    layers = f"{a.layers} layers x {a.layer_parameters:,} ({a.kind}: {h} wide, {a.heads} heads of {a.head_size}"
    keys = f", {a.kv_heads} key heads" if a.kv_heads != a.heads else ""
    tied = "once, tied" if a.tied else "twice"
    formula = f"{layers}{keys}, inner {f}) + {a.vocabulary:,} words x {h}, {tied} + norms; {name}"
    yield Figure(group="model", name="parameters", value=a.parameters, unit="parameters", formula=formula)
    formula = "what every token is multiplied by: layers and output layer"
    yield Figure(
        group="model", name="of them in matrices", value=a.matrix_parameters, unit="parameters", formula=formula
    )


def _gpus(
    a: Architecture, config: Config, hardware: Hardware, row: int, example: int, parallel: int
) -> Iterator[Figure]:
    if not hardware.gpus:
        return
    t, arms = config.train, _arms(config)
    least = memory.least_ranks(a, t, hardware, example)
    together = f"{counted(arms, 'arm')} at one time: {arms * t.ranks}"
    formula = f"train.ranks, one each; it fits from {least or 'none'} on; {together}"
    yield Figure(group="training memory", name="GPUs for training", value=t.ranks, unit="GPUs", formula=formula)
    least = memory.least_parallel(a, config, hardware, row)
    formula = f"as the recipe says, or the fewest that do; it fits from {least or 'more than a node has'} on"
    yield Figure(group="serving memory", name="GPUs for serving", value=parallel, unit="GPUs", formula=formula)


def _work(config: Config, done: Work) -> Iterator[Figure]:
    def figure(name: str, value: float, unit: str, formula: str) -> Figure:
        return Figure(group="work", name=name, value=value, unit=unit, formula=formula)

    n, m, k, arms, rounds = done.problems, len(config.methods), config.sampling.k, _arms(config), config.loop.rounds
    for role in ("train", "heldout", "annotated", *(["unlabelled"] if n["unlabelled"] else [])):
        yield figure(f"problems, {role}", n[role], "problems", "counted: the recipe's sources, cleaned as in the run")
    each = f"{counted(len(rounds_of(config, SELF)), 'round')} x {n['train'] + n['unlabelled']:,} problems x {m} methods"
    yield figure("samples to learn from", done.samples["train"], "samples", f"{each} x {k}")
    drawn = 1 + config.evaluate.k
    some = any(source.methods for source in (*config.problems.test, *config.problems.related))
    by = "the methods of each" if some else f"{m} methods"
    formula = f"(base + {rounds} x {counted(arms, 'arm')}) x {n['heldout']:,} problems x {by} x {drawn}"
    yield figure("samples held out", done.samples["heldout"], "samples", formula)
    for name, own in done.teachers.items():
        teacher = config.teachers[name]
        formula = f"in {counted(len(rounds_of(config, name)), 'round')}, translations too; by its own k and prompt"
        yield figure(f"samples by {name}", sum(own.samples.values()), "samples", formula)
        limit = f"; a stage stops at {teacher.most_tokens:,} (most_tokens)" if teacher.most_tokens else ""
        formula = f"its samples x tokens of a completion{limit}"
        yield figure(f"tokens written by {name}", sum(own.tokens.values()), "tokens", formula)
        yield figure(f"tokens read by {name}", sum(own.prompt_tokens.values()), "tokens", "its prompts, once a request")
    t, tr = config.translate, config.train
    into = f"{counted(m - 1, 'other')} x {counted(t.sources, 'source')} x {t.n}"
    formula = f"{each} x {into} x {done.solved:.0%} solved (assumed; at most all)"
    yield figure("translations", done.samples["translate"], "samples", formula)
    yield figure("samples in all", sum(done.samples.values()), "samples", "their sum")
    for name, typical in done.typical.items():
        source = (
            f"mean of {typical.annotated:,} annotated solutions" if typical.annotated else "half of max_tokens, assumed"
        )
        yield figure(f"tokens of a completion, {name}", typical.tokens, "tokens", f"{source}, with the end token")
    yield figure("tokens written", sum(done.tokens.values()), "tokens", "samples x tokens of a completion, by method")
    formula = "prompts as the run makes them, each read once for all its completions"
    yield figure("tokens read", sum(done.prompt_tokens.values()), "tokens", formula)
    steps = " x ".join(counted(n, noun) for n, noun in ((rounds, "round"), (arms, "arm"), (tr.steps, "step")))
    yield figure("tokens trained on", _batches(config), "tokens", f"{steps} x {tr.batch_tokens:,} tokens, at most")
    formula = "samples of methods that are programs; at most, since identical ones run once"
    yield figure("programs to check", sum(done.programs.values()), "programs", formula)


def _batches(config: Config) -> int:
    t = config.train
    return config.loop.rounds * _arms(config) * t.steps * t.batch_tokens


def _time(
    a: Architecture, config: Config, hardware: Hardware, done: Work, parallel: int, teachers: Mapping[str, Asked]
) -> Iterator[Figure]:
    def figure(name: str, value: float, formula: str, unit: str = "s") -> Figure:
        return Figure(group="time", name=name, value=value, unit=unit, formula=formula)

    rounds, arms = config.loop.rounds, _arms(config)
    speeds = [
        *_sampling_speeds("", a, config, hardware, done, parallel),
        ("training", float(_batches(config)), time.train(a, config, hardware)),
    ]
    for name, t in teachers.items():
        speeds += _sampling_speeds(f", {name}", t.shape, t.seen, hardware, t.done, t.parallel)
    took = {}
    for name, tokens, speed in speeds:
        took[name] = tokens / speed.rate
        yield figure(name, took[name], f"{tokens:,.0f} tokens / {speed.rate:,.0f} tokens/s = {speed.formula}")
    check = sum(done.programs.values()) * hardware.check_s
    workers = (
        config.cluster.checkers if config.check.sandbox == "gvisor_job" else config.check.workers or hardware.cores
    )
    took["checking"] = check / workers
    formula = f"programs x {hardware.check_s:g} core-s; at most x {config.check.timeout:g} s, were all to time out"
    yield figure("core-hours of checking", check / 3600, formula, "core-hours")
    yield figure("checking", took["checking"], f"{check:,.1f} core-s / {workers} at once")
    if hardware.measured:
        written = sum(len(rounds_of(config, name)) for name in (SELF, *teachers))
        stages = 1 + 2 * rounds * arms + 2 * written
        took["starting"] = stages * hardware.measured.start_s
        yield figure("starting", took["starting"], f"{stages} stages with a model x {hardware.measured.start_s:g} s")
    yield figure(
        "in all", sum(took.values()), "their sum: stage after stage, arm after arm; without the pipeline's own"
    )
    if hardware.gpus:
        on = {"": parallel, **{f", {name}": t.parallel for name, t in teachers.items()}}
        sampling = sum((took[f"reading prompts{who}"] + took[f"writing completions{who}"]) * n for who, n in on.items())
        gpu = sampling + took["training"] * config.train.ranks
        formula = f"sampling x {' + x '.join(map(str, on.values()))} + training x {config.train.ranks}"
        yield figure("GPU-hours", gpu / 3600, formula, "GPU-hours")


def _sampling_speeds(
    who: str, a: Architecture, config: Config, hardware: Hardware, done: Work, parallel: int
) -> list[tuple[str, float, time.Speed]]:
    """What is read and written, in tokens, and how fast."""
    read, written, samples, requests = (
        sum(d.values()) for d in (done.prompt_tokens, done.tokens, done.samples, done.requests)
    )
    length = read / requests + written / samples
    rows = max(1, memory.rows_at_once(a, config, hardware, done.longest, parallel))
    return [
        (f"reading prompts{who}", read, time.prefill(a, hardware, parallel)),
        (f"writing completions{who}", written, time.decode(a, config, hardware, parallel, rows, length)),
    ]


def _storage(a: Architecture, config: Config, model: Model, done: Work) -> Iterator[Figure]:
    def figure(name: str, value: float, formula: str) -> Figure:
        return Figure(group="storage", name=name, value=value, unit="B", formula=formula)

    rounds, arms = config.loop.rounds, _arms(config)
    records = sum(done.bytes.values())
    formula = ", ".join(f"{stage} {shown(done.bytes[stage], 'B')}" for stage in sorted(done.bytes))
    yield figure("records", records, f"the run's own records with typical completions: {formula}")
    base = model.weights_bytes + model.other_bytes
    copied = base if base < COPY_BELOW else 0
    formula = (
        "its files, copied"
        if copied
        else f"used where it is, by reference (not here, or above {shown(COPY_BELOW, 'B')})"
    )
    yield figure("base model", copied, formula)
    one = base or memory.SIZES[config.model.dtype] * a.parameters
    formula = f"{counted(rounds, 'round')} x {counted(arms, 'arm')} x {shown(one, 'B')}, in the base model's dtype"
    yield figure("checkpoints", rounds * arms * one, formula)
    yield figure(
        "in the store", records + copied + rounds * arms * one, "their sum; manifests, logs and pages are small"
    )
    formula = f"the registry's own copies: base + a champion a round at most, {rounds} x {shown(one, 'B')}"
    yield figure("registry", base + rounds * one, formula)
    t = config.train
    if t.steps > t.checkpoint_every:
        trained = memory.lora_parameters(a, t) if t.lora_rank else a.parameters
        each = 12 + (memory.compute_size(t) if t.zero_stage in (1, 2) else 0)
        formula = f"{KEEP + 1} x {each} B x {trained:,} trained (kept, and one being written), + the export"
        yield figure("training volume", (KEEP + 1) * each * trained + one, formula + "; per arm, emptied at its end")


def _money(times: list[Figure], hardware: Hardware, price: float) -> Iterator[Figure]:
    if not price:
        return
    values = {f.name: f.value for f in times}
    if hardware.gpus:
        hours = values["GPU-hours"] / hardware.gpus
        formula = f"{values['GPU-hours']:,.1f} GPU-hours / {hardware.gpus} per node x {price:g} per node-hour"
    else:
        hours = values["in all"] / 3600
        formula = f"{hours:,.3f} h x {price:g} per node-hour"
    yield Figure(group="money", name="computing", value=hours * price, unit=hardware.currency, formula=formula)
