"""What the registry is told: how a model is to be asked where neither recipe nor problems are."""

from __future__ import annotations

from mmst.core.config import parse
from mmst.core.provenance import Provenance
from tests.core.test_method_files import MINE


def test_a_registered_model_is_asked_by_its_method_files_with_their_own_examples() -> None:
    recipe = {
        "methods": ["text", "mine"],
        "method_files": [MINE],
        "prompt": {"style": "few-shot", "demonstrations": "nearest"},
        "problems": {"annotated": [{"format": "jsonl", "path": "a.jsonl"}]},
    }
    config = parse(recipe)
    asked = parse(Provenance.of(config).answering)
    assert (asked.filed, asked.prompt.style, asked.prompt.demonstrations) == (config.filed, "few-shot", "built-in")
