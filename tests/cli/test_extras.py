"""Commands in environments without extras: each says which extra it needs and how to get it, or does its work."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmst import recipes
from mmst.core.extras import EXTRAS, install

COMMANDS = """
plan demo
run -r here.yaml
run -r here.yaml -o s3://bucket/runs
experiment e.yaml
status
status -o s3://bucket/runs
status --cluster mmst
show demo
export demo --format trl --to e.jsonl
report demo
preflight --cluster mmst
submit -r here.yaml --endpoint http://127.0.0.1:9 -o s3://bucket/runs -s check.sandbox=gvisor_job
trigger -r demo --cluster mmst --endpoint http://127.0.0.1:9
base-model -r demo
sample -r demo --problems stages/prepare/no --checkpoint stages/base_model/no
check-programs p.jsonl --out v.jsonl --sandbox subprocess
rerun demo s-1
grade p.jsonl --out g.jsonl
extract --method text p.jsonl --out a.jsonl
labels demo
recipes
methods
compile -r demo --file c.yaml
rollout --cluster mmst --model m --once
problems list
problems import svamp svamp.json --to ours.jsonl
problems import gsm8k x.parquet --to ours.jsonl
model show mmst:tiny
model show m.gguf
model import m.gguf --to q
serve mmst:tiny --host 203.0.113.1
view --host 203.0.113.1
"""
"""Commands that end soon whatever is installed: what they name is missing, or no server answers them."""

DRIVER = """
import contextlib, io, json, shlex, sys
from mmst.cli import app
app.stop_on_signals = lambda *_: None
app.terminal.guard = lambda: None
said = {}
for line in sys.stdin.read().split("\\n"):
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = app.main(shlex.split(line))
    said[line] = code, " ".join(errors.getvalue().split())
print(json.dumps(said))
"""


def requirements(repo_root: Path) -> tuple[list[str], dict[str, list[str]]]:
    """What MMST always needs, and what each extra adds."""
    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ("all", "dev")}
    return project["dependencies"], extras


def with_theirs(listed: Iterable[str]) -> set[str]:
    """The distributions that these requirements bring, all the way down."""
    seen = set[tuple[str, frozenset[str]]]()
    todo = [(canonicalize_name(r.name), frozenset(r.extras)) for r in map(Requirement, listed)]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            further = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        todo += [
            (canonicalize_name(r.name), frozenset(r.extras))
            for r in map(Requirement, further)
            if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in {"", *extras})
        ]
    return {name for name, _ in seen}


def hidden(repo_root: Path, *kept: str) -> set[str]:
    """The packages that an environment with only these extras does not have."""
    core, extras = requirements(repo_root)
    there = with_theirs([*core, *(r for extra in kept for r in extras[extra])])
    owners = metadata.packages_distributions()
    every = with_theirs([*core, *(r for listed in extras.values() for r in listed)])
    gone = {canonicalize_name(name) for name in every} - there
    found = {package for package, owned in owners.items() if {canonicalize_name(o) for o in owned} <= gone}
    return found - {"_distutils_hack", "pkg_resources", "setuptools"}


def said_without(gone: set[str], folder: Path, repo_root: Path, lines: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Exit code and error of each command, in an environment that does not have these packages."""
    files(folder)
    path = os.pathsep.join([str(repo_root / "tests/support/hidden"), str(repo_root)])
    environment = os.environ | {"PYTHONPATH": path, "MMST_TEST_HIDDEN": ",".join(sorted(gone)), "COLUMNS": "200"}
    environment |= {"KUBECONFIG": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input="\n".join(lines), cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {line: (code, said) for line, (code, said) in json.loads(done.stdout.splitlines()[-1]).items()}


def files(folder: Path) -> None:
    """What the commands name."""
    svamp = {"ID": "1", "Body": "Ann has 1.", "Question": "How many?", "Equation": "1", "Answer": 1.0, "Type": ""}
    (folder / "svamp.json").write_text(json.dumps([svamp]))
    line = {"id": 1, "program": "print(1)", "solution": "The answer is 1.", "gold": "1", "answer": "1"}
    (folder / "p.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "x.parquet").write_bytes(b"PAR1" + bytes(20) + b"PAR1")
    (folder / "m.gguf").write_bytes(b"GGUF" + bytes(40))
    here = {**recipes.read("demo"), "promote": {"tracking_uri": "http://127.0.0.1:9"}}
    (folder / "here.yaml").write_text(yaml.safe_dump(here))
    (folder / "e.yaml").write_text("{recipe: here.yaml, vary: {sampling.seed: 1}, arms: {base: {}}}")


LINES = COMMANDS.strip().splitlines()
NEEDS = {
    "plan": "model",
    "run": "pipeline",
    "status -o s3": "s3",
    "status --cluster": "cluster",
    "preflight": "cluster",
    "submit": "pipeline",
    "trigger": "cluster",
    "compile": "pipeline",
    "rollout": "cluster",
    "problems import gsm8k x.parquet": "parquet",
    "model import": "gguf",
    "serve": "serve",
    "view": "view",
}
"""The extra that a command asks for where none is installed."""


@pytest.fixture(scope="module", params=["", *EXTRAS], ids=lambda kept: kept or "none")
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repo_root: Path
) -> tuple[str, dict[str, tuple[int, str]]]:
    """Exit code and error of each command where one extra, or none, is installed."""
    folder = tmp_path_factory.mktemp("here")
    kept = str(request.param)
    return kept, said_without(hidden(repo_root, *filter(None, [kept])), folder, repo_root, LINES)


def test_no_command_ends_unexpectedly(said: tuple[str, dict[str, tuple[int, str]]]) -> None:
    _, found = said
    assert {line: (code, text) for line, (code, text) in found.items() if code not in (0, 2, 3, 4)} == {}


def test_what_is_not_installed_comes_with_the_command_that_installs_it(
    said: tuple[str, dict[str, tuple[int, str]]],
) -> None:
    kept, found = said
    lacking = re.compile("not installed|No module named|cannot be loaded|needs the package")
    told = {line: text for line, (_, text) in found.items() if lacking.search(text)}
    named = {line: re.findall(r"Remedy: (pip install .*)", text) for line, text in told.items()}
    known = {install(extra): extra for extra in EXTRAS if extra != kept}
    assert {line: told[line] for line, commands in named.items() if not commands or commands[0] not in known} == {}
    if not kept:
        assert all(
            install(extra) in named[line] for start, extra in NEEDS.items() for line in LINES if line.startswith(start)
        )
