"""Who a teacher is decides what is found again of it; where it is asked does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from mmst.core.config import Config, PromptConfig, parse
from mmst.core.errors import ConfigError, SamplerError, UserError
from mmst.core.manifest import Manifest
from mmst.core.records import CheckedSample, Example, Problem, Sample
from mmst.core.served import Served
from mmst.core.stored import load, records
from mmst.core.teachers import place_of
from mmst.models import model_folder
from mmst.preflight import recipe as preflight
from mmst.runner import run_stage
from mmst.wiring import connect
from tests.support.openai_stub import Answer, Fake, chat, completion, starting
from tests.support.serving import serving

GENERATED = {"format": "generated", "seed": 5, "count": 60}
REVISION: dict[str, Any] = {"served_model": "m", "revision": "1"}


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    with starting() as begin:
        yield begin


def recipe(out: Path, sections: dict[str, Any] | None = None, **teacher: Any) -> Config:
    problems = {
        "train": [GENERATED | {"split": "train", "limit": 4}],
        "test": [GENERATED | {"limit": 2, "split": "test"}],
    }
    return parse(
        {
            "out": str(out),
            "problems": problems,
            "sampling": {"k": 2, "max_tokens": 40, "shard": 2, "deadline": 120.0},
            "check": {"sandbox": "subprocess"},
            "translate": {"n": 1, "sources": 1},
            "teachers": {"big": teacher},
            **(sections or {}),
        }
    )


def api(fake: Fake, out: Path, **teacher: Any) -> Config:
    return recipe(out, backend="openai", url=fake.url, **teacher)


def good(attempt: int, body: dict[str, Any]) -> Answer:
    return completion(body)


def stating(digest: str) -> Callable[[int], Answer]:
    return lambda n: (200, {}, json.dumps({"data": [{"id": "m", "checkpoint": digest}]}).encode())


def step(config: Config, name: str, step: str = "", **refs: str) -> Manifest:
    return run_stage.run(name, config, round=1, arm=place_of("big"), step=step, refs=refs, beside={})


def prepared(config: Config) -> str:
    return run_stage.run("prepare", config, round=0, arm="base", step="", refs={}, beside={}).ref


def sampled(config: Config) -> tuple[Manifest, list[Sample]]:
    """What the teacher solves, and the stage that says who it is, before it."""
    problems = prepared(config)
    who = step(config, "base_model" if config.teachers["big"].base else "served_model").ref
    made = step(config, "sample", problems=problems, checkpoint=who)
    return made, list(records(connect(config).store, made, Sample))


def test_a_sample_says_which_teacher_wrote_it_and_which_model_that_is(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    _, named = sampled(api(start(good), tmp_path, **REVISION))
    assert {(s.writer, s.model) for s in named} == {("big", "m@1")}
    _, stated = sampled(api(start(good, listing=stating("sha256:d1")), tmp_path))
    assert {(s.writer, s.model) for s in stated} == {("big", "sha256:d1")}
    assert not {s.id for s in named} & {s.id for s in stated}


@pytest.mark.parametrize("who", [REVISION, {}])
def test_the_same_teacher_at_another_address_is_not_asked_again(
    who: dict[str, str], start: Callable[..., Fake], tmp_path: Path
) -> None:
    first, other = (start(good, listing=stating("" if who else "sha256:d1")) for _ in range(2))
    made, _ = sampled(api(first, tmp_path, **who))
    assert sampled(api(other, tmp_path, **who))[0] == made
    assert (bool(first.bodies), other.bodies) == (True, [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((REVISION, ""), (REVISION | {"revision": "2"}, "")),
        (({}, "sha256:d1"), ({}, "sha256:d2")),
        ((REVISION, "sha256:d1"), (REVISION, "sha256:d2")),
    ],
)
def test_of_another_teacher_at_the_same_address_nothing_is_taken(
    before: tuple[dict[str, str], str],
    after: tuple[dict[str, str], str],
    start: Callable[..., Fake],
    tmp_path: Path,
) -> None:
    made = [sampled(api(start(good, listing=stating(digest)), tmp_path, **who)) for who, digest in (before, after)]
    assert made[0][0].ref != made[1][0].ref
    assert not {s.id for s in made[0][1]} & {s.id for s in made[1][1]}


def test_what_a_declared_server_wrote_is_found_when_it_is_gone(start: Callable[..., Fake], tmp_path: Path) -> None:
    first = api(start(good), tmp_path, **REVISION)
    made, _ = sampled(first)
    gone = recipe(tmp_path, backend="openai", url="http://127.0.0.1:9/v1", **REVISION)
    hasty = replace(gone, sampling=replace(gone.sampling, deadline=0.5))
    assert sampled(hasty)[0] == made


UNTRANSLATED = {"arms": {"taught": {"writers": ["big"], "origins": ["own"]}}, "loop": {"arm": "taught"}}


def test_a_run_goes_on_without_a_declared_server_that_has_written_all(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    gone = recipe(tmp_path, UNTRANSLATED, backend="openai", url="http://127.0.0.1:9/v1", **REVISION)
    with pytest.raises(ConfigError, match="no model server answers"):
        preflight.engines(gone)
    sampled(recipe(tmp_path, UNTRANSLATED, backend="openai", url=start(good).url, **REVISION))
    preflight.engines(gone)


def test_a_server_that_was_gone_and_states_a_digest_when_it_is_asked_is_refused(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    gone = recipe(tmp_path, backend="openai", url="http://127.0.0.1:9/v1", **REVISION)
    who = step(replace(gone, sampling=replace(gone.sampling, deadline=0.5)), "served_model").ref
    back = start(good, listing=stating("sha256:d1"))
    with pytest.raises(SamplerError, match="did not when the run asked who it is"):
        step(api(back, tmp_path, **REVISION), "sample", problems=prepared(gone), checkpoint=who)
    assert back.bodies == []


def test_a_server_that_nobody_says_anything_of_is_not_asked(start: Callable[..., Fake], tmp_path: Path) -> None:
    fake = start(good)
    with pytest.raises(ConfigError, match=r"does not state which model.*teachers\.big\.revision=COMMIT"):
        sampled(api(fake, tmp_path))
    assert not fake.bodies


def test_a_server_that_is_exchanged_before_it_is_asked_is_refused(start: Callable[..., Fake], tmp_path: Path) -> None:
    config = api(start(good, listing=stating("sha256:d1")), tmp_path)
    who = step(config, "served_model").ref
    other = api(start(good, listing=stating("sha256:d2")), tmp_path)
    problems = prepared(config)
    with pytest.raises(SamplerError, match="serves another checkpoint than sha256:d1"):
        step(other, "sample", problems=problems, checkpoint=who)


def test_what_a_model_writes_as_a_teacher_is_not_what_it_writes_itself(tmp_path: Path) -> None:
    config = recipe(tmp_path, base="mmst:tiny")
    taught, solutions = sampled(config)
    refs = {"problems": prepared(config), "checkpoint": step(config, "base_model").ref}
    itself = run_stage.run("sample", config, round=1, arm="mmst", step="", refs=refs, beside={})
    assert itself.ref != taught.ref
    of_itself = list(records(connect(config).store, itself, Sample))
    assert {s.model for s in of_itself} == {s.model for s in solutions}
    assert {(s.problem_id, s.index) for s in of_itself} == {(s.problem_id, s.index) for s in solutions}
    assert not {s.id for s in of_itself} & {s.id for s in solutions}


@pytest.mark.server
@pytest.mark.timeout(900)
def test_a_server_of_a_folder_is_the_teacher_that_the_folder_s_digest_says(tmp_path: Path) -> None:
    """`mmst serve` states its folder's digest: the same folder elsewhere is the same teacher, another is not."""
    folders = [tmp_path / name / "model" for name in ("here", "there", "other")]
    for folder in folders:
        shutil.copytree(model_folder("mmst:tiny"), folder)
    settings = json.loads((folders[2] / "generation_config.json").read_text())
    (folders[2] / "generation_config.json").write_text(json.dumps(settings | {"transformers_version": "0"}))
    made = []
    for folder in folders:
        with serving(folder) as server:
            made.append(sampled(recipe(tmp_path / "out", backend="openai", url=server.url)))
    assert made[0][0] == made[1][0]
    assert made[0][0].ref != made[2][0].ref
    stated = made[0][0].result(Served).digest
    assert stated.startswith("sha256:")
    assert {s.model for s in made[0][1]} == {stated}


def chat_only(attempt: int, body: dict[str, Any]) -> Answer:
    """A server that has the chat protocol alone, and one completion a request."""
    if "messages" not in body:
        return 404, {}, b'{"error": {"message": "no such path"}}'
    if body["n"] > 1:
        return 400, {}, b'{"error": {"message": "n must be 1"}}'
    return chat(body)


def test_a_chat_server_is_asked_in_one_message_of_the_user_s_and_once_for_each_solution(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    fake = start(chat_only)
    config = api(fake, tmp_path, protocol="chat", prompt={"style": "few-shot", "shots": 1}, **REVISION)
    _, made = sampled(config)
    asked = [b["messages"] for b in fake.bodies if len(b["messages"][0]["content"]) > 1 and b["n"] == 1]
    assert [m for m in asked if [x["role"] for x in m] != ["user"]] == []
    assert {m[0]["content"] for m in asked} == {s.prompt for s in made}
    assert len(made) == 4 * 2 * 2
    assert len({s.completion for s in made}) == len(made)


def test_the_protocol_is_part_of_who_is_asked(start: Callable[..., Fake], tmp_path: Path) -> None:
    plain, _ = sampled(api(start(good), tmp_path, **REVISION))
    messages, _ = sampled(api(start(chat_only), tmp_path, protocol="chat", **REVISION))
    assert plain.ref != messages.ref


def test_a_teacher_stops_at_the_most_tokens_and_goes_on_when_more_are_allowed(
    start: Callable[..., Fake], tmp_path: Path
) -> None:
    fake = start(good)  # 5 tokens an answer, 8 answers
    with pytest.raises(UserError, match=r"most_tokens allows 12.*kept.*teachers\.big\.most_tokens=24") as stopped:
        sampled(api(fake, tmp_path, most_tokens=12, **REVISION))
    assert not isinstance(stopped.value, SamplerError)
    before = len(fake.bodies)
    assert before < 8
    made, _ = sampled(api(fake, tmp_path, most_tokens=1000, **REVISION))
    whole, _ = sampled(api(start(good), tmp_path / "elsewhere", **REVISION))
    assert made.digest == whole.digest


def test_completions_of_a_file_are_a_teacher_s(tmp_path: Path) -> None:
    config = recipe(tmp_path / "out", backend="recorded", recorded=str(tmp_path / "f.jsonl"))
    store = connect(config).store
    problems = list(records(store, load(store, prepared(config)), Problem, "train-"))
    lines = [{"problem_id": p.id, "method": "text", "completion": f"It is {p.answer}"} for p in problems]
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    made, solutions = sampled(config)
    assert {(s.writer, s.model) for s in solutions} == {("big", "recorded")}
    (tmp_path / "f.jsonl").write_text(json.dumps(lines[0]) + "\n")
    assert sampled(config)[0].ref != made.ref


def test_a_file_of_completions_is_asked_for_no_translation(tmp_path: Path) -> None:
    config = recipe(tmp_path / "out", backend="recorded", recorded=str(tmp_path / "f.jsonl"))
    with pytest.raises(ConfigError, match="a file of completions translates nothing"):
        step(config, "translate", problems="", checked="", checkpoint="")


def test_trouble_with_a_teacher_is_told_by_its_own_keys(start: Callable[..., Fake], tmp_path: Path) -> None:
    config = api(start(good, models=("a", "b")), tmp_path)
    with pytest.raises(SamplerError, match=r"set teachers\.big\.served_model"):
        step(config, "served_model")


def test_what_is_learnt_from_a_teacher_is_learnt_under_the_prompt_that_the_model_itself_is_asked(
    tmp_path: Path,
) -> None:
    config = recipe(tmp_path, base="mmst:tiny", prompt={"style": "plain"})
    config = replace(config, prompt=PromptConfig(style="instruct"))
    problems, who = prepared(config), step(config, "base_model").ref
    drawn = step(config, "sample", problems=problems, checkpoint=who)
    checked = step(config, "verify", problems=problems, samples=drawn.ref)
    store = connect(config).store
    passed = [c for c in records(store, checked, CheckedSample) if c.passed]
    refs = {"problems": problems, "checked": f"big={checked.ref}", "translated": "", "checkpoint": who}
    made = run_stage.run("build_trainset", config, round=1, arm="no-translation", step="", refs=refs, beside={})
    examples = list(records(store, made, Example, "new-"))
    assert 0 < len(examples) <= len(passed)
    assert {c.sample.prompt.partition(" ")[0] for c in passed} == {"Question:"}
    assert "Question:" not in {e.prompt.partition(" ")[0] for e in examples}
