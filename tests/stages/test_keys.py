"""What a stage's key says is what its output depends on: every option of a recipe is varied, and every stage is run."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mmst import recipes
from mmst.core import plugins
from mmst.core.config import Config, Source, override, parse, run_id
from mmst.core.errors import ConfigError, MmstError
from mmst.core.manifest import Manifest, Place
from mmst.core.options import section_kind
from mmst.core.ports import Completion, Execution, Limits, Message, Program, Request, TrainSpec
from mmst.core.records import Problem, Sample, digest, to_data, to_json
from mmst.core.stored import records
from mmst.inference.providers.recorded import Recorded
from mmst.models import trusted
from mmst.stages import STEPS, stage
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes, Oracle
from tests.support.promotion import LightRegistry


class World(Fakes):
    """Engines whose answers depend on all that real ones' depend on, and on nothing else."""

    def __init__(self, config: Config, folder: Path) -> None:
        super().__init__(config, FolderStore(folder))
        self.gold: dict[str, str] = {}
        self.made = LightRegistry(folder / "registry.json")

    @contextlib.contextmanager
    def sampler(self, checkpoint: Manifest, *, recorded: bool = False) -> Iterator[Any]:
        yield Recorded(Path(self.config.sampling.recorded), self.config.filed) if recorded else self

    def sample(
        self, requests: Sequence[Request], on_done: object = None, on_tokens: object = None
    ) -> list[list[Completion]]:
        return [[self.completion(r, j) for j in range(r.n)] for r in requests]

    def completion(self, r: Request, j: int) -> Completion:
        m = self.config.model
        said = digest([r.prompt, r.seed, j, r.temperature, r.top_p, r.max_tokens, r.stop, m.dtype, trusted(m)])
        answer = self.gold[r.question] if int(said[7:9], 16) % 2 else said[7:11]
        text = f"print({answer})  # {said}" if r.method == "code" else f"{said[9:]}\nThe answer is {answer}"
        return Completion(text=text, finish="stop", prompt_tokens=5, tokens=len(text))

    def renderer(self, checkpoint: Manifest) -> Callable[[Sequence[Message]], str]:
        return lambda messages: json.dumps([dict(m) for m in messages])

    def sandbox(self) -> Any:
        return contextlib.nullcontext(Box(self.config.check.packages))

    def algebra(self) -> Any:
        return contextlib.nullcontext(Oracle())

    def trainer(self) -> Any:
        return self

    def train(self, spec: TrainSpec, on_step: object = None) -> Mapping[str, float]:
        seen = Path(spec.examples).read_text()
        Path(spec.out).mkdir(exist_ok=True)
        made = digest([seen, spec.seed, spec.settings, spec.trust_remote_code])
        (Path(spec.out) / "model.safetensors").write_text(made)
        return {"loss": int(made[7:11], 16) / 7, "tokens": len(seen), "steps": 3, "dropped": 0, "threads": 1}

    def registry(self) -> Any:
        return self.made


class Box:
    name = "box"

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = packages

    def run(self, programs: Iterable[Program], limits: Limits) -> Iterator[Execution]:
        for p in programs:
            how = digest([p.source, to_data(limits), self.packages])
            ok = int(how[7:9], 16) % 4 > 0
            out = p.source.partition("(")[2].partition(")")[0] if ok else ""
            yield Execution(id=p.id, exit_status="ok" if ok else "crashed", stdout=out, stderr="", detail=how)


Outputs = dict[tuple[str, str], set[str]]
"""By stage and key, the digests of what was made under it."""


def run_all(config: Config, folder: Path, made: Outputs) -> dict[str, str]:
    """Every step of one round; the keys. What cannot be gone on with ends it, as a run would."""
    world, keys, refs = World(config, folder), dict[str, str](), dict[str, Manifest]()

    def step(name: str, **inputs: str) -> None:
        first = name in ("prepare", "base_model")
        at = Place(run="r", round=0 if first else 1, arm="base" if first else config.loop.arm, step=name)
        declared = stage(name)
        found = declared.run(world, at, {kind: refs[ref] for kind, ref in inputs.items()})
        written: list[Any] = []
        for prefix, kind in declared.writes.items():
            of: type[Any] = kind
            written += records(world.store, found, of, f"{prefix}-")
        assert len(written) == sum(e.records for e in found.files), "every shard holds what is declared"
        shards = [world.store.read(f"{found.ref}/{e.name}") for e in found.files if e.name.endswith(".jsonl")]
        keys[name], refs[name] = found.key, found
        made[found.stage, found.key].add(digest([found.digest, [s.decode() for s in shards if s is not None]]))

    with contextlib.suppress(MmstError):
        step("prepare")
        world.gold = {p.question: p.answer or "7" for p in records(world.store, refs["prepare"], Problem)}
        step("base_model")
        p = {"problems": "prepare"}
        step("sample", **p, checkpoint="base_model")
        step("verify", **p, samples="sample")
        step("label", **p, checked="verify")
        step("measure_labels", labels="label")
        step("translate", problems="label", checked="label", checkpoint="base_model")
        step("verify-translations", problems="label", samples="translate")
        step("build_trainset", **p, checked="label", translated="verify-translations", checkpoint="base_model")
        step("enough", trainset="build_trainset")
        step("train", trainset="build_trainset", checkpoint="base_model")
        step("sample-heldout", **p, checkpoint="train")
        step("verify-heldout", **p, samples="sample-heldout")
        step("evaluate", **p, checked="verify-heldout", checkpoint="train")
        step("promote", evaluation="evaluate", checkpoint="train")
        step("another", promotion="promote", checkpoint="train")
    return keys


SOURCE = {"format": "generated", "count": 5}
STEPS_FILE: dict[str, Any] = {
    "name": "steps",
    "answer": "stated",
    "phrasings": 3 * [{"heading": "Steps:", "instruction": "Go step by step.", "translation": "Rewrite it in steps."}],
}
BASE = {
    "problems": {
        "train": [SOURCE | {"seed": 1}],
        "test": [SOURCE | {"seed": 2, "count": 3}],
        "related": [SOURCE | {"task": "related", "count": 2}],
        "annotated": [SOURCE | {"seed": 3}],
        "unlabelled": [SOURCE | {"seed": 4}],
    },
    "label": {"least": 0.5},
    "prompt": {"style": "few-shot"},
    "sampling": {"k": 2, "shard": 2, "url": "http://x"},
    "evaluate": {"k": 1},
    "train": {"steps": 2, "batch_tokens": 64, "lora_rank": 2, "zero": 2},
    "loop": {"min_new": 0},
}
SPECIAL: dict[str, list[Any]] = {
    "methods": [["code", "text"], ["text", "steps"]],
    "method_files": [[STEPS_FILE | {"shots": [["How many are 3 and 5?", "The answer is 8"]]}]],
    "model.trust_remote_code": ["BASE"],
    "problems.train": [[SOURCE | {"seed": 9}]],
    "problems.test": [[SOURCE | {"seed": 9}]],
    "problems.related": [[]],
    "problems.annotated": [[]],
    "problems.unlabelled": [[SOURCE | {"seed": 9}]],
    "prompt.stop": [["###"], []],
    "check.packages": [["numpy"]],
    "train.lora_targets": [["q"]],
    "trainset.prompts": [["instruct"]],
    "arms": [{"mine": {"methods": ["text"]}}],
    "loop.arm": ["no-translation"],
    "loop.controls": [["annotated-only"]],
    "sampling.api_key_env": ["KEY"],
    "sampling.url": ["http://elsewhere"],
    "teachers": [{"big": {"base": "mmst:tiny"}}],
    "sampling.backend": plugins.names(plugins.SAMPLERS),
    "check.sandbox": plugins.names(plugins.SANDBOXES),
}
"""Options whose other values cannot be guessed."""


def options(kind: Any = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every option of a recipe by its path, with its field; what only says where pods run is one room of its own."""
    hints = typing.get_type_hints(kind)
    for f in dataclasses.fields(kind):
        if f.name == "cluster" and not prefix:
            continue
        if inner := section_kind(hints[f.name]):
            yield from options(inner, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f


def choices(path: str) -> tuple[Any, ...]:
    """The values of an option that has a list of them."""
    *sections, name = path.split(".")
    kind: Any = Config
    for section in sections:
        kind = section_kind(typing.get_type_hints(kind)[section])
    hint = typing.get_type_hints(kind)[name]
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def others(path: str, now: Any) -> Iterator[Any]:
    """Values of an option that are not what it is now; the recipe may refuse some."""
    yield from (value for value in SPECIAL.get(path, ()) if value != now)
    yield from (c for c in choices(path) if c != now)
    if isinstance(now, bool):
        yield not now
    elif isinstance(now, (int, float)):
        yield from (now + 1, now * 0.5, now - 0.25)
    elif isinstance(now, str):
        yield "other"


def varied(base: dict[str, Any]) -> Iterator[tuple[str, Config]]:
    """The recipe with each option changed in turn."""
    for path, _ in options():
        now: Any = parse(base)
        for name in path.split("."):
            now = getattr(now, name)
        found = 0
        beside: dict[str, Any] = {"problems.unlabelled": [], "label": None} if path == "teachers" else {}
        for value in others(path, now):
            with contextlib.suppress(ConfigError):
                new = {path: base["model"]["base"] if value == "BASE" else value}
                yield path, parse(override(base, {**new, **beside}))
                found += 1
        assert found, f"no other value of {path} is known"


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    """A recipe, with a model folder and a file of recorded completions."""
    for name in ("model", "the same, elsewhere"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "tokenizer.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    lines = [
        {
            "question": p.question,
            "method": m,
            "completion": f"print({p.answer})" if m == "code" else f"It is {p.answer}",
        }
        for p in _problems()
        for m in ("text", "code")
    ]
    recorded = tmp_path / "recorded.jsonl"
    recorded.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "other").write_text(json.dumps(lines[0]) + "\n")
    settings = {"model.base": str(tmp_path / "model"), "sampling.recorded": str(recorded)}
    return override(BASE, settings)


def _problems() -> Sequence[Problem]:
    from mmst.datasets import load

    return list(load(Source(format="generated", count=5, seed=1)))


FROM_OUTSIDE = ("method_files", "near", "shown", "demonstrations")


@pytest.mark.parametrize("step", STEPS)
def test_without_method_files_and_demonstrations_a_key_is_what_it_was_before_there_were_any(
    step: str, base: dict[str, Any]
) -> None:
    with contextlib.suppress(NotImplementedError, ConfigError):  # a server's model is of no use here
        config = parse(base)
        declared = stage(step)
        settings = declared.settings(config, Place(run="r", round=1, arm="mmst", step=step))
        key = json.dumps(to_data(declared.key(settings, config)))
        assert [name for name in FROM_OUTSIDE if f'"{name}"' in key] == []


def test_a_method_file_is_in_the_keys_of_what_it_can_change(
    base: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    made: Outputs = defaultdict(set)
    filed = override(base, {"methods": ["text", "steps"], "method_files": [STEPS_FILE]})
    shots = [["How many are 3 and 5?", "The answer is 8"]]
    changed = override(filed, {"method_files": [STEPS_FILE | {"shots": shots}]})
    one, other = (run_all(parse(c), tmp_path / name, made) for c, name in ((filed, "first"), (changed, "second")))
    same = {step for step in one if one[step] == other[step]}
    assert same == {"base_model"}
    unused = override(filed, {"method_files": [STEPS_FILE, STEPS_FILE | {"name": "unused"}]})
    assert run_all(parse(unused), tmp_path / "unused", made) == one


@pytest.mark.parametrize("backend", ["local", "recorded"])
def test_no_two_settings_that_give_different_output_share_a_key(
    backend: str, base: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = override(base, {"methods": ["text", "code", "steps"], "method_files": [STEPS_FILE]})
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # hundreds of small stores that nobody needs after a power cut
    base = override(base, {"sampling.backend": backend})
    made: Outputs = defaultdict(set)
    numbers = itertools.count()
    whole = run_all(parse(base), tmp_path / f"{next(numbers)}", made)
    assert whole.keys() == STEPS.keys() - {"report", "ended", "served_model"}
    moved = override(base, {"model.base": str(tmp_path / "the same, elsewhere")})
    assert run_all(parse(moved), tmp_path / f"{next(numbers)}", made) == whole
    for path, config in varied(base):
        keys = run_all(config, tmp_path / f"{next(numbers)}", made)
        different = {key: len(found) for key, found in made.items() if len(found) > 1}
        assert different == {}, f"{path}: one key, and these many outputs"
        if not _affects(path) and (config.sampling.backend == "recorded") == (backend == "recorded"):
            assert keys == whole, f"{path} is said to change nothing"


def _affects(path: str) -> bool:
    return bool(dict(options())[path].metadata["affects"])


def test_answers_that_are_kept_aside_change_only_what_is_measured(base: dict[str, Any], tmp_path: Path) -> None:
    file, made, keys = tmp_path / "unlabelled.jsonl", defaultdict[tuple[str, str], set[str]](set), list[Any]()
    settings = {"problems.unlabelled": [{"format": "jsonl", "path": str(file)}], "sampling.k": 8}
    for i, answer in enumerate(({}, {"answer": "7"}, {"answer": "8"})):
        file.write_text("".join(json.dumps({"question": p.question} | answer) + "\n" for p in _problems()[:4]))
        keys.append(run_all(parse(override(base, {**settings, "problems.train": []})), tmp_path / f"{i}", made))
    assert keys[0].keys() == STEPS.keys() - {"report", "ended", "served_model"}
    assert {step for step in keys[0] for other in keys[1:] if other[step] != keys[0][step]} == {"measure_labels"}
    assert {len(found) for found in made.values()} == {1}


def test_of_recorded_completions_nothing_is_said_to_have_been_drawn(base: dict[str, Any], tmp_path: Path) -> None:
    recorded = override(base, {"sampling.backend": "recorded"})
    made: Outputs = defaultdict(set)
    changes: list[dict[str, Any]] = [{}, {"sampling.temperature": 0.1}, {"sampling.seed": 7}]
    keys = [run_all(parse(override(recorded, c)), tmp_path / f"{i}", made)["sample"] for i, c in enumerate(changes)]
    assert len(set(keys)) == 1
    assert len(made["sample", keys[0]]) == 1


def test_what_a_stage_reads_another_one_writes() -> None:
    stages = [stage(step) for step in STEPS]
    written = {kind for declared in stages for kind in declared.writes.values()}
    assert {read.record for declared in stages for read in declared.reads().values()} - {None} <= written


@pytest.mark.parametrize("step", STEPS)
def test_the_work_of_a_stage_is_not_shown_the_recipe(step: str) -> None:
    declared = stage(step)
    hints = typing.get_type_hints(declared.work)
    assert not {Config, type(parse({}))} & set(hints.values())
    assert hints["job"].__args__[0] is not Config


KEYS = {
    "prepare": "085ea04d15143c97",
    "base_model": "2857ab575fc12035",
    "sample": "76c9e4d0ed73a34e",
    "verify": "f99d2164c1f63d66",
    "translate": "38fbbe2616ae4d69",
    "build_trainset": "470183a3b2068e5b",
    "enough": "cbec4368f550752e",
    "train": "ecb215978d3a46f4",
    "sample-heldout": "fa65bc1a2180582a",
    "evaluate": "fdf902cf567cbd2a",
    "promote": "60afb62c470becae",
}
"""Of the demo, by step: the hash of what its settings put into the key, whatever its version."""


@pytest.mark.parametrize("step", KEYS)
def test_a_recipe_without_teachers_has_the_keys_that_it_had_before_there_were_any(step: str) -> None:
    config = recipes.load("demo")
    declared = stage(step)
    settings = declared.settings(config, Place(run="r", round=1, arm="mmst", step=step))
    assert digest(declared.key(settings, config))[7:23] == KEYS[step]


def test_a_recipe_without_teachers_has_the_run_that_it_had() -> None:
    assert run_id(recipes.load("demo")) == "demo-edcd7c6a"


def test_a_sample_of_the_model_itself_has_the_bytes_that_it_had() -> None:
    own = Sample(
        id="s-1",
        problem_id="p-1",
        method="code",
        index=0,
        prompt="",
        completion="",
        finish="stop",
        prompt_tokens=1,
        tokens=1,
        seed=1,
        model="m",
    )
    assert digest(to_json(own))[7:23] == "003a25359981e0ef"
