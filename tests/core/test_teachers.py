"""Who else writes: how a teacher sees the recipe, and which teachers there cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mmst.core import teachers
from mmst.core.config import Config, parse, run_id
from mmst.core.errors import ConfigError
from mmst.core.sections import PromptConfig

API = {"backend": "openai", "url": "http://x/v1"}


def recipe(teacher: dict[str, Any], **sections: Any) -> Config:
    return parse({"teachers": {"big": teacher}, **sections})


def test_what_a_teacher_does_not_say_is_as_the_recipe_says() -> None:
    config = recipe({"base": "/models/big", "k": 8}, sampling={"k": 2, "max_tokens": 50}, prompt={"style": "instruct"})
    seen = teachers.seen_by(config, "big")
    assert (seen.model.base, seen.sampling.k, seen.sampling.max_tokens) == ("/models/big", 8, 50)
    assert seen.prompt == config.prompt


def test_a_teacher_has_its_own_prompt() -> None:
    config = recipe({"base": "/models/big", "prompt": {"style": "few-shot", "shots": 2}}, prompt={"phrasing": 2})
    assert teachers.seen_by(config, "big").prompt == PromptConfig(style="few-shot", shots=2)


@pytest.mark.parametrize("of_the_recipe", [API, {"backend": "recorded", "recorded": "f.jsonl"}])
def test_a_teacher_whose_model_is_here_is_not_asked_for_where_the_recipe_s_own_is_elsewhere(
    of_the_recipe: dict[str, Any],
) -> None:
    seen = teachers.seen_by(recipe({"base": "/models/big"}, sampling=of_the_recipe), "big")
    assert (seen.sampling.backend, seen.sampling.url, seen.sampling.recorded) == ("local", "", "")


def test_every_teacher_writes_anew_in_each_of_its_rounds() -> None:
    config = parse({"teachers": {"a": {"base": "/m", "rounds": 2}, "b": {"base": "/m"}}})
    seeds = [teachers.seen_by(config, *at).sampling.seed for at in (("a", 1), ("a", 2), ("b", 1))]
    assert len({*seeds, config.sampling.seed}) == 4


def test_a_teacher_writes_in_its_rounds_alone() -> None:
    config = parse({"teachers": {"a": {"base": "/a"}, "b": {"base": "/b", "rounds": 2}}, "loop": {"rounds": 3}})
    assert [teachers.writers(config, number) for number in (1, 2, 3)] == [("", "a", "b"), ("", "b"), ("",)]


ARMS = {
    "theirs": {"writers": ["big"], "origins": ["own"]},
    "mine": {"writers": ["self"]},
    "equal": {"writers": ["self"], "equal_to": ["theirs"]},
}


@pytest.mark.parametrize(
    ("loop", "writing"),
    [
        ({"arm": "theirs"}, ("big",)),
        ({"arm": "theirs", "controls": ["annotated-only"]}, ("big",)),
        ({"arm": "mine"}, ("",)),
        ({"arm": "equal"}, ("", "big")),
        ({"arm": "mmst"}, ("", "big")),
        ({"arm": "annotated-only"}, ("",)),
    ],
)
def test_those_write_from_whom_an_arm_of_the_run_learns(loop: dict[str, Any], writing: tuple[str, ...]) -> None:
    assert teachers.writers(recipe({"base": "/b"}, arms=ARMS, loop=loop), 1) == writing


@pytest.mark.parametrize(("arm", "rewritten"), [("theirs", False), ("mmst", True)])
def test_a_teacher_translates_if_an_arm_learns_from_it(arm: str, rewritten: bool) -> None:
    config = recipe({"base": "/b"}, arms=ARMS, loop={"arm": arm})
    assert teachers.translates(teachers.seen_by(config, "big")) == rewritten
    assert teachers.translates(config)


@pytest.mark.parametrize(
    ("arm", "controls", "by"),
    [
        ({"methods": ["code"], "origins": ["own"]}, [], ("code",)),
        ({"methods": ["code"], "origins": ["own"]}, ["own-text"], ("text", "code")),
        ({"methods": ["code"], "origins": ["own"]}, ["code-to-text"], ("text", "code")),
        ({"methods": ["code"], "origins": ["own"], "solved_by": "all"}, [], ("text", "code")),
        ({"methods": ["code"]}, [], ("text", "code")),
        ({"origins": ["own"]}, [], ("text", "code")),
    ],
)
def test_a_teacher_writes_by_the_methods_that_an_arm_learns_from(
    arm: dict[str, Any], controls: list[str], by: tuple[str, ...]
) -> None:
    arms = {"taught": {"writers": ["big"], **arm}}
    config = recipe({"base": "/m"}, arms=arms, loop={"arm": "taught", "controls": controls})
    seen = teachers.seen_by(config, "big")
    assert seen.methods == by


def test_an_arm_names_the_teachers_of_the_recipe_alone() -> None:
    with pytest.raises(ConfigError, match=r"arms.mine.writers names nobody .* self, big, got 'bgi'.*did you mean big"):
        recipe({"base": "/b"}, arms={"mine": {"writers": ["bgi"]}})


def test_problems_without_answers_are_not_labelled_with_teachers_yet() -> None:
    with pytest.raises(ConfigError, match="teachers have none yet"):
        recipe({"base": "/b"}, problems={"unlabelled": [{"format": "generated", "count": 5}]})


def test_the_run_is_the_same_whoever_sees_its_recipe() -> None:
    config = recipe({"base": "/models/big"})
    assert run_id(teachers.seen_by(config, "big")) == run_id(config)


def test_where_a_teacher_is_asked_does_not_count_and_who_it_is_does() -> None:
    stated: dict[str, Any] = {**API, "served_model": "m", "revision": "1"}
    first = run_id(recipe(stated))
    assert run_id(recipe({**stated, "url": "http://y/v1", "most_tokens": 9, "api_key_env": "KEY"})) == first
    others: list[dict[str, Any]] = [{"revision": "2"}, {"served_model": "n"}, {"protocol": "chat"}, {"k": 3}]
    assert first not in {run_id(recipe(stated | other)) for other in others}


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ({}, r"teachers\.big says neither which model it is nor who serves it.*teachers\.big\.base=MODEL"),
        ({"backend": "openai"}, r"teachers\.big\.backend=openai needs teachers\.big\.url"),
        ({**API, "revision": "1"}, r"teachers\.big\.revision needs teachers\.big\.served_model"),
        ({"backend": "recorded"}, r"teachers\.big\.backend=recorded needs teachers\.big\.recorded"),
        ({"backend": "recorded", "recorded": "f", "base": "/m"}, r"leave out teachers\.big\.base"),
        ({"base": "/m", "dtype": "int8"}, r"teachers\.big\.dtype=int8 needs teachers\.big\.backend=ctranslate2"),
        ({"base": "/m", "prompt": {"stop": [""]}}, r"teachers\.big\.prompt\.stop must hold texts"),
        ({"base": "/m", "protocol": "chat"}, r"teachers\.big\.protocol=chat is about servers"),
        ({**API, "prompt": {"style": "chat"}}, r"teachers\.big\.protocol=chat --set teachers\.big\.prompt\.style"),
        ({"base": "/m", "k": 0}, r"teachers\.big\.k must be at least 1"),
        ({"base": "/m", "bakend": "local"}, r"unknown recipe key 'teachers\.big\.bakend'.*teachers\.big\.backend"),
        ({"base": "/m", "backend": "magic"}, r"teachers\.big\.backend: unknown sampler"),
        ({**API, "api_key_env": "secret-key-1"}, r"teachers\.big\.api_key_env must name an environment variable"),
    ],
)
def test_a_teacher_that_cannot_be_asked_is_refused_by_its_own_keys(teacher: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        recipe(teacher)


def test_a_key_in_the_place_of_its_variable_is_not_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        recipe({**API, "api_key_env": "abc-123-key"})
    assert "abc-123-key" not in str(refused.value)


@pytest.mark.parametrize(
    "teacher",
    [{**API, "api_key": "sk-" + 40 * "a"}, {**API, "url": "http://me:hidden@x/v1"}, {**API, "url": "me:hidden@x"}],
)
def test_a_credential_of_a_teacher_is_refused(teacher: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"teachers\.big.*teachers\.NAME\.api_key_env=KEY") as refused:
        recipe(teacher)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("flag", ["--api-key hunter2pw", "--api-key=hunter2pw", "--hf-token abcdefgh12"])
def test_a_credential_in_the_command_of_a_server_is_refused_and_not_shown(flag: str) -> None:
    with pytest.raises(ConfigError, match=r"teachers\.big\.server holds a secret") as refused:
        recipe({"base": "/m", "backend": "server", "server": f"serve {{model}} {{port}} {flag}"})
    assert not {"hunter2pw", "abcdefgh12"} & set(re.split(r"[\s'=,.]", str(refused.value)))
    recipe({"base": "/m", "backend": "server", "server": "serve {model} {port} --api-key $KEY --max-tokens 512"})


@pytest.mark.parametrize("name", ["self", "any", "Big", "7b", "a.b", "a b", "-a", "", "x" * 41])
def test_a_teacher_has_a_name_that_is_a_label(name: str) -> None:
    with pytest.raises(ConfigError, match="teachers: a name must be"):
        parse({"teachers": {name: {"base": "/m"}}})


def test_a_place_of_a_teacher_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean big"):
        teachers.seen_at(recipe({"base": "/m"}), "teacher:bigg", 1)
