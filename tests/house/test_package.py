"""The wheel: installed in a clean environment it works, and occupies no name but `mmst`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

BARE = (
    "typer", "rich", "pyyaml", "click", "shellingham", "markdown-it-py", "mdurl", "pygments", "annotated-doc",
    "pydantic", "pydantic-core", "annotated-types", "typing-extensions", "typing-inspection",
)  # fmt: skip
"""The wheel's own requirements with theirs; the tests' environment lends them by reference."""


@pytest.fixture(scope="module")
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    # A copy: setuptools leaves build/ behind, and files that are not the project's must not be in the wheel.
    source = out / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo_root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (repo_root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((repo_root / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True, check=True,
    )  # fmt: skip
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, its three requirements, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    import importlib.metadata

    for name in BARE:
        for file in importlib.metadata.files(name) or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    return folder


def python(clean: Path, code: str, cwd: Path) -> str:
    done = subprocess.run([clean / "bin/python", "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_only_mmst(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mmst"}


def test_the_wheel_holds_recipes_model_page_style_graph_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"mmst/recipes/demo.yaml", "mmst/report/report.css", "mmst/py.typed", "mmst/pipelines/graph.py"} <= names
    assert {"config.json", "tokenizer.json"} <= {n.split("/")[-1] for n in names if n.startswith("mmst/models/tiny/")}
    assert any(n.startswith("mmst/models/tiny/") and n.endswith(".safetensors") for n in names)
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert not [n for n in names if "/__pycache__/" in n or n.startswith("tests/")]


def test_every_package_with_code_is_in_the_wheel(wheel: Path, repo_root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (repo_root / "mmst").rglob("*.py"):
        assert path.relative_to(repo_root).as_posix() in names


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 8e6


def test_help_works_in_a_clean_environment(clean: Path, tmp_path: Path) -> None:
    shown = python(clean, "import sys; sys.argv = ['mmst', '--help']; from mmst.cli.app import main; main()", tmp_path)
    assert "mmst" in shown
    assert "run" in shown


def test_a_recipe_loads_in_a_clean_environment(clean: Path, tmp_path: Path) -> None:
    code = "from mmst import recipes; print(recipes.load('demo', []).name)"
    assert python(clean, code, tmp_path).strip() == "demo"


def test_generic_names_are_not_occupied(clean: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u; print([n for n in ('components', 'pipelines', 'tests') if u.find_spec(n)])"
    assert python(clean, code, tmp_path).strip() == "[]"


def test_no_index_address_stands_in_the_project(repo_root: Path) -> None:
    for name in ("constraints.txt", "pyproject.toml", "Makefile", "scripts/setup.sh"):
        text = (repo_root / name).read_text(encoding="utf-8")
        assert "index-url" not in text
        assert "simple/" not in text


def test_every_requirement_is_pinned(repo_root: Path) -> None:
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    lines = (repo_root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(r.name): r for r in (Requirement(line) for line in lines if not line.startswith("#"))}
    for requirement in (Requirement(w) for w in wanted if not w.startswith("mmst[")):
        pin = next(iter(pinned[canonicalize_name(requirement.name)].specifier))
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement


def test_ci_and_pre_commit_run_what_developers_run(repo_root: Path) -> None:
    hooks = yaml.safe_load((repo_root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [h["entry"] for r in hooks["repos"] for h in r["hooks"]] == ["make --no-print-directory check"]
    ci = (repo_root / ".ci/run").read_text(encoding="utf-8")
    assert "make check" in ci
    assert "make test" in ci
