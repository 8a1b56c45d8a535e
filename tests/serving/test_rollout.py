"""Rollout: whatever happens on the way, clients are served by a version that was tried, and all ends in peace."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmst.core.errors import ModelError, SamplerError
from mmst.core.manifest import Place
from mmst.core.ports import Completion, Sampler
from mmst.core.records import CheckedSample, Sample, Verdict
from mmst.core.stage_folder import StageFolder
from mmst.serving.rollout import (
    FAILED,
    KEPT,
    NEXT,
    SERVING,
    SETTLED,
    STABLE,
    Rollout,
    Seen,
    Step,
    Version,
    decide,
    smoke_test,
)
from mmst.wiring import open_store

GOOD, BROKEN, NONSENSE = "good", "broken", "nonsense"


class Killed(Exception):
    """The process ends here."""


@dataclasses.dataclass
class World:
    """A registry and two services in memory; `left` calls that change something succeed before it is all over."""

    kinds: dict[str, str]
    alias: str = ""
    services: dict[str, str] = dataclasses.field(default_factory=dict)
    tags: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    tried: set[str] = dataclasses.field(default_factory=set)
    settings: str = "as installed"
    defined: dict[str, str] = dataclasses.field(default_factory=dict)
    asked: list[str] = dataclasses.field(default_factory=list)
    left: int = 1 << 30
    where: str = "ns/champion"

    def version(self, name: str) -> Version:
        return Version(version=name, checkpoint=f"sha256:{name}", ref="", tags=dict(self.tags.get(name, {})))

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed

    def champion(self) -> Version | None:
        return self.version(self.alias) if self.alias else None

    def tagged(self, name: str, value: str) -> Sequence[Version]:
        return [self.version(v) for v, tags in self.tags.items() if tags.get(name) == value]

    def tag(self, version: str, tags: Mapping[str, str | None]) -> None:
        self.spend()
        mine = self.tags.setdefault(version, {})
        for key, value in tags.items():
            if value is None:
                mine.pop(key, None)
            else:
                mine[key] = value

    def checkpoint(self, name: str) -> str:
        return self.services.get(name, "")

    def definition(self, name: str) -> str:
        return self.defined.get(name, "")

    def wanted(self, version: Version) -> str:
        return f"{version.version}@{self.settings.replace(' ', '-')}"

    def put(self, name: str, version: Version) -> None:
        self.spend()
        if name == STABLE:
            assert version.version in self.tried, "clients are never served what was not tried"
        self.services[name], self.defined[name] = version.checkpoint, self.wanted(version)

    def remove(self, name: str) -> None:
        self.spend()
        self.services.pop(name, None)
        self.defined.pop(name, None)

    @contextlib.contextmanager
    def sampler(self, name: str, version: Version) -> Iterator[Sampler]:
        assert self.services[name] == version.checkpoint
        self.asked.append(f"{name} {self.defined[name]}")
        if self.kinds[version.version] == BROKEN:
            raise ModelError("cannot load the model")
        yield None  # type: ignore[misc]

    def check(self, version: Version, sampler: Sampler) -> str:
        if self.kinds[version.version] == NONSENSE:
            return "it solves 0 of 24"
        self.tried.add(version.version)
        return ""

    def rollout(self) -> Rollout:
        return Rollout(self, self, self.check, lambda line: None)


def test_a_new_champion_is_tried_beside_the_old_one_then_serves_alone_and_is_recorded() -> None:
    world = World({"1": GOOD, "2": GOOD}, alias="1")
    world.rollout().settle()
    world.alias = "2"
    assert world.rollout().settle()[0] is Step.REST
    assert world.services == {STABLE: "sha256:2"}
    assert world.tags["2"][SERVING] == "ns/champion"
    assert SERVING not in world.tags["1"]


@pytest.mark.parametrize("kind", [BROKEN, NONSENSE])
def test_a_bad_champion_never_serves_and_its_version_says_why(kind: str) -> None:
    world = World({"1": GOOD, "2": kind}, alias="1")
    world.rollout().settle()
    world.alias = "2"
    assert world.rollout().settle()[0] is Step.HOLD
    assert world.services == {STABLE: "sha256:1"}
    assert world.tags["1"][SERVING] == "ns/champion"
    assert world.tags["2"][FAILED]


def test_one_that_fails_only_behind_the_stable_service_is_rolled_back() -> None:
    world = World({"1": GOOD, "2": GOOD}, alias="1")
    world.rollout().settle()
    world.alias = "2"
    answers = iter(["", "it solves 3 of 24"])
    roll = Rollout(world, world, lambda version, sampler: world.tried.add("2") or next(answers), lambda line: None)  # type: ignore[func-returns-value]
    assert roll.settle()[0] is Step.HOLD
    assert world.services == {STABLE: "sha256:1"}
    assert "3 of 24" in world.tags["2"][FAILED]


def test_settings_that_changed_reach_what_serves_after_they_were_tried_beside_it() -> None:
    world = World({"1": GOOD}, alias="1")
    world.rollout().settle()
    world.settings, world.asked = "more memory", []
    assert world.rollout().settle()[0] is Step.REST
    assert world.asked == [f"{NEXT} 1@more-memory"]
    assert world.defined == {STABLE: "1@more-memory"}


def test_what_serves_has_the_settings_also_where_a_newer_champion_failed() -> None:
    world = World({"1": GOOD, "2": NONSENSE}, alias="1")
    world.rollout().settle()
    world.alias, world.settings = "2", "more memory"
    assert world.rollout().settle()[0] is Step.HOLD
    assert world.defined == {STABLE: "1@more-memory"}


def test_settings_under_which_a_model_answers_otherwise_leave_it_as_it_was_and_are_tried_once() -> None:
    world = World({"1": GOOD}, alias="1")
    world.rollout().settle()
    world.settings, world.kinds["1"] = "another image", NONSENSE
    assert world.rollout().settle()[0] is Step.REST
    assert world.defined == {STABLE: "1@as-installed"}
    assert world.tags["1"][KEPT] == "1@another-image it solves 0 of 24"
    world.asked = []
    world.rollout().settle()
    assert world.asked == []
    world.settings, world.kinds["1"] = "the right image", GOOD
    world.rollout().settle()
    assert world.defined == {STABLE: "1@the-right-image"}


def test_trouble_of_the_platform_is_no_verdict() -> None:
    world = World({"1": GOOD}, alias="1")

    def down(version: Version, sampler: Sampler) -> str:
        raise SamplerError("no node")

    with pytest.raises(SamplerError):
        Rollout(world, world, down, lambda line: None).settle()
    assert FAILED not in world.tags.get("1", {})
    assert world.rollout().settle()[0] is Step.REST


def test_without_a_champion_nothing_is_done() -> None:
    world = World({})
    assert world.rollout().settle() == (Step.IDLE, Seen(champion=None))


KINDS = st.sampled_from([GOOD, GOOD, BROKEN, NONSENSE])


@settings(max_examples=300, deadline=None)
@example(kinds=[GOOD, BROKEN, GOOD], moves=[(0, 3, 0), (1, 2, 0), (2, 3, 0), (1, 1, 0)])  # what served stayed on record
@given(
    kinds=st.lists(KINDS, min_size=1, max_size=4),
    moves=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 1)), max_size=8),
)
def test_killed_anywhere_while_the_alias_and_the_settings_move_it_ends_with_the_last_good_champion(
    kinds: list[str], moves: list[tuple[int, int, int]]
) -> None:
    world = World({str(i): kind for i, kind in enumerate(kinds)})
    for to, left, installed in moves:
        world.alias, world.left, world.settings = str(to % len(kinds)), left, str(installed)
        with contextlib.suppress(Killed):
            world.rollout().settle()
    world.left = 1 << 30
    step, seen = world.rollout().settle()
    assert step in SETTLED
    assert NEXT not in world.services
    if seen.champion is not None and world.kinds[seen.champion.version] == GOOD:
        assert step is Step.REST
        assert world.services == {STABLE: seen.champion.checkpoint}
        assert world.defined[STABLE] == world.wanted(seen.champion)
    elif seen.champion is not None:
        assert step is Step.HOLD
    assert all(world.kinds[c.removeprefix("sha256:")] == GOOD for c in world.services.values())
    assert {v.checkpoint for v in seen.serving} <= set(world.services.values())


def test_what_is_decided_depends_on_nothing_else() -> None:
    version = Version(version="2", checkpoint="b", ref="")
    assert decide(Seen(champion=version, stable="a")) is Step.BRING_UP
    assert decide(Seen(champion=version, stable="a", next="c")) is Step.BRING_UP
    assert decide(Seen(champion=version, stable="a", next="b")) is Step.TRY_OUT
    assert decide(Seen(champion=version, stable="b", next="b")) is Step.CONFIRM
    assert decide(Seen(champion=version, stable="b", next="b", serving=(version,))) is Step.CLEAR
    failed = dataclasses.replace(version, tags={FAILED: "nonsense"})
    assert decide(Seen(champion=failed, stable="b")) is Step.BACK
    assert decide(Seen(champion=failed, stable="a", next="b")) is Step.CLEAR


class Says:
    """A sampler that gives prepared answers by prompt."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers

    def sample(self, requests: Sequence[Any], on_done: Any = None, on_tokens: Any = None) -> list[list[Completion]]:
        assert all(r.temperature == 0 and r.n == 1 for r in requests)
        return [[Completion(text=self.answers[r.prompt], finish="stop", prompt_tokens=1, tokens=1)] for r in requests]


@pytest.fixture
def evaluated(tmp_path: Any) -> tuple[Any, Version]:
    """A store with an evaluation: five text and five code problems solved greedily, one of each not."""
    store = open_store(str(tmp_path))

    def checked(i: int, by: str) -> CheckedSample:
        text = f"1 + {i} = {i + 1} .\nThe answer is {i + 1}" if by == "text" else f"print(1 + {i})"
        sample = Sample(
            id=f"{by}{i}", problem_id=f"p{i}", method=by, index=0, prompt=f"{by} {i}?", completion=text, finish="stop",
            prompt_tokens=3, tokens=9, seed=1, model="m",
        )  # fmt: skip
        verdict = Verdict.PASSED if i < 5 else Verdict.WRONG
        return CheckedSample(sample=sample, verdict=verdict, solution=text, answer=str(i + 1))

    check = StageFolder.open(store, "verify", version=1, config={}, inputs={})
    check.write_records("shard-00000.jsonl", [checked(i, by) for i in range(6) for by in ("text", "code")])
    made = check.finish(shards=["shard-00000.jsonl"])
    place = Place(run="r", round=1, arm="mmst", step="evaluate")
    evaluation = StageFolder.open(store, "evaluate", version=1, config={}, inputs={"checked": made}, place=place)
    evaluation.finish()
    return store, Version(version="1", checkpoint="m", ref="", run="r", evaluation=evaluation.prefix)


def answers(right: int) -> dict[str, str]:
    """The first `right` of the solved problems as they were, but for spelling; the rest is nonsense."""
    known = {f"text {i}?": f"So it is {i + 1} .\nThe answer is {i + 1}" for i in range(5)}
    known |= {f"code {i}?": f"print(1  +  {i})\n" for i in range(5)}
    return {prompt: text if n < right else "the the the" for n, (prompt, text) in enumerate(known.items())}


@pytest.mark.parametrize(("right", "reason"), [(10, ""), (8, ""), (7, "7 of 10"), (0, "0 of 10")])
def test_the_smoke_test_asks_what_the_version_is_known_to_solve(
    evaluated: tuple[Any, Version], right: int, reason: str
) -> None:
    store, version = evaluated
    found = smoke_test(store, version, Says(answers(right)))
    assert (reason in found) if reason else not found


def test_a_version_without_an_evaluation_is_not_trusted(evaluated: tuple[Any, Version]) -> None:
    store, version = evaluated
    assert "holds no greedy solution" in smoke_test(store, dataclasses.replace(version, evaluation=""), Says({}))
