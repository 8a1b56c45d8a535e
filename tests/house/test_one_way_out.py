"""All that is printed goes through `observe.terminal` and `observe.console`; who writes by another way fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ALLOWED = {
    "mmst/observe/terminal.py": {"print", "sys.stdout", "sys.stderr"},
    "mmst/observe/console.py": {"rich.console.Console"},
    "mmst/cli/app.py": {
        "sys.stdout",
        "sys.__stdout__",
        "sys.__stderr__",
    },  # opens, flushes and forgets them; writes nothing
    "mmst/cli/options.py": {"sys.stdout", "sys.stderr"},  # asks whether somebody watches; flushes
    "mmst/observe/progress.py": {"sys.stderr"},  # hands it to a display, which prints by `terminal.say` or `console`
    "mmst/inference/server/app.py": {"sys.stdout"},  # flushes
    "mmst/observe/logs.py": {"sys.stderr", "logging.StreamHandler"},  # JSON, by `visible.json_text`
    "mmst/training/worker.py": {"print"},  # JSON for the process that started it
    "mmst/grading/algebra/worker.py": {"print"},  # the same
}
"""What a module may use by itself, and why."""
APART = ("mmst/sandbox/guest/",)
"""What runs in the sandbox: its output is data, and is read as such."""
WAYS = {
    "print", "pprint.pprint", "pprint.pp", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__",
    "traceback.print_exc", "traceback.print_exception", "traceback.print_stack", "traceback.print_last",
    "rich.print", "rich.print_json", "rich.inspect", "rich.get_console", "rich.console.Console",
    "click.echo", "click.secho", "click.echo_via_pager", "typer.echo", "typer.secho",
    "logging.StreamHandler", "logging.basicConfig", "logging.lastResort", "logging.captureWarnings",
    "faulthandler.dump_traceback", "warnings.showwarning",
}  # fmt: skip


def ways(source: str) -> Iterator[str]:
    """The ways to a terminal that a module's code uses, by their full names; also aliases, and in functions."""
    tree = ast.parse(source)
    names = {"print": "print"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(
                {(a.asname or a.name.split(".")[0]): (a.name if a.asname else a.name.split(".")[0]) for a in node.names}
            )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({(a.asname or a.name): f"{node.module}.{a.name}" for a in node.names})
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Attribute | ast.Name):
            full = _full(node, names)
            if full in WAYS:
                yield full
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{a.name}" for a in node.names if f"{node.module}.{a.name}" in WAYS)
        elif isinstance(node, ast.Call) and _full(node.func, names) in ("os.write", "open", "os.fdopen"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and first.value in (1, 2, "/dev/stdout", "/dev/stderr", "/dev/tty"):
                yield f"{_full(node.func, names)}({first.value})"


def _full(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    return f"{_full(node.value, names)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def test_nothing_is_printed_by_another_way(repo_root: Path) -> None:
    found = {}
    for folder in ("mmst", "components", "pipelines"):
        for path in (repo_root / folder).rglob("*.py"):
            name = path.relative_to(repo_root).as_posix()
            if not name.startswith(APART) and (used := set(ways(path.read_text(encoding="utf-8")))):
                found[name] = used
    assert found == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "import builtins\nshow = print",
        "import sys\nsys.stderr.write('x')",
        "from sys import stdout\nstdout.write('x')",
        "import sys as s\ns.stdout.write('x')",
        "from rich import print",
        "from rich.console import Console\nConsole().print('x')",
        "import rich.console\nrich.console.Console()",
        "def f():\n    import click\n    click.echo('x')",
        "import typer\ntyper.secho('x')",
        "import traceback as t\nt.print_exc()",
        "import logging\nlogging.basicConfig()",
        "from logging import StreamHandler\nStreamHandler()",
        "import os\nos.write(2, b'x')",
        "open('/dev/tty', 'w')",
    ],
)
def test_the_next_one_would_be_found(source: str) -> None:
    assert list(ways(source))


@pytest.mark.parametrize(
    "source",
    [
        "from mmst.observe.terminal import say\nsay('x')",
        "'print(1)'",
        "worker.stdout.read()",
        "import os\nos.write(fd, b'')",
    ],
)
def test_what_prints_nothing_is_not(source: str) -> None:
    assert not list(ways(source))
