"""The examples in docstrings give what they show."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "mmst").rglob("*.py"))
SHOWING = [path for path in SOURCES if re.search(r">>> (?!.*doctest: \+SKIP)", path.read_text(encoding="utf-8"))]


def module(path: Path) -> str:
    """The name of the module in a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.gvisor
@pytest.mark.parametrize("name", map(module, SHOWING))
def test_the_examples_of_a_module_give_what_they_show(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
