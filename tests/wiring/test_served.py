"""What a server answered is stored as what the server is, and found again as nothing else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from mmst.core.config import Config, parse, run_id
from mmst.core.errors import ConfigError, SamplerError
from mmst.core.hashes import digest_of
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Stating
from mmst.core.records import Sample
from mmst.core.served import Served
from mmst.core.stage_folder import StageFolder
from mmst.core.stored import records
from mmst.datasets import make_problem
from mmst.runs.summary import summarise
from mmst.stages.base_model import BaseModel
from mmst.stages.sample import Sampling
from mmst.wiring import connect
from tests.support.openai_stub import Fake, completion, starting
from tests.support.serving import MMST_SERVE

NAMED = {"served_model": "m", "revision": "2026-11-30"}


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    with starting() as begin:
        yield begin


def good(attempt: int, body: dict[str, Any]) -> Any:
    return completion(body)


def recipe(out: Path, **sampling: Any) -> Config:
    settings = {"k": 2, "max_tokens": 4, "deadline": 20.0, **sampling}
    return parse({"out": str(out), "methods": ["text"], "sampling": settings})


def served_by(fake: Fake, out: Path, **sampling: Any) -> Config:
    return recipe(out, backend="openai", url=fake.url, **sampling)


def base_of(config: Config) -> Manifest:
    return BaseModel().run(connect(config), Place(run="r", round=0, arm="base", step="base"), {})


def sampled(config: Config, checkpoint: Manifest | None = None) -> Manifest:
    engines = connect(config)
    problems = StageFolder.open(engines.store, "prepare", version=1, config={}, inputs={})
    problems.write_records("train-00000.jsonl", [make_problem("What is 1 plus 3?", "4", "t")])
    inputs = {
        "problems": problems.finish(shards=["train-00000.jsonl"]),
        "checkpoint": checkpoint or base_of(config),
    }
    return Sampling().run(engines, Place(run="r", round=1, arm="mmst", step="sample"), inputs)


def test_a_local_run_does_not_take_the_samples_of_a_server_that_states_nothing(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    there, here = served_by(start(good), tmp_path, **NAMED), recipe(tmp_path)
    remote, local = sampled(there), sampled(here)
    store = connect(here).store
    assert remote.ref != local.ref
    told, own = (list(records(store, made, Sample)) for made in (remote, local))
    assert [s.completion for s in told] == [f"{told[0].seed}.0", f"{told[0].seed}.1"]
    assert not {s.completion for s in told} & {s.completion for s in own}
    assert {s.model for s in told} == {"m@2026-11-30"}
    assert {s.model for s in own} == {base_of(here).digest}
    assert not {s.id for s in told} & {s.id for s in own}


def test_the_lineage_says_who_answered(start: Callable[..., Fake], tmp_path: Path) -> None:
    config = served_by(start(good), tmp_path, **NAMED)
    assert sampled(config).result(Served) == Served(model="m", revision="2026-11-30")
    params = connect(config).provenance.params
    assert (params["sampling.served_model"], params["sampling.revision"]) == ("m", "2026-11-30")
    assert sampled(recipe(tmp_path)).facts == {}


def test_a_run_names_the_server_that_answered_in_the_base_s_place(start: Callable[..., Fake], tmp_path: Path) -> None:
    there, here = served_by(start(good), tmp_path / "there", **NAMED), recipe(tmp_path / "here")
    sampled(there), sampled(here)
    remote, local = (summarise(connect(config).store, "r") for config in (there, here))
    assert (list(map(str, remote.served)), local.served) == (["m@2026-11-30"], ())
    assert [note for note in remote.notes if note.startswith("m@2026-11-30 answered")]
    assert not [note for note in local.notes if "answered" in note]


def test_the_same_model_at_another_address_is_the_same_and_another_revision_is_not(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    fake, other = start(good), start(good)
    first = sampled(served_by(fake, tmp_path, **NAMED))
    assert sampled(served_by(other, tmp_path, **NAMED)) == first
    assert not other.bodies
    later = served_by(other, tmp_path, **NAMED | {"revision": "2026-12-01"})
    assert sampled(later).ref != first.ref
    assert other.bodies


def test_a_server_that_states_nothing_is_not_asked_for_what_the_recipe_does_not_name(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    fake = start(good)
    with pytest.raises(SamplerError, match=r"does not say which.*sampling\.revision"):
        sampled(served_by(fake, tmp_path))
    assert not fake.bodies


def stating(digest: str) -> Callable[[int], Any]:
    return lambda n: (200, {}, json.dumps({"data": [{"id": "m", "checkpoint": digest}]}).encode())


def test_a_server_that_states_the_model_s_digest_gives_the_model_s_own_samples(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    config = recipe(tmp_path)
    for digest in (base_of(config).digest, digest_of(base_of(config).files)):
        fake = start(good, listing=stating(digest))
        made = sampled(served_by(fake, tmp_path / digest[-6:]))
        assert made.ref == sampled(recipe(tmp_path / digest[-6:])).ref


@pytest.mark.parametrize("named", [{}, NAMED], ids=["not named", "named"])
def test_a_server_that_states_another_digest_is_refused_whatever_the_recipe_says(
    start: Callable[..., Fake], tmp_path: Path, named: dict[str, str]
) -> None:
    fake = start(good, listing=stating("sha256:other"))
    with pytest.raises(SamplerError, match="another checkpoint"):
        sampled(served_by(fake, tmp_path, **named))
    assert not fake.bodies


def test_what_a_run_trained_is_sampled_here_and_stored_as_before(start: Callable[..., Fake], tmp_path: Path) -> None:
    """A server of the base cannot serve it."""
    fake = start(good)
    base = base_of(recipe(tmp_path))
    store = connect(recipe(tmp_path)).store
    trained = StageFolder.open(store, "train", version=1, config={}, inputs={})
    for entry in base.files:
        path = store.folder(base.ref)
        assert path is not None
        trained.put_file(entry.name, path / entry.name)
    checkpoint = trained.finish(files=base.files)
    assert sampled(served_by(fake, tmp_path, **NAMED), checkpoint) == sampled(recipe(tmp_path), checkpoint)
    assert not fake.bodies


@pytest.mark.server
def test_a_server_of_our_own_states_the_files_that_it_was_started_on(tmp_path: Path) -> None:
    pytest.importorskip("kserve")
    config = recipe(tmp_path, backend="server", server=MMST_SERVE)
    base = base_of(config)
    with connect(config).sampler(base) as sampler:
        assert isinstance(sampler, Stating)
        assert sampler.stated()["checkpoint"] == digest_of(base.files)


def test_runs_of_two_models_of_one_revision_have_two_names(tmp_path: Path) -> None:
    url = {"backend": "openai", "url": "http://x"}
    one, two = (recipe(tmp_path, **url, served_model=name, revision="1") for name in ("a", "b"))
    assert run_id(one) != run_id(two)
    without = [recipe(tmp_path, **url, served_model=name) for name in ("a", "b")]
    assert run_id(without[0]) == run_id(without[1])


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({"revision": "1"}, r"needs sampling\.served_model"),
        ({"revision": "a\nb", "served_model": "m"}, "characters that print"),
        ({"revision": 101 * "a", "served_model": "m"}, "at most 100"),
    ],
)
def test_a_revision_that_names_nothing_is_refused(tmp_path: Path, sampling: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe(tmp_path, backend="openai", url="http://x", **sampling)
