"""YAML files that users name: found by name or path, read as people expect, refused with the place of the mistake."""

from pathlib import Path

import pytest

from mmst import recipes
from mmst.core.errors import ConfigError
from mmst.core.yaml import Shipped, parse
from mmst.experiments import definition
from mmst.planning import hardware

SHELVES = [recipes.SHIPPED, definition.SHIPPED, hardware.SHIPPED]


def write(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.what)
def test_each_kind_is_found_by_its_shipped_names(shelf: Shipped) -> None:
    for name in shelf.names():
        assert shelf.read(name)["title"]


def test_a_recipe_and_an_experiment_may_share_a_name() -> None:
    assert "arms" in definition.SHIPPED.read("word-problems")
    assert "sampling" in recipes.SHIPPED.read("word-problems")


def test_a_shipped_name_goes_before_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("title: mine")
    assert recipes.SHIPPED.read("demo")["title"] != "mine"
    assert recipes.SHIPPED.read("./demo")["title"] == "mine"


def test_a_file_is_named_after_itself_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert recipes.SHIPPED.read(write(tmp_path, "title: x"))["name"] == "mine"
    assert recipes.SHIPPED.read(write(tmp_path, "name: other"))["name"] == "other"


@pytest.mark.parametrize("text", ["", "- 1\n"])
@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.what)
def test_what_is_no_mapping_is_refused(tmp_path: Path, shelf: Shipped, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"{shelf.what} .*mine\.yaml is not a mapping"):
        shelf.read(write(tmp_path, text))


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.what)
def test_an_unknown_name_lists_those_that_there_are(shelf: Shipped) -> None:
    with pytest.raises(ConfigError, match=f"unknown {shelf.what}.*{shelf.names()[0]}"):
        shelf.read("demmo")


@pytest.mark.parametrize("file", ["nowhere/demo", "demmo.yaml"])
def test_a_file_that_is_not_there_is_called_a_file(file: str) -> None:
    with pytest.raises(ConfigError, match="no such recipe file"):
        recipes.SHIPPED.read(file)


@pytest.mark.parametrize("text", ["1e-3", "1.E-3", "+1e-03"])
def test_a_power_of_ten_is_a_number(text: str) -> None:
    assert parse(f"lr: {text}", "here") == {"lr": 0.001}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sampling:\n  k: [1\n", "line 3"),
        ("sampling:\n\tk: 1\n", "line 2"),
        ("sampling:\n  k: 1\n  k: 2\n", "line 3.*'k' stands twice"),
    ],
)
def test_bad_yaml_is_refused_with_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.yaml, {place}"):
        recipes.SHIPPED.read(write(tmp_path, text))


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        recipes.SHIPPED.read(write(tmp_path, "title: !!python/object/apply:os.getcwd []"))


def test_a_misspelt_name_is_told_with_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text("k: 1")
    with pytest.raises(ConfigError, match=r"unknown recipe, got 'dmeo'\. Remedy: did you mean demo\?"):
        Shipped("recipe", tmp_path).read("dmeo")


@pytest.mark.parametrize(("name", "kind"), [(".", "a folder"), ("/dev/null", "none")])
def test_what_is_there_and_no_file_is_not_said_to_be_missing(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"a recipe is a file, and this is {kind}"):
        Shipped("recipe", tmp_path).read(name)
