"""Configurations: strict, said with key, value and remedy, and the same after travelling as text."""

import dataclasses
import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst import recipes
from mmst.cli.options import configured
from mmst.core.config import Config, from_text, identity, options, override, parse, run_id, to_text
from mmst.core.errors import ConfigError
from mmst.core.names import checked_name
from mmst.experiments import definition
from mmst.runs import summary
from mmst.storage.folder import FolderStore

PATHS = {path.replace("NAME", "mine"): (kind, default) for path, kind, default, _ in options()}
INTEGERS = sorted(
    p
    for p, (kind, _) in PATHS.items()
    if kind == "int"
    and not p.startswith("teachers.")  # which needs more than a number
    and p not in ("loop.rounds", "train.ranks", "train.zero", "prompt.shots", "prompt.phrasing")
)


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    return override({}, settings)


def test_the_empty_recipe_is_all_defaults() -> None:
    assert parse({}) == Config()


@given(st.dictionaries(st.sampled_from(INTEGERS), st.integers(40, 60), max_size=6))
def test_a_config_travels_as_text(settings: dict[str, int]) -> None:
    config = parse(nested(settings))
    assert from_text(to_text(config)) == config


@given(st.sampled_from(sorted(PATHS)), st.text("abcxyz", min_size=1, max_size=4))
def test_an_unknown_key_is_named_whole_with_a_remedy(path: str, suffix: str) -> None:
    wrong = f"{path}_{suffix}"
    with pytest.raises(ConfigError, match=rf"unknown recipe key '{wrong}'.*Remedy") as caught:
        parse(nested({wrong: 1}))
    assert "mmst recipes --keys" in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ({"sampling": {"temprature": 1.0}}, "sampling.temperature"),
        ({"problems": {"test": [{"fromat": "svamp"}]}}, "problems.test[0].format"),
        ({"sampel": {"k": 1}}, "sampling"),
        ({"train": {"seed": 1}}, "sampling.seed"),
        ({"temperature": 1.0}, "sampling.temperature or translate.temperature or evaluate.temperature"),
        ({"sampling_temperature": 1.0}, "sampling.temperature"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(wrong: dict[str, Any], near: str) -> None:
    with pytest.raises(ConfigError, match=rf"Remedy: did you mean {re.escape(near)}\? see `mmst recipes --keys`"):
        parse(wrong)


@given(st.sampled_from(sorted(p for p, (kind, _) in PATHS.items() if kind in ("int", "float", "bool"))))
def test_a_wrong_type_names_the_key(path: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{path} must be"):
        parse(nested({path: "many"}))


@given(st.sampled_from(INTEGERS), st.integers(-(10**6), -1))
def test_a_negative_count_names_key_value_and_bound(path: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"^{path} must be at least \d+, got {value}\."):
        parse(nested({path: value}))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sampling.temperature": float("nan")}, "must be a finite number, got nan"),
        ({"train.clip": float("inf")}, "must be a finite number, got inf"),
        ({"sampling.k": "4"}, r"sampling\.k must be int, got '4'"),
        ({"sampling.k": 4.0}, r"sampling\.k must be int, got 4\.0"),
        ({"trainset.balance": 1}, r"trainset\.balance must be bool, got 1"),
        ({"train.lora_targets": "q_proj"}, r"train\.lora_targets must be a list, got 'q_proj'"),
        ({"sampling": None}, "sampling must be an object, got None"),
        ({"title": datetime.date(2026, 1, 2)}, r"title must be str, got datetime\.date\(2026, 1, 2\)"),
        ({1: 2}, "unknown recipe key '1'"),
        ({"problems.train": [{True: 2}]}, r"unknown recipe key 'problems\.train\[0\]\.True'"),
        ({"train.lr": 2}, r"train\.lr must be at most 1, got 2\."),
        (
            {"check.sandbox": "docker"},
            r"check\.sandbox: unknown sandbox, got 'docker'.*one of gvisor, gvisor_job, subprocess",
        ),
        ({"loop.controls": ["own-text", "magic"]}, "got 'magic'"),
        ({"methods": []}, "each method once"),
        ({"methods": ["text", "text"]}, "each method once"),
        ({"sampling.backend": "openai"}, r"needs sampling\.url"),
        ({"sampling.backend": "recorded"}, r"needs sampling\.recorded"),
        (
            {"sampling.backend": "kserve", "model.trust_remote_code": "mine"},
            "in the cluster runs no code.*backend=local",
        ),
        ({"train.offload": "optimizer"}, "needs ZeRO, got 'optimizer'.*train.zero=2"),
        ({"train.offload": "parameters", "train.ranks": 2}, "needs train.zero=3, got 2"),
        ({"train.export": "both"}, "train.lora_rank is 0, got 'both'.*train.lora_rank=16"),
        ({"problems.train": [{"format": "svamp", "limit": -1}]}, r"problems\.train\[0\]\.limit must be at least 0"),
        ({"problems.train": [{"fromat": "svamp"}]}, r"unknown recipe key 'problems\.train\[0\]\.fromat'"),
        ({"problems.related": [{"methods": ["txt"]}]}, r"problems\.related\[0\]\.methods must be among.*'txt'"),
        ({"problems.train": [{"methods": ["text"]}]}, r"problems\.train\[0\]\.methods is for problems\.test and"),
        ({"problems.test": [{"name": "x"}]}, r"problems\.test\[0\]\.name is for problems\.related, got 'x'"),
        ({"problems.related": [{"name": "main"}]}, r"problems\.related\[0\]\.name must be up to 40.*'main'"),
        ({"problems.related": [{"name": "a/b"}]}, r"got 'a/b'. Remedy: e\.g\. name: strategyqa"),
    ],
)
def test_values_that_cannot_be_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(nested(settings) if all(isinstance(key, str) for key in settings) else settings)


@pytest.mark.parametrize("part", ["20", "20-20", "30-20", "0-101", "-5-20", "0 - 20", "a-b", "٠-٢٠", ""])
def test_a_part_that_is_no_range_of_percents_is_refused(part: str) -> None:
    with pytest.raises(ConfigError, match=r"range of whole percents.*e\.g\. part: 0-20"):
        parse({"problems": {"annotated": [{"format": "gsm8k", "part": part}]}})


def test_an_annotation_of_a_method_that_the_recipe_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"problems\.annotated\[0\]\.annotated must be among methods.*'cod'"):
        parse({"problems": {"annotated": [{"format": "gsm8k", "annotated": ["cod"]}]}})


@given(st.dictionaries(st.sampled_from(INTEGERS), st.integers(40, 60), max_size=4), st.sampled_from(INTEGERS))
def test_the_later_setting_wins_and_the_rest_stays(settings: dict[str, int], path: str) -> None:
    base = nested(settings)
    changed = override(base, {path: 70})
    assert base == nested(settings)
    assert changed == nested({**settings, path: 70})


def test_an_item_of_a_list_can_be_overridden() -> None:
    recipe = {"problems": {"train": [{"format": "svamp", "path": "a"}]}}
    assert parse(override(recipe, {"problems.train.0.path": "b"})).problems.train[0].path == "b"


@pytest.mark.parametrize("entry", ["٠", "-1", "0_0", " 0"])
def test_an_entry_of_a_list_has_a_plain_number(entry: str) -> None:
    with pytest.raises(ValueError, match="is no number of an entry"):
        override({"methods": ["text"]}, {f"methods.{entry}": "code"})


def test_a_setting_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sampling\.k is not a section"):
        override({"sampling": {"k": 4}}, {"sampling.k.x": 1})


@pytest.mark.parametrize(
    ("path", "value"),
    [("out", "elsewhere"), ("title", "My run"), ("sampling.batch", 2), ("check.sandbox", "subprocess")],
)
def test_what_cannot_change_a_result_does_not_name_the_run(path: str, value: object) -> None:
    assert run_id(parse(nested({path: value}))) == run_id(Config())


@pytest.mark.parametrize(("path", "value"), [("sampling.k", 2), ("train.lr", 0.5), ("methods", ["code"])])
def test_what_can_does(path: str, value: object) -> None:
    assert run_id(parse(nested({path: value}))) != run_id(Config())


def test_every_option_has_a_help_text_and_a_valid_default() -> None:
    assert all(help for *_, help in options())
    assert identity(Config())["sampling"]["k"] == dataclasses.asdict(Config())["sampling"]["k"]


# --- names ------------------------------------------------------------------------------------

NAMES = ["demo", "a", "A", "0", "my-recipe", "my_recipe", "v1.2", "a..b", "a--b", "GSM8K-7b.v2", "1e3x", "x" * 54]
NO_NAMES = [
    "", " ", ".", "..", "...", "/", "a/b", "/a", "a/", "../a", "a/../b", "a\\b", "-a", "a-", "_a", "a_", ".a", "a.",
    "a b", " a", "a ", "a\n", "a\nb", "a\tb", "a\0b", "ä", "名", "a:b", "a@b", "a%b", "a*", "a?", "~", "a'b", 'a"b',
    "a|b", "a;b", "$(a)", "a,b", "a=b", "[a]", "x" * 55, "x" * 300, "\x1b[2J", "\u202ea", "a\u200b", "１", "ａ",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_can_be_folder_prefix_label_and_word_is_taken(name: str) -> None:
    config = parse({"name": name})
    assert config.name == name
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", run_id(config)), "a label in Kubernetes"
    assert checked_name(f"runs/{run_id(config)}/config.json")


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_cannot_is_refused_with_one_that_can(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^name must be 1 to 54 of") as refused:
        parse({"name": name})
    near = re.search(r"Remedy: --set name=(\S+)$", str(refused.value))
    assert near
    assert parse({"name": near[1]}).name == near[1]


@pytest.mark.parametrize("name", ["a/b", "..", "a b"])
def test_a_name_is_refused_wherever_it_enters(name: str, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(f"name: {name!r}")
    other = tmp_path / f"{name.replace('/', ' ')}.x.yaml"
    other.write_text("title: named by its file")
    experiment = tmp_path / "e.yaml"
    experiment.write_text(f"{{name: {name!r}, recipe: demo, vary: {{sampling.seed: 1}}, arms: {{base: {{}}}}}}")
    ways: list[Callable[[], object]] = [
        lambda: recipes.load(str(file)),
        lambda: recipes.load("demo", [f"name={name}"]),
        lambda: configured("demo", [f"name={name}"]),
        lambda: from_text(json.dumps({"name": name})),
        lambda: definition.load(str(experiment)),
    ]
    if name != "..":
        ways.append(lambda: recipes.load(str(other)))
    for way in ways:
        with pytest.raises(ConfigError, match="name must be 1 to 54 of"):
            way()


def test_a_run_that_was_stored_under_another_rule_can_be_read(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    old = dataclasses.replace(parse({}), name="mine and yours")
    summary.record_config(store, old)
    assert summary.recorded_config(store, run_id(old)) == old


@pytest.mark.parametrize(
    ("recipe", "new"),
    [
        ({"problems": {"seeds": []}}, "problems.annotated"),
        ({"trainset": {"seed_share": 0.1}}, "trainset.annotated_share"),
        ({"loop": {"controls": ["seed-only"]}}, "annotated-only"),
        ({"loop": {"arm": "seed-only"}}, "annotated-only"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(recipe: dict[str, Any], new: str) -> None:
    with pytest.raises(ConfigError, match=f"Remedy: it is called {new} now"):
        parse(recipe)


UNLABELLED: dict[str, Any] = {"problems": {"unlabelled": [{"format": "generated", "count": 9}]}}


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"label": {"rule": "majority"}}, "problems.unlabelled, and that names none"),
        (UNLABELLED | {"methods": ["text"]}, r"methods-agree needs two methods.*label.rule=majority"),
        (UNLABELLED | {"methods": ["text"], "label": {"rule": "random"}}, "random needs two methods"),
        (
            UNLABELLED | {"methods": ["text"], "label": {"rule": "majority"}, "sampling": {"k": 1}},
            r"at least 2 samples of a problem, got 1.*sampling.k=4",
        ),
        (UNLABELLED | {"label": {"least": 0}}, r"label.least must be at least 0.01, got 0"),
        (UNLABELLED | {"label": {"least": 1.5}}, r"label.least must be at most 1, got 1.5"),
        (UNLABELLED | {"label": {"rule": "vote"}}, r"label.rule must be one of methods-agree, majority, random"),
        (UNLABELLED | {"label": {"lest": 1.0}}, r"unknown recipe key 'label.lest'.*label.least"),
    ],
)
def test_what_cannot_be_labelled_is_refused_in_one_line(recipe: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(recipe)


def test_a_majority_of_one_method_can_be_asked_for() -> None:
    assert parse(UNLABELLED | {"methods": ["text"], "label": {"rule": "majority"}}).label is not None


def test_a_recipe_without_unlabelled_problems_is_written_as_before_there_were_any() -> None:
    assert not [word for word in ("label", "unlabelled") if f'"{word}"' in to_text(Config())]
    assert not {"label", "unlabelled"} & {*identity(Config()), *identity(Config().problems)}


def test_a_recipe_with_unlabelled_problems_travels_as_text() -> None:
    config = parse(UNLABELLED | {"label": {"rule": "majority", "least": 0.6}})
    assert from_text(to_text(config)) == config
