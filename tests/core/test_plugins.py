"""What recipes name: ours and other packages' entries, found by one registry and refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mmst.core import plugin_keys, plugins
from mmst.core.config import parse, parse_stored
from mmst.core.errors import ConfigError, MmstError, PlatformError, SetupError, Stopped
from mmst.core.manifest import Place
from mmst.core.stage import Stage
from mmst.methods import method
from mmst.preflight import machine, recipe
from mmst.stages.build_trainset import BuildTrainset
from mmst.stages.evaluate import Evaluate
from mmst.stages.sample import Sampling
from mmst.stages.translate import Translate
from mmst.stages.verify import Verify
from mmst.storage.folder import FolderStore
from mmst.wiring import added
from tests.stages import test_sample
from tests.support.fakes import Echo
from tests.support.packages import package

METHOD = """
from mmst.methods import Phrasing
class By:
    name, executes, shots = "guess", False, ()
    phrasings = (Phrasing("Guess:", "Guess.", "Rewrite as a guess."),)
    def solution(self, completion): return completion.strip()
    def answer(self, solution, stdout): return {answer}
    def canonical(self, solution): return solution
METHOD = By()
"""
GUESS = "[mmst.methods]\nguess = acme:METHOD\n"

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages for the length of a test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def do(name: str, points: str, code: str = "", version: str = "1.0") -> str:
        made = package(tmp_path, name, points, code, version)
        plugins.forget()
        return made

    yield do
    for name in set(sys.modules) - before:
        if not name.startswith("mmst."):
            del sys.modules[name]
    monkeypatch.undo()
    plugins.forget()


def test_every_entry_of_ours_can_be_loaded() -> None:
    for group, ours in plugins.OURS.items():
        for name in ours:
            assert added.ready(group, name)


def test_every_module_of_a_method_or_format_stands_in_the_table(repo_root: Path) -> None:
    for room, attribute in (("methods", "METHOD ="), ("datasets", "def problem(row")):
        modules = {
            f"mmst.{room}.{path.stem}"
            for path in (repo_root / "mmst" / room).glob("*.py")
            if any(line.startswith(attribute) for line in path.read_text(encoding="utf-8").splitlines())
        }
        entered = {at.partition(":")[0] for at in plugins.OURS[f"mmst.{room}"].values()}
        assert modules == entered - {"mmst.datasets.generated"}


def test_an_installed_method_is_found_and_works(install: Install) -> None:
    install("acme", GUESS, METHOD.format(answer='"7"'))
    assert plugins.names(plugins.METHODS) == ["text", "code", "guess"]
    assert method("guess").answer("", None) == "7"
    assert parse({"methods": ["text", "guess"]}).methods == ("text", "guess")


def test_an_unknown_name_is_refused_with_its_key_and_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"check\.sandbox: unknown sandbox, got 'gvisr'.*did you mean gvisor\?"):
        parse({"check": {"sandbox": "gvisr"}})


def test_a_stored_recipe_is_read_though_what_it_names_is_gone() -> None:
    assert parse_stored({"check": {"sandbox": "gone"}}).check.sandbox == "gone"


@pytest.mark.parametrize("points", ["[mmst.methods]\ntext = acme:METHOD\n", GUESS])
def test_a_name_that_is_taken_is_refused_with_both_packages(install: Install, points: str) -> None:
    install("acme", points, METHOD.format(answer="None"))
    install("bolt", points.replace("acme", "bolt"), METHOD.format(answer="None"))
    name = points.split("\n")[1].split(" ")[0]
    with pytest.raises(SetupError, match=r"several packages.*acme 1\.0.*bolt 1\.0.*pip uninstall acme or bolt"):
        method(name)


def test_a_taken_name_stops_no_recipe_that_does_not_use_it(install: Install) -> None:
    install("acme", "[mmst.samplers]\nlocal = acme:sampler\n")
    config = parse({"sampling": {"backend": "openai", "url": "http://127.0.0.1:1"}})
    assert config.sampling.backend == "openai"
    with pytest.raises(SetupError, match="several packages add a sampler 'local'"):
        parse({})


BROKEN: Mapping[str, tuple[str, str, str]] = {
    "no module": (GUESS.replace("acme", "nowhere"), "", "No module named 'nowhere'"),
    "an error": (GUESS, "1 / 0", "ZeroDivisionError"),
    "an exit": (GUESS, "raise SystemExit(3)", "SystemExit"),
    "no object": (GUESS, "", "no attribute 'METHOD'"),
    "no reference": ("[mmst.methods]\nguess = ??\n", "", "cannot be loaded"),
    "no method": (GUESS, "METHOD = 7", "must be an object with name"),
    "a class": (GUESS, METHOD.format(answer="None") + "\nMETHOD = By", "not a class"),
    "another name": (GUESS.replace("guess", "other"), METHOD.format(answer="None"), "its name is 'guess'"),
    "no phrasing": (GUESS, METHOD.format(answer="None") + "\nBy.phrasings = ()", "phrasings"),
    "odd shots": (GUESS, METHOD.format(answer="None") + "\nBy.shots = (('a',),)", "shots"),
    "an exit when looked at": (
        GUESS,
        METHOD.format(answer="None") + "\nBy.shots = property(lambda self: exit(0))",
        "SystemExit",
    ),
    "a trap": (GUESS, METHOD.format(answer="None") + "\nBy.shots = property(lambda self: 1 / 0)", "ZeroDivisionError"),
    "a bad name": (GUESS.replace("guess", "a.b"), METHOD.format(answer="None"), "name that cannot be used"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_method_is_named_with_package_entry_point_and_remedy(install: Install, case: str) -> None:
    points, code, why = BROKEN[case]
    install("acme", points, code)
    name = points.split("\n")[1].split(" ")[0]
    with pytest.raises(SetupError) as e:
        method(name)
    said = str(e.value)
    assert why in said
    assert "acme 1.0, entry point mmst.methods: " in said
    assert "Remedy: " in said


def test_a_broken_package_stops_nothing_that_does_not_use_it(install: Install) -> None:
    install("acme", GUESS, "1 / 0")
    install("bolt", "[mmst.methods]\nno equals sign\n")
    assert method("text").name == "text"
    assert parse({}).methods == ("text", "code")
    assert "bolt" in " ".join(plugins.installed()[1])


@pytest.mark.parametrize(
    ("group", "code", "why"),
    [
        (plugins.DATASETS, "thing = 7", "function of a row"),
        (plugins.SAMPLERS, "thing = 7", "function that returns a context manager"),
        (plugins.SANDBOXES, "thing = None", "function that returns a context manager"),
    ],
)
def test_a_wrong_shape_is_refused_in_every_group(install: Install, group: str, code: str, why: str) -> None:
    install("acme", f"[{group}]\nodd = acme:thing\n", code)
    with pytest.raises(SetupError, match=f"wrong shape.*{why}"):
        added.ready(group, "odd")


@pytest.mark.parametrize("answer", ["7", "solution[99]"])
def test_what_a_method_does_wrong_is_a_failure_and_no_verdict(install: Install, answer: str) -> None:
    install("acme", GUESS, METHOD.format(answer=answer))
    with pytest.raises(PlatformError, match=r"acme 1\.0.*failed while reading the answer"):
        method("guess").answer("short", None)


@pytest.mark.parametrize("raised", ["SystemExit(0)", "type('Other', (BaseException,), {})()"])
def test_an_exit_of_a_method_is_a_failure_and_no_end_of_ours(install: Install, raised: str) -> None:
    install("acme", GUESS, METHOD.format(answer=f"(_ for _ in ()).throw({raised})"))
    with pytest.raises(PlatformError, match=r"acme 1\.0.*failed while reading the answer"):
        method("guess").answer("short", None)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit, Stopped("stopped")])
def test_what_stops_us_passes_through_another_package(install: Install, stop: Any) -> None:
    install("acme", GUESS, METHOD.format(answer="None"))
    entry = plugins.find(plugins.METHODS, "guess")
    with pytest.raises(stop if isinstance(stop, type) else type(stop)), plugins.blamed(entry, "working"):
        raise stop


def test_a_package_that_calls_itself_mmst_is_not_ours(install: Install) -> None:
    install("mmst", GUESS, METHOD.format(answer="1 / 0"), version="9.9")
    found = plugins.find(plugins.METHODS, "guess")
    assert not found.ours
    assert plugin_keys.identity((plugins.METHODS, "guess"))
    with pytest.raises(PlatformError, match=r"mmst 9\.9.*failed"), plugins.blamed(found, "working"):
        raise KeyError


def keys(**recipe: Any) -> list[Any]:
    config, place = parse(recipe), Place(run="r", round=1, arm="mmst", step="step")
    stages: list[Stage[Any]] = [Sampling(), Translate(), BuildTrainset(), Verify(), Evaluate()]
    return [stage.key(stage.settings(config, place), config) for stage in stages]


def test_our_own_names_leave_the_keys_of_stages_as_they_were() -> None:
    assert not any("plugins" in key or "plugins" in key.get("protocol", ()) for key in keys())


def test_package_version_and_code_of_a_method_are_in_the_keys_of_the_stages_that_use_it(
    install: Install, tmp_path: Path
) -> None:
    install("acme", GUESS, METHOD.format(answer="None"))
    seen = [keys(methods=["text", "guess"])]
    added = [(key.get("protocol", key))["plugins"] for key in seen[0]]
    assert all(whose["mmst.methods: guess"][:2] == ["acme", "1.0"] for whose in added)
    (tmp_path / "acme.py").write_text(METHOD.format(answer='"7"'), encoding="utf-8")
    plugins.forget()
    seen.append(keys(methods=["text", "guess"]))
    (tmp_path / "acme-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.1\n")
    plugins.forget()
    seen.append(keys(methods=["text", "guess"]))
    for a, b in ((0, 1), (1, 2)):
        assert all(x != y for x, y in zip(seen[a], seen[b], strict=True))


def test_a_package_in_a_namespace_is_hashed_without_its_neighbours(install: Install, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "firm" / name).mkdir(parents=True)
        (tmp_path / "firm" / name / "__init__.py").write_text("thing = print\n", encoding="utf-8")
    install("acme", "[mmst.datasets]\nodd = firm.one:thing\n")
    before = plugin_keys.identity((plugins.DATASETS, "odd"))
    (tmp_path / "firm/two/__init__.py").write_text("", encoding="utf-8")
    plugins.forget()
    assert plugin_keys.identity((plugins.DATASETS, "odd")) == before
    (tmp_path / "firm/one/table.json").write_text("{}", encoding="utf-8")
    plugins.forget()
    assert plugin_keys.identity((plugins.DATASETS, "odd")) != before


def test_errors_of_a_package_that_are_ours_pass_as_they_are(install: Install) -> None:
    install("acme", GUESS, METHOD.format(answer="None"))
    entry = plugins.find(plugins.METHODS, "guess")
    with pytest.raises(MmstError) as e, plugins.blamed(entry, "working"):
        raise SetupError("no key")
    assert e.value.what == "no key"


def test_doctor_says_what_is_wrong_with_a_broken_one_and_needs_it_for_nothing(install: Install) -> None:
    install("acme", GUESS, "1 / 0")
    install("bolt", "[mmst.methods]\nno equals sign\n")
    broken, unreadable = machine.plug_ins()
    assert (broken.what, broken.ok, broken.needed, unreadable.needed) == ("method guess", False, False, False)
    assert "ZeroDivisionError" in broken.found
    assert "pip install --upgrade acme" in broken.remedy
    assert "bolt" in unreadable.found


def test_a_recipe_that_names_a_broken_one_is_refused_before_it_runs(install: Install) -> None:
    install("acme", GUESS, "1 / 0")
    with pytest.raises(SetupError, match="ZeroDivisionError"):
        recipe.check(parse({"methods": ["text", "guess"]}))


ALIKE = """
from mmst.methods import Phrasing, method
TEXT = method("text")
class By:
    name, executes, shots = "guess", False, (("How many are 3 and 4?", "The answer is 7"),)
    phrasings = (Phrasing("Guess:", "Guess.", "Rewrite as a guess."),)
    def solution(self, completion): return TEXT.solution(completion)
    def answer(self, solution, stdout): return TEXT.answer(solution, stdout)
    def canonical(self, solution): return TEXT.canonical(solution)
METHOD = By()
"""
FILED = {
    "name": "guess",
    "answer": "stated",
    "phrasings": [{"heading": "Guess:", "instruction": "Guess.", "translation": "Rewrite as a guess."}],
    "shots": [["How many are 3 and 4?", "The answer is 7"]],
}


@pytest.mark.parametrize("style", ["plain", "few-shot"])
def test_a_method_by_file_draws_the_samples_of_the_same_method_by_code(
    style: str, install: Install, tmp_path: Path
) -> None:
    def shards(name: str, **more: Any) -> list[bytes]:
        recipe = {"methods": ["text", "guess"], "prompt": {"style": style}, "sampling": {"shard": 2}, **more}
        here = test_sample.Here(parse(recipe), FolderStore(tmp_path / name), Echo())
        made = test_sample.run(here)
        read = [here.store.read(f"{made.ref}/{file.name}") for file in made.files]
        return [shard for shard in read if shard is not None]

    filed = shards("filed", method_files=[FILED])
    install("acme", GUESS, ALIKE)
    assert b"Guess:" in filed[0]
    assert shards("coded") == filed


def test_a_method_file_may_not_take_the_name_of_an_installed_method(install: Install) -> None:
    install("acme", GUESS, METHOD.format(answer='"7"'))
    with pytest.raises(ConfigError, match="an installed package adds a method of this name, got 'guess'"):
        parse({"method_files": [FILED]})


def test_a_method_by_file_needs_no_package() -> None:
    assert plugin_keys.requirements(["text", "guess"], ["guess"]) == []
