"""A whole run, small enough for a test: real parts at every stage."""

from pathlib import Path
from typing import Any

from mmst.core.config import Config, parse


def small_config(out: Path, **settings: Any) -> Config:
    """One round of the shipped model on a few generated problems, with one control."""
    generated = {"format": "generated", "seed": 5}
    recipe: dict[str, Any] = {
        "name": "small",
        "out": str(out),
        "problems": {
            "train": [generated | {"count": 200, "split": "train", "limit": 40}],
            "test": [generated | {"count": 200, "split": "test", "limit": 12}],
            "related": [generated | {"count": 8, "task": "related"}],
            "annotated": [generated | {"count": 60, "seed": 6, "split": "train"}],
        },
        "sampling": {"k": 2, "shard": 8},
        "check": {"timeout": 1.0, "shard": 32},
        "translate": {"n": 1, "sources": 1},
        "train": {"steps": 6, "batch_tokens": 512, "checkpoint_every": 2},
        "loop": {"rounds": 1, "controls": ["annotated-only"], "min_new": 1},
    }
    return parse(recipe | settings)
