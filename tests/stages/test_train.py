"""The order in which examples are seen, and what becomes of a trainer's folder."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core.config import parse
from mmst.core.errors import ModelError, TrainingError, UserError
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import TrainSpec
from mmst.core.records import Example, from_json
from mmst.core.results import Trained
from mmst.core.results import Trainset as Chosen
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import losses
from mmst.core.weights import checkpoint_folder
from mmst.stages import train
from mmst.stages.train import annotated_share, enough, epochs, order
from mmst.storage.folder import FolderStore
from tests.support.fakes import Fakes

PLACE = Place(run="r", round=1, arm="mmst", step="train")


def example(n: int, origin: str = "own") -> Example:
    return Example(problem_id=f"p-{n}", method="code", prompt="What is it ?", completion=f"print({n})", origin=origin)


@given(st.floats(0, 1), st.integers(1, 200))
def test_any_stretch_has_the_share_of_annotated_examples(share: float, length: int) -> None:
    seen = list(itertools.islice(order(["new"], ["seed"], share, 1), length))
    assert abs(seen.count("seed") - share * length) <= 1


def test_every_example_is_seen_once_before_any_is_seen_again() -> None:
    seen = list(itertools.islice(epochs(range(10), seed=3), 30))
    assert [sorted(seen[i : i + 10]) for i in (0, 10, 20)] == [list(range(10))] * 3
    assert seen[:10] != seen[10:20]


def test_the_order_depends_on_the_seed_alone() -> None:
    first, again, other = (list(itertools.islice(order(range(9), range(9, 20), 0.5, s), 50)) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("new", "annotated", "wanted", "arm", "share"),
    [(5, 5, 0.3, "mmst", 0.3), (0, 5, 0.3, "mmst", 1.0), (5, 0, 0.3, "mmst", 0.0), (5, 5, 0.3, "annotated-only", 1.0)],
)
def test_the_share_of_annotated_examples_follows_from_what_there_is(
    new: int, annotated: Any, wanted: float, arm: str, share: float
) -> None:
    assert annotated_share(new, annotated, wanted, Chosen(arm=arm)) == share


@pytest.mark.parametrize(
    ("new", "annotated", "wanted", "arm"), [(0, 0, 0.5, "mmst"), (5, 0, 0.5, "annotated-only"), (0, 5, 0.0, "mmst")]
)
def test_nothing_to_train_on_is_said_with_a_remedy(new: int, annotated: Any, wanted: float, arm: str) -> None:
    with pytest.raises(UserError, match=r"nothing to train on.*Remedy"):
        annotated_share(new, annotated, wanted, Chosen(arm=arm))


def test_an_arm_says_itself_what_becomes_of_annotated_examples() -> None:
    shares = [annotated_share(5, 5, 0.3, Chosen(arm="mine", annotated=said)) for said in ("", "only", "none")]
    assert shares == [0.3, 1.0, 0.0]


def test_enough_examples_for_the_steps_are_laid_out() -> None:
    assert len(list(enough(itertools.repeat(example(1)), 60))) == 12  # 4 words and the end token each


# --- the stage ----------------------------------------------------------------------------------


OnStep = Callable[[int, float], None]


class Trainer:
    """Writes a folder and keeps the specification and the examples that it was given."""

    files: tuple[str, ...] = ("model.safetensors",)

    def train(self, spec: TrainSpec, on_step: OnStep = lambda step, loss: None) -> dict[str, float]:
        self.spec = spec
        self.seen = [from_json(Example, line) for line in Path(spec.examples).read_bytes().splitlines()]
        for name in self.files:
            (Path(spec.out) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(spec.out) / name).write_bytes(b"weights")
        on_step(3, 0.5)
        return {"loss": 0.5, "tokens": 99, "steps": 3, "dropped": 0, "threads": 2}


class Engines(Fakes):
    def __init__(self, folder: Path) -> None:
        super().__init__(parse({"train": {"steps": 3, "batch_tokens": 64}}), FolderStore(folder))
        self.made = Trainer()

    def trainer(self) -> Trainer:
        return self.made

    def stage(self, name: str, arm: str = "mmst", **shards: list[Example]) -> Manifest:
        stage = StageFolder.open(self.store, name, version=1, config=[arm, sorted(shards)], inputs={})
        for shard, content in shards.items():
            stage.write_records(f"{shard}-00000.jsonl", content)
        return stage.finish(shards=[f"{s}-00000.jsonl" for s in shards], facts={"arm": arm})

    def train(self, arm: str = "mmst", **shards: list[Example]) -> Manifest:
        trainset = self.stage("build_trainset", arm, **shards)
        return train.Train().run(self, PLACE, {"trainset": trainset, "checkpoint": self.stage("base")})


def test_the_stage_is_the_folder_that_the_trainer_wrote(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    made = engines.train(new=[example(1)], annotated=[example(2, "annotated")])
    assert (checkpoint_folder(engines.store, made) / "model.safetensors").read_bytes() == b"weights"
    assert made.result(Trained) == Trained(arm="mmst", loss=0.5, tokens=99, steps=3, dropped=0, threads=2)
    assert not Path(engines.made.spec.scratch).exists()


def test_the_losses_of_a_stopped_training_and_the_one_that_continues_it_are_kept(tmp_path: Path) -> None:
    class Stopping(Trainer):
        """Is killed after step 4, and goes on from its checkpoint of step 2."""

        tries = 0

        def train(self, spec: TrainSpec, on_step: OnStep = lambda step, loss: None) -> dict[str, float]:
            self.tries += 1
            for step in range(1, 5) if self.tries == 1 else range(3, 7):
                on_step(step, step / 10 + self.tries)
            if self.tries == 1:
                raise TrainingError("killed")
            return super().train(spec)

    engines = Engines(tmp_path)
    engines.made = Stopping()
    with pytest.raises(TrainingError):
        engines.train(new=[example(1)])
    made = engines.train(new=[example(1)])
    assert losses(engines.store, made.ref) == {1: 1.1, 2: 1.2, 3: 2.3, 4: 2.4, 5: 2.5, 6: 2.6}
    assert not any("losses" in entry.name for entry in made.files)


ADAPTER = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")


def test_an_adapter_is_stored_beside_the_checkpoint(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    engines.made.files = ("model.safetensors", *ADAPTER)
    made = engines.train(new=[example(1)])
    assert (checkpoint_folder(engines.store, made) / ADAPTER[1]).read_bytes() == b"weights"


def test_an_adapter_alone_is_no_checkpoint(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    engines.made.files = ADAPTER
    made = engines.train(new=[example(1)])
    with pytest.raises(ModelError, match=r"holds a LoRA adapter alone.*Remedy: train with train\.export=both"):
        checkpoint_folder(engines.store, made)


def test_seed_only_sees_no_new_example(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    engines.train("annotated-only", new=[example(1)], annotated=[example(2, "annotated")])
    assert Counter(e.origin for e in engines.made.seen).keys() == {"annotated"}


def test_a_complete_stage_is_not_trained_again(tmp_path: Path) -> None:
    first, second = Engines(tmp_path), Engines(tmp_path)
    assert second.train(new=[example(1)]) == first.train(new=[example(1)])
    assert not hasattr(first.made, "spec")


def test_two_runs_that_come_to_the_same_stage_at_once_train_it_once(tmp_path: Path) -> None:
    """The second must neither write into the first's scratch folder nor find it cleared away in the middle."""
    both, calls = threading.Barrier(2), []

    class Slow(Trainer):
        def train(self, spec: TrainSpec, on_step: OnStep = lambda step, loss: None) -> dict[str, float]:
            calls.append(spec)
            time.sleep(0.3)
            return super().train(spec, on_step)

    def one(_: int) -> Manifest:
        engines = Engines(tmp_path)
        engines.made = Slow()
        both.wait()
        return engines.train(new=[example(1)])

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, range(2))
    assert first == second
    assert len(calls) == 1
    assert not Path(calls[0].scratch).exists()


def test_an_empty_training_set_fails_before_the_trainer_is_asked(tmp_path: Path) -> None:
    engines = Engines(tmp_path)
    with pytest.raises(UserError, match="nothing to train on"):
        engines.train()
    assert not hasattr(engines.made, "spec")


@pytest.mark.parametrize(("rank", "same"), [(0, True), (8, False)])
@pytest.mark.parametrize("option", [{"lora_alpha": 3.0}, {"lora_targets": ["q_proj"]}])
def test_settings_of_lora_are_in_the_key_where_there_is_lora(rank: int, same: bool, option: dict[str, Any]) -> None:
    def key(**settings: Any) -> dict[str, Any]:
        config, place = (
            parse({"train": {"lora_rank": rank, **settings}}),
            Place(run="r", round=1, arm="a", step="train"),
        )
        return train.Train().key(train.Train().settings(config, place), config)

    assert (key(**option) == key()) is same


def test_the_key_names_what_is_kept_and_offloaded_only_where_it_is_not_the_usual() -> None:
    def train_of(**settings: Any) -> set[str]:
        place = Place(run="r", round=1, arm="a", step="train")
        config = parse({"train": {"lora_rank": 8, "zero": 2, **settings}})
        found: dict[str, Any] = train.Train().key(train.Train().settings(config, place), config)["train"]
        return set(found)

    assert train_of(export="both", offload="optimizer") - train_of() == {"export", "offload"}
