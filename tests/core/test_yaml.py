"""YAML files that users name: found by name or path, read as people expect, refused with the place of the mistake."""

import itertools
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


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefgh")
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sampling: &s\n  x: *s\n", r"here, line 2, column 6: \*s stands within what it repeats"),
        ("a: &a [*a]", "stands within"),
        ("[" * 3000, "nested deeper than 100 levels"),
        ("{" * 2000, "nested deeper than 100 levels"),
        ("- " * 3000, "nested deeper than 100 levels"),
        (LAUGHS, "aliases repeat more than 10000 values"),
        (LAUGHS.replace("[", "{<<: [").replace("]", "]}").replace("x", "{k: 1}"), "aliases repeat more than"),
    ],
)
def test_what_would_take_all_memory_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text, "here")


def test_an_alias_repeats_a_value_and_shares_none() -> None:
    read = parse("a: &s {k: [1]}\nb: *s\nc: {<<: *s, l: 2}\n", "here")
    assert read == {"a": {"k": [1]}, "b": {"k": [1]}, "c": {"k": [1], "l": 2}}
    read["a"]["k"][0] = 9
    assert (read["b"]["k"], read["c"]["k"]) == ([1], [1])


@pytest.mark.parametrize("value", ["!!set {a, b}", "!!binary aGk=", "!!omap [a: 1]", "!own x", "2024-01-01", "="])
def test_a_value_that_is_not_plain_data_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1, column 4: a .* is no value of a recipe"):
        parse(f"k: {value}", "here")


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!float ''", "!!null x", "!!int 1.5"])
def test_a_tag_that_its_value_does_not_fit_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1, column 4: .* is no .*leave out the tag"):
        parse(f"k: {value}", "here")


@pytest.mark.parametrize("value", ["010", "-017", "0_7", "1:30", "1:30:00", "1:30.5", "!!int '010'"])
def test_a_number_that_is_another_than_it_looks_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"to the base (8|60).*write the decimal number, or put it in quotes"):
        parse(f"k: {value}", "here")


@pytest.mark.parametrize(
    ("text", "value"),
    [("'010'", "010"), ('"1:30"', "1:30"), ("!!str 010", "010"), ("0", 0), ("10", 10), ("0.5", 0.5), ("0x10", 16)],
)
def test_other_numbers_and_quoted_ones_are_what_they_look_like(text: str, value: object) -> None:
    assert parse(f"k: {text}", "here") == {"k": value}


def test_digits_of_other_scripts_are_no_number() -> None:
    assert parse("k: 1٣e5", "here") == {"k": "1٣e5"}


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
