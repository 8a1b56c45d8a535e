"""What the tests of evaluation and promotion share: small held-out sets, checkpoints, a light registry."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmst.core.config import Config, override, parse
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Progress, Registry, Store
from mmst.core.provenance import Provenance
from mmst.core.records import CheckedSample, Problem, Sample, Split, Verdict, short_id, to_data
from mmst.core.stage_folder import StageFolder
from mmst.observe.progress import Quiet
from mmst.stages.evaluate import Evaluate
from mmst.stages.promote import Promote
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes


@dataclass
class World(Fakes):
    """`ports.Engines` as far as evaluation and promotion use them."""

    store: Store
    config: Config
    made: Registry | None = None
    progress: Progress = field(default_factory=Quiet)
    run: str = "test-run"

    @property
    def provenance(self) -> Provenance:
        return replace(Provenance.of(self.config), run=self.run)

    def registry(self) -> Registry:
        assert self.made is not None, "this test has no registry"
        return self.made


def engines(folder: Path, registry: Registry | None = None, **settings: Any) -> Any:
    config = parse(override({}, {k.replace("__", "."): v for k, v in settings.items()}))
    return World(FolderStore(folder), config, registry)


def place(step: str = "evaluate", round: int = 1, arm: str = "mmst") -> Place:
    return Place(run="test-run", round=round, arm=arm, step=step)


def problem(n: int, task: str = "main") -> Problem:
    question = f"{task}: what is {n} + 1?"
    return Problem(
        id=short_id("p", question),
        question=question,
        answer=str(n + 1),
        source="test",
        split=Split.TEST,
        task=task,
        family=f"f{n % 2}",
    )


def prepared(store: Store, **parts: Iterable[Problem]) -> Manifest:
    """A problems manifest; parts are `heldout`, `train`, `annotated`."""
    lists = {name: list(listed) for name, listed in parts.items()}
    stage = StageFolder.open(
        store, "prepare", version=1, config={k: [p.id for p in v] for k, v in lists.items()}, inputs={}
    )
    if stage.manifest is not None:
        return stage.manifest
    shards = [f"{name}-00000.jsonl" for name in lists]
    for shard, listed in zip(shards, lists.values(), strict=True):
        stage.write_records(shard, listed)
    return stage.finish(shards=shards)


def checkpoint(store: Store, name: str, files: Mapping[str, bytes] | None = None) -> Manifest:
    stage = StageFolder.open(store, "train", version=1, config={"name": name}, inputs={})
    files = files or {"weights.bin": name.encode()}
    if stage.manifest is None:
        for file, data in files.items():
            stage.write(file, data)
        stage.finish(shards=list(files))
    assert stage.manifest is not None
    return stage.manifest


Passes = Callable[[Problem, str, int], bool]
"""Whether the sample of a problem by a method with an index passes."""


def checked(
    store: Store, problems: Sequence[Problem], model: Manifest, passes: Passes, methods: Sequence[str], k: int = 0
) -> Manifest:
    samples = [
        CheckedSample(
            sample=Sample(
                id=short_id("s", p.id, method, i, model.digest),
                problem_id=p.id,
                method=method,
                index=i,
                prompt="",
                completion="",
                finish="stop",
                prompt_tokens=1,
                tokens=1,
                seed=i,
                model=model.digest,
            ),
            verdict=Verdict.PASSED if passes(p, method, i) else Verdict.WRONG,
            solution="",
            answer=p.answer if passes(p, method, i) else f"not {i}",
        )
        for p in problems
        for method in p.by(methods)
        for i in range(k + 1)
    ]
    stage = StageFolder.open(store, "verify", version=1, config=[[c.sample.id, c.verdict] for c in samples], inputs={})
    if stage.manifest is None:
        stage.write_records("shard-00000.jsonl", samples)
        stage.finish(shards=["shard-00000.jsonl"], counts={"samples": len(samples)})
    assert stage.manifest is not None
    return stage.manifest


def candidate(
    world: Any, name: str, passes: Passes, problems: Sequence[Problem], *, at: Place | None = None
) -> tuple[Manifest, Manifest]:
    """(checkpoint, evaluation) of a model that passes where `passes` says."""
    listed = prepared(world.store, heldout=problems)
    model = checkpoint(world.store, name)
    results = checked(world.store, problems, model, passes, world.config.methods, world.config.evaluate.k)
    return model, evaluated(world, listed, results, model, at)


def evaluated(world: Any, problems: Manifest, results: Manifest, model: Manifest, at: Place | None = None) -> Manifest:
    return Evaluate().run(world, at or place(), {"problems": problems, "checked": results, "checkpoint": model})


def promotion(
    world: Any, evaluation: Manifest, model: Manifest, controls: Mapping[str, Manifest] | None = None, at: Any = None
) -> Manifest:
    return Promote().run(world, at or place("promote"), {"evaluation": evaluation, "checkpoint": model}, controls or {})


class LightRegistry:
    """A registry in one JSON file: what promotion needs of MLflow, quick enough for hundreds of races."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log_round(self, run: str, round: int, **logged: Any) -> str:
        with self._data() as data:
            logged["data"] = [to_data(each) for each in logged["data"]]
            logged["artifacts"] = {name: raw.decode() for name, raw in logged["artifacts"].items()}
            data["rounds"][f"{run}/{round}"] = logged
        return run

    def register(self, name: str, source: Path | str, *, checkpoint: str, tags: Mapping[str, str], **_: Any) -> str:
        with self._data() as data:
            known = data["versions"]
            version = next((v for v, made in known.items() if made["checkpoint"] == checkpoint), str(len(known) + 1))
            tags = {**known.get(version, {}).get("tags", {}), **tags}
            known[version] = {
                "checkpoint": checkpoint,
                "tags": tags,
                "source": source if isinstance(source, str) else source.name,
            }
        return version

    def point(self, name: str, version: str) -> None:
        with self._data() as data:
            assert version in data["versions"]
            data["alias"] = version

    def read(self) -> dict[str, Any]:
        with self._data() as data:
            return data

    @contextmanager
    def _data(self) -> Iterator[dict[str, Any]]:
        with self.path.open("a+") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            f.seek(0)
            before = f.read()
            data = json.loads(before or '{"rounds": {}, "versions": {}, "alias": null}')
            yield data
            if (after := json.dumps(data)) != before:
                f.truncate(0)
                f.write(after)
