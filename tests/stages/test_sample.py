"""The sampling stage: what is asked for, what is stored, what a restart does."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mmst.core.config import Config, parse
from mmst.core.errors import ConfigError, SamplerError
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Completion, Message, Sampler, Store
from mmst.core.records import Problem, Sample
from mmst.core.stage_folder import StageFolder, shard_name
from mmst.core.stored import records
from mmst.datasets import make_problem
from mmst.inference.providers.recorded import Recorded
from mmst.observe.progress import Quiet
from mmst.stages import sample
from mmst.storage.folder import FolderStore
from tests.support.fakes import Echo, Fakes

STEPS = {"train": "sample", "heldout": "sample-heldout"}


@dataclasses.dataclass
class Here(Fakes):
    """Engines with a sampler of ours."""

    config: Config
    store: Store
    model: Any
    progress: Any = dataclasses.field(default_factory=Quiet)
    opened: int = 0

    @contextlib.contextmanager
    def sampler(self, checkpoint: Manifest, *, recorded: bool = False) -> Iterator[Sampler]:
        self.opened += 1
        yield Recorded(Path(self.config.sampling.recorded)) if recorded else self.model

    def renderer(self, checkpoint: Manifest) -> Callable[[Sequence[Message]], str]:
        return lambda messages: f"<{messages[0]['content']}>"


def engines(folder: Path, model: Any = None, *, prompt: str = "plain", **sampling: Any) -> Here:
    settings = {"sampling": {"k": 2, "shard": 2, **sampling}, "evaluate": {"k": 3}, "prompt": {"style": prompt}}
    return Here(parse(settings), FolderStore(folder), model or Echo())


def inputs(store: Store) -> tuple[Manifest, Manifest]:
    """Five training problems, one held-out problem, and a checkpoint."""
    stage = StageFolder.open(store, "problems", version=1, config={}, inputs={})
    made = [make_problem(f"What is {i} plus 3?", str(i + 3), "t") for i in range(6)]
    shards = {f"train-{shard_name(0)}": made[:3], f"train-{shard_name(1)}": made[3:5], "heldout-00000.jsonl": made[5:]}
    for name, part in shards.items():
        stage.write_records(name, part)
    problems = stage.finish(shards=shards)
    checkpoint = StageFolder.open(store, "base", version=1, config={}, inputs={}).finish()
    return problems, checkpoint


def run(here: Here, purpose: str = "train") -> Manifest:
    problems, checkpoint = inputs(here.store)
    return drawn(here, problems, checkpoint, purpose)


def drawn(here: Here, problems: Manifest, checkpoint: Manifest, purpose: str = "train") -> Manifest:
    place = Place(run="r", round=1, arm="mmst", step=STEPS[purpose])
    return sample.Sampling().run(here, place, {"problems": problems, "checkpoint": checkpoint})


def test_a_problem_is_asked_by_its_own_methods_alone(tmp_path: Path) -> None:
    settings = sample.Settings.of(parse({"evaluate": {"k": 1}}), "heldout")
    one, two = make_problem("What is 1 plus 3?", "4", "t"), make_problem("Is 1 less than 3?", "yes", "t")
    asked = list(sample.requests([one, dataclasses.replace(two, methods=("text",))], settings, None))
    assert [(ask.request.problem_id, ask.request.method) for ask in asked if ask.first == 0] == [
        (one.id, "text"), (one.id, "code"), (two.id, "text"),
    ]  # fmt: skip
    assert len(asked) == 6


def test_progress_begins_with_the_first_token(tmp_path: Path) -> None:
    class Task:
        told: ClassVar[list[tuple[int, str]]] = []

        def advance(self, n: int = 1, note: str = "") -> None:
            self.told.append((n, note.partition(",")[0]))

    class Shown(Quiet):
        @contextlib.contextmanager
        def task(self, name: str, total: int, unit: str) -> Iterator[Any]:
            yield Task()

    class Slow(Echo):
        def sample(self, requests: Any, on_done: Any = None, on_tokens: Any = None) -> list[list[Completion]]:
            on_tokens(1)
            on_tokens(3)
            on_done(2)
            return super().sample(requests)

    run(dataclasses.replace(engines(tmp_path, Slow(), shard=99), progress=Shown()))
    assert Task.told == [(0, "1 tokens"), (0, "4 tokens"), (2, "4 tokens")]


def test_every_training_problem_is_sampled_k_times_by_each_method(tmp_path: Path) -> None:
    here = engines(tmp_path)
    made = run(here)
    samples = list(records(here.store, made, Sample))
    assert len({(s.problem_id, s.method, s.index) for s in samples}) == len(samples) == 5 * 2 * 2
    assert dict(made.counts) == {
        "problems": 5,
        "asked": 20,
        "samples": 20,
        "failed": 0,
        "tokens": 40,
        "text.samples": 10,
        "code.samples": 10,
    }


def test_held_out_problems_get_one_greedy_sample_and_k_more(tmp_path: Path) -> None:
    here = engines(tmp_path)
    samples = [s for s in records(here.store, run(here, "heldout"), Sample) if s.method == "code"]
    assert [(s.index, s.temperature) for s in samples] == [(0, 0.0), (1, 0.8), (2, 0.8), (3, 0.8)]


def test_a_shard_is_one_call_with_all_its_methods(tmp_path: Path) -> None:
    here = engines(tmp_path)
    run(here)
    assert [len({r.problem_id for r in call}) for call in here.model.calls] == [2, 2, 1]
    assert [len(call) for call in here.model.calls] == [4, 4, 2]


def test_a_restart_makes_only_the_missing_shards_and_the_same_manifest(tmp_path: Path) -> None:
    whole = run(engines(tmp_path / "whole"))
    with pytest.raises(SamplerError):
        run(engines(tmp_path / "killed", Echo(most=2)))
    again = engines(tmp_path / "killed")
    assert run(again).digest == whole.digest
    assert len(again.model.calls) == 1


def test_no_model_is_opened_when_the_stage_is_complete(tmp_path: Path) -> None:
    run(engines(tmp_path))
    again = engines(tmp_path)
    run(again)
    assert again.opened == 0


@pytest.mark.parametrize("other", [{"batch": 7}, {"backend": "openai", "url": "http://x"}, {"concurrency": 3}])
def test_how_it_is_computed_does_not_change_where_it_is_stored(tmp_path: Path, other: dict[str, Any]) -> None:
    assert run(engines(tmp_path)).ref == run(engines(tmp_path, **other)).ref


@pytest.mark.parametrize("other", [{"k": 3}, {"temperature": 0.7}, {"top_p": 0.9}, {"max_tokens": 5}, {"seed": 2}])
def test_what_changes_the_samples_changes_where_they_are_stored(tmp_path: Path, other: dict[str, Any]) -> None:
    assert run(engines(tmp_path)).ref != run(engines(tmp_path, **other)).ref


def test_a_problem_s_requests_do_not_depend_on_the_other_problems() -> None:
    problems = [make_problem(f"What is {i}?", "1", "t") for i in range(3)]
    settings = sample.Settings.of(parse({}), "train")
    alone = [ask.request for ask in sample.requests(problems[2:], settings, None)]
    assert alone == [ask.request for ask in sample.requests(problems, settings, None)][-2:]


def test_each_method_and_purpose_has_its_own_seed() -> None:
    problem = [make_problem("What is 1?", "1", "t")]
    seeds = [
        a.request.seed
        for p in sample.PREFIXES
        for a in sample.requests(problem, sample.Settings.of(parse({}), p), None)
    ]
    assert len(set(seeds)) == 4


def test_chat_prompts_pass_through_the_template(tmp_path: Path) -> None:
    here = engines(tmp_path, prompt="chat")
    assert all(s.prompt.startswith("<") and s.prompt.endswith(">") for s in records(here.store, run(here), Sample))


def test_recorded_completions_are_for_training_only(tmp_path: Path) -> None:
    problem = make_problem("What is 0 plus 3?", "3", "t")
    file = tmp_path / "recorded.jsonl"
    file.write_text(json.dumps({"question": problem.question, "method": "code", "completion": "print(3)"}))
    here = engines(tmp_path / "store", backend="recorded", recorded=str(file))
    made = run(here)
    (only,) = records(here.store, made, Sample)
    assert (only.completion, only.model, only.index) == ("print(3)", "recorded", 0)
    assert (made.counts["asked"], made.counts["samples"]) == (20, 1)
    assert {s.model for s in records(here.store, run(here, "heldout"), Sample)} != {"recorded"}


def test_recorded_completions_are_known_by_their_content_not_their_path(tmp_path: Path) -> None:
    question = json.dumps({"question": "What is 0 plus 3?", "method": "code", "completion": "print(3)"})
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        path.write_text(question)
    made = [run(engines(tmp_path / "store", backend="recorded", recorded=str(path))) for path in paths]
    assert made[0].ref == made[1].ref


def test_an_unknown_method_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    here = engines(tmp_path)
    here.config = dataclasses.replace(here.config, methods=("dance",))
    with pytest.raises(ConfigError, match="dance"):
        run(here)
    assert here.opened == 0


def test_no_problems_are_no_samples_and_no_model(tmp_path: Path) -> None:
    here = engines(tmp_path)
    empty = StageFolder.open(here.store, "problems", version=1, config="none", inputs={}).finish()
    made = drawn(here, empty, inputs(here.store)[1])
    assert (made.counts["samples"], made.files, here.opened) == (0, (), 0)
    assert list(records(here.store, made, Problem)) == []
