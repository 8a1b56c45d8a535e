"""Remedies name extras that there are."""

import re
import tomllib
from pathlib import Path


def test_every_extra_that_a_remedy_names_is_one(repo_root: Path) -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = "".join(path.read_text(encoding="utf-8") for path in (repo_root / "mmst").rglob("*.py"))
    named = set(re.findall(r'(?:install|needed)\("(\w+)"', sources))
    assert len(named) >= 5
    assert named <= set(project["optional-dependencies"])
