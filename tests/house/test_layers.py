"""Who may import whom, where import-linter's contracts cannot say it. Lazy imports count."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmst.stages import STEPS

HEAVY = (
    "torch",
    "transformers",
    "kfp",
    "kserve",
    "mlflow",
    "boto3",
    "deepspeed",
    "peft",
    "httpx",
    "httptools",
    "orjson",
    "numpy",
    "pandas",
)


@functools.cache
def imports(file: Path, *, lazy: bool = True) -> frozenset[str]:
    """The full names that a module imports: with `lazy`, also inside functions; never those for type checkers."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree) if lazy else tree.body:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def users(folder: Path, prefix: str) -> set[str]:
    """The modules below `folder` that import something that starts with `prefix`."""
    return {
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.py")
        if any(f"{name}.".startswith(f"{prefix}.") for name in imports(path))
    }


PROVIDERS = ("sandbox/providers", "inference/providers", "training/providers", "storage", "registry")
"""The rooms whose modules fulfil a port with one outside engine each."""


def test_only_wiring_imports_providers(repo_root: Path) -> None:
    """The model server does too: it is a program around one of them. So do those of serving, which wiring imports."""
    mmst = repo_root / "mmst"
    found = set[str]()
    for room in PROVIDERS:
        there = users(mmst, "mmst." + room.replace("/", "."))
        found |= {name for name in there if not name.startswith(f"{room}/")}
    assert {name for name in found if not name.startswith(("inference/server/", "wiring/"))} == {
        "pyfunc",
        "serving/champion_service",
        "serving/registry_versions",
    }
    assert users(mmst, "mmst.serving.champion_service") | users(mmst, "mmst.serving.registry_versions") == {
        "wiring/__init__"
    }


def test_only_the_worker_imports_deepspeed(repo_root: Path) -> None:
    assert {name for name in users(repo_root / "mmst", "deepspeed") if not name.startswith("training/")} == set()


def test_only_a_command_reaches_the_graph_and_lazily(repo_root: Path) -> None:
    mmst = repo_root / "mmst"
    assert {name.split("/")[0] for name in users(mmst, "mmst.pipelines")} <= {"cli"}
    assert users(mmst, "mmst.components") == set()
    assert users(mmst, "kfp") <= {"preflight/machine"}
    for path in mmst.rglob("*.py"):
        assert not [name for name in imports(path, lazy=False) if name.startswith(("mmst.pipelines", "kfp"))], path


def test_providers_do_not_import_one_another(repo_root: Path) -> None:
    """Modules of one provider share the first word of their names; `worker_log` is for every launcher."""
    for room in PROVIDERS[:3]:
        within = f"mmst.{room.replace('/', '.')}."
        for path in (repo_root / "mmst" / room).glob("*.py"):
            others = {name.removeprefix(within).split(".")[0] for name in imports(path) if name.startswith(within)}
            assert {other.split("_")[0] for other in others - {"worker_log"}} <= {path.stem.split("_")[0]}, path.name


def test_stages_do_not_import_each_other(repo_root: Path) -> None:
    declared = {where.partition(":")[0] for where in STEPS.values()}
    for module in declared:
        found = imports(repo_root / f"{module.replace('.', '/')}.py")
        assert not {name for name in found if name.startswith(tuple(f"{other}." for other in declared - {module}))}, (
            module
        )


def test_what_runs_inside_the_sandbox_needs_nothing_else(repo_root: Path) -> None:
    guest = [*(repo_root / "mmst/sandbox/guest").glob("*.py")]
    assert guest
    for path in guest:
        found = {name for name in imports(path) if name.split(".")[0] not in sys.stdlib_module_names}
        assert all(name.startswith("mmst.sandbox.guest") for name in found), path.name


def test_components_import_mmst_only_in_their_bodies(repo_root: Path) -> None:
    for path in (repo_root / "components").glob("*.py"):
        at_top = {name for name in imports(path, lazy=False) if name.startswith("mmst.")}
        assert at_top <= {"mmst.components.image.IMAGE", "mmst.version.__version__"}, path.name
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path.name


@pytest.mark.parametrize(
    "module", ["mmst.cli.app", "mmst.wiring", "mmst.report.stage", "mmst.core.stage", "mmst.stages"]
)
def test_light_modules_load_nothing_heavy(module: Any) -> None:
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
