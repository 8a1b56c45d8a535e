"""Recipes: found by name or file, changed by --set, refused with the place of the mistake."""

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst import recipes
from mmst.core.codec import to_data
from mmst.core.config import from_text, identity, options, parse, run_id, to_text
from mmst.core.errors import ConfigError
from mmst.methods import method

SCHEMA = recipes.schema()


def write(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


def test_every_shipped_recipe_is_valid_and_says_what_it_is() -> None:
    for name in recipes.SHIPPED.names():
        config = recipes.load(name)
        assert config.name == name
        assert config.title


@pytest.mark.parametrize("name", recipes.SHIPPED.names())
def test_every_shipped_recipe_is_what_the_schema_describes(name: str) -> None:
    jsonschema.validate(recipes.read(name), SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampling": {"temprature": 1}},
        {"problems": {"train": [{"fromat": "svamp"}]}},
        {"sampling": {"k": 0}},
        {"train": {"lr": 2}},
        {"prompt": {"style": "poem"}},
        {"check": {"packages": ["requests"]}},
        {"methods": "text"},
    ],
)
def test_a_typo_is_not(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_the_schema_says_what_each_key_is_for() -> None:
    for path, _, default, help in options():
        node = SCHEMA
        for part in path.split("."):
            node = next(iter(node.get("anyOf", ())), node)  # a section that may be left out
            node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            node = node["additionalProperties"] if part == "NAME" else node["properties"][part]
        assert (node["description"], node.get("default", {})) == (help, to_data(default))


def test_settings_are_yaml_and_the_last_one_wins(tmp_path: Path) -> None:
    file = write(tmp_path, "sampling: {k: 2}")
    config = recipes.load(file, ["sampling.k=3", "sampling.k=5", "loop.controls=[annotated-only]", "train.lr=1e-3"])
    assert (config.sampling.k, config.loop.controls, config.train.lr) == (5, ("annotated-only",), 0.001)


def test_a_setting_reaches_into_a_list(tmp_path: Path) -> None:
    file = write(tmp_path, "problems: {train: [{format: gsm8k, path: a}]}")
    assert recipes.load(file, ["problems.train.0.limit=7"]).problems.train[0].limit == 7


@pytest.mark.parametrize("setting", ["sampling.k", "=3", "problems.train.4.limit=7", "problems.train.x.limit=7"])
def test_a_setting_that_leads_nowhere_is_refused(tmp_path: Path, setting: str) -> None:
    file = write(tmp_path, "problems: {train: [{format: gsm8k}]}")
    with pytest.raises(ConfigError):
        recipes.load(file, [setting])


def test_what_json_does_not_have_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 1, column 8: a timestamp is no value of a recipe"):
        recipes.load(write(tmp_path, "title: 2026-01-02"), ["sampling.k=3"])


def test_a_misspelt_key_is_named_with_its_likely_meaning(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean sampling\.temperature"):
        recipes.load(write(tmp_path, "sampling: {temprature: 1}"))


@given(st.floats(min_value=1e-9, max_value=1.0))
def test_any_number_that_python_prints_is_read_back(value: float) -> None:
    data = recipes.override_all({}, [f"train.lr={value!r}"])
    assert parse(data).train.lr == value


@given(st.text(max_size=40))
def test_no_setting_gives_anything_but_a_config_or_a_config_error(text: str) -> None:
    try:
        data = recipes.override_all({"name": "x"}, [text])
    except ConfigError:
        return
    try:
        identity(parse(data))
    except ConfigError:
        return


def test_a_recipe_may_be_its_difference_from_another(tmp_path: Path) -> None:
    mine = recipes.read(write(tmp_path, "extends: demo\nsampling: {k: 9}\nmethods: [text]\n"))
    demo = recipes.read("demo")
    assert mine["sampling"] == {**demo["sampling"], "k": 9}
    assert (mine["methods"], mine["problems"]) == (["text"], demo["problems"])
    assert (mine["name"], "title" in mine, "extends" in mine) == ("mine", False, False)


def test_what_is_extended_may_extend_another_as_seen_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "parent.yaml").write_text("extends: ../grand.yaml\ntrain: {steps: 5}\n")
    (tmp_path / "grand.yaml").write_text("train: {steps: 4, lr: 0.5}\n")
    mine = recipes.read(write(tmp_path, "extends: deep/parent.yaml\ntrain: {warmup: 0.2}\n"))
    assert mine["train"] == {"steps": 5, "lr": 0.5, "warmup": 0.2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: mine.yaml", r"extend each other in a circle, got 'mine.yaml → mine.yaml'"),
        ("extends: dmeo", r"mine.yaml: extends: unknown recipe, got 'dmeo'.*did you mean demo"),
        ("extends: [demo, paper-small]", r"extends must name one recipe"),
    ],
)
def test_what_cannot_be_extended_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        recipes.read(write(tmp_path, text))


METHOD = """
name: mine
answer: stated
phrasings:
  - {heading: "Mine:", instruction: "Solve it.", translation: "Rewrite it."}
shots:
  - ["How many are 3 and 4?", "3 + 4 = 7\\nThe answer is 7"]
"""


def with_method(folder: Path, text: str = METHOD) -> str:
    (folder / "method.yaml").write_text(text)
    return write(folder, f"methods: [text, mine]\nmethod_files: [{folder / 'method.yaml'}]")


def test_a_method_file_travels_in_the_text_of_the_recipe(tmp_path: Path) -> None:
    text = to_text(recipes.load(with_method(tmp_path)))
    (tmp_path / "method.yaml").unlink()
    (file,) = from_text(text).filed
    assert (file.name, file.shots) == ("mine", (("How many are 3 and 4?", "3 + 4 = 7\nThe answer is 7"),))


def test_a_recipe_s_identity_follows_the_content_of_its_method_files_and_not_their_layout(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    run = run_id(recipes.load(with_method(tmp_path)))
    assert run_id(recipes.load(with_method(tmp_path / "elsewhere", f"# as before\n{METHOD}\n"))) == run
    assert run_id(recipes.load(with_method(tmp_path, METHOD.replace("Solve it.", "Solve this.")))) != run


def test_a_shipped_method_needs_only_its_name(tmp_path: Path) -> None:
    config = recipes.load(write(tmp_path, "sampling: {k: 2}"), ["methods=[text, decompose]"])
    assert [file.name for file in config.filed] == ["decompose"]


def test_a_file_of_the_same_name_goes_before_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "method.yaml").write_text(METHOD.replace("name: mine", "name: answer"))
    config = recipes.load(write(tmp_path, f"methods: [answer]\nmethod_files: [{tmp_path / 'method.yaml'}]"))
    assert [file.phrasings[0].heading for file in config.method_files] == ["Mine:"]


def test_two_recipes_of_one_process_may_give_a_name_to_different_methods(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one = recipes.load(with_method(tmp_path))
    other = recipes.load(with_method(tmp_path / "other", METHOD.replace("Mine:", "Other:")))
    assert [method("mine", c.filed).phrasings[0].heading for c in (one, other)] == ["Mine:", "Other:"]


def test_the_schema_takes_a_method_by_its_path_and_by_its_content(tmp_path: Path) -> None:
    jsonschema.validate(recipes.read(with_method(tmp_path)), SCHEMA)
    jsonschema.validate(to_data(recipes.load(with_method(tmp_path))), SCHEMA)


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("method_files: [nowhere.yaml]", "no such method file"),
        ("method_files: [decmpose]", "did you mean decompose"),
        ("method_files: [{name: mine}]", r"method_files\[0\]: 'answer' is missing"),
        ("methods: [text, mine]", "unknown method.*mine"),
    ],
)
def test_a_method_that_is_not_there_is_refused(tmp_path: Path, recipe: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        recipes.load(write(tmp_path, recipe))
