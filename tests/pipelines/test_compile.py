"""The compiled file: the same bytes for the same recipe, so that its hash can be its version."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mmst import recipes
from mmst.cli import app
from mmst.core.config import from_text, parse
from mmst.core.errors import ConfigError
from mmst.core.manifest import Place
from mmst.methods import method
from mmst.pipelines.compile import compile_to
from mmst.stages.sample import Sampling

METHOD = """
name: mine
answer: stated
phrasings: [{heading: "Mine:", instruction: Solve it., translation: Rewrite it.}]
"""
RECIPE = {"name": "mine", "loop": {"rounds": 2, "controls": ["annotated-only", "no-translation"]}}


def test_the_same_recipe_gives_the_same_bytes_in_any_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()
    for seed in ("1", "2", "3"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        made.add((compile_to(tmp_path / "p.yaml", parse(RECIPE)), (tmp_path / "p.yaml").read_bytes()))
    assert len(made) == 1


def test_another_recipe_is_another_version(tmp_path: Path) -> None:
    first = compile_to(tmp_path / "p.yaml", parse(RECIPE))
    assert first != compile_to(tmp_path / "p.yaml", parse(RECIPE | {"cluster": {"pipeline_image": "other"}}))


def test_a_method_file_travels_in_the_compiled_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(METHOD)
    config = recipes.load("demo", [f"method_files=[{tmp_path / 'mine.yaml'}]", "methods=[text, mine]"])
    (tmp_path / "mine.yaml").unlink()
    compile_to(tmp_path / "p.yaml", config)
    spec, _ = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    given = from_text(spec["root"]["inputDefinitions"]["parameters"]["config"]["defaultValue"])
    settings = Sampling().settings(given, Place(run="r", round=1, arm="mmst", step="sample"))
    assert method("mine", settings.method_files).answer("The answer is 7", None) == "7"


def test_objects_for_git_are_named_after_their_content(tmp_path: Path) -> None:
    version = compile_to(tmp_path / "ir.yaml", parse(RECIPE))
    assert compile_to(tmp_path / "p.yaml", parse(RECIPE), namespace="mmst") == version
    pipeline, made = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert (pipeline["kind"], pipeline["metadata"]) == ("Pipeline", {"name": "mmst-mine", "namespace": "mmst"})
    assert made["kind"] == "PipelineVersion"
    assert made["metadata"] == {"name": f"mmst-mine-{version}", "namespace": "mmst"}
    assert made["spec"]["pipelineName"] == "mmst-mine"
    spec, platform = yaml.safe_load_all((tmp_path / "ir.yaml").read_text())
    assert made["spec"]["pipelineSpec"] == spec
    assert made["spec"]["platformSpec"] == platform


def test_a_recipe_that_cannot_be_compiled_leaves_no_file(tmp_path: Path) -> None:
    config = parse(RECIPE | {"cluster": {"trainer_cpu": "1e1"}})
    with pytest.raises(ConfigError, match="Invalid cpu string"):
        compile_to(tmp_path / "p.yaml", config)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_either_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)
    for more, kinds in (([], [None, None]), (["--manifest"], ["Pipeline", "PipelineVersion"])):
        assert app.main(["compile", "--recipe", "demo", "--file", str(tmp_path / "d" / "p.yaml"), *more]) == 0
        assert [d.get("kind") for d in yaml.safe_load_all((tmp_path / "d" / "p.yaml").read_text())] == kinds
