"""Write the parts of the docs that come from the code, so that each fact stands in one place.

In a page, what stands between `<!-- from: NAME -->` and `<!-- end -->` is replaced: NAME is
`options`, `errors`, `doc:` and a module (its docstring), or a file of the repository. With
`--check`, say what is stale and exit 1 instead; links between the pages are checked too.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmst.core import config, errors

ROOT = Path(__file__).resolve().parent.parent
PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
PART = re.compile(r"(<!-- from: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def options() -> str:
    """The option tables, one a section."""
    sections: dict[str, list[str]] = {}
    for path, kind, default, help in config.options():
        section, _, key = path.rpartition(".")
        sections.setdefault(section, []).append(row(key, kind, default, help))
    sections["A problem source"] = [row(*option) for option in config.options(config.Source)]
    head = "| key | type | default | what it does |\n| --- | --- | --- | --- |\n"
    titles = {"": "The recipe itself", "A problem source": "A problem source"}
    return "\n".join(
        f"### {titles.get(name, f'`{name}`')}\n\n{head}" + "\n".join(rows) + "\n" for name, rows in sections.items()
    )


def row(key: str, kind: str, default: Any, help: str) -> str:
    """A line of an option table."""
    shown = f"[{', '.join(map(str, default))}]" if isinstance(default, tuple) else str(default)
    return f"| `{key}` | {kind} | {f'`{shown}`' if shown else ''} | {help.replace('|', '/')} |"


def error_tree() -> str:
    """The errors with their exit codes, as their module draws them."""
    doc = (errors.__doc__ or "").split("\n\n")[1]
    return f"```text\n{doc}\n```\n"


def part(name: str) -> str:
    """The text of a generated part."""
    if name == "options":
        return options()
    if name == "errors":
        return error_tree()
    if name.startswith("doc:"):
        return f"```text\n{(importlib.import_module(name.removeprefix('doc:')).__doc__ or '').strip()}\n```\n"
    path = ROOT / name
    language = {".py": "python", ".yaml": "yaml", ".csv": "csv", ".toml": "toml", "": "dockerfile"}[path.suffix]
    return f"```{language}\n{path.read_text(encoding='utf-8')}```\n"


def fresh(text: str) -> str:
    """A page with its generated parts up to date."""
    return PART.sub(lambda m: f"{m[1]}{part(m[2])}{m[3]}", text)


def broken_links(page: Path) -> Iterator[str]:
    """The links of a page to files that are not there."""
    for target in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target and not (page.parent / target).exists():
            yield f"{page.relative_to(ROOT)}: no {target}"


def main(check: bool) -> int:
    """Write, or with `check` only compare; the exit code."""
    wrong = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = fresh(before)
        if check and after != before:
            wrong.append(f"{page.relative_to(ROOT)} is stale: run `make docs`")
        elif after != before:
            page.write_text(after, encoding="utf-8")
        wrong += broken_links(page)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
