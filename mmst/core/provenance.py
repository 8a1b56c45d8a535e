"""What is told to the registry of the run that a model comes from. Nothing that a stage stores depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmst.core.codec import to_data
from mmst.core.config import Config, identity, run_id, what_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The run, its recipe's name and title, and all of the recipe's options as text.

    `answering` is what a consumer needs to put a problem to the model as the evaluation did: a recipe's part. Annotated
    problems are no part of it, so worked examples are the methods' own.
    """

    run: str
    recipe: str
    title: str
    params: Mapping[str, str]
    answering: Mapping[str, Any]

    @classmethod
    def of(cls, config: Config) -> Provenance:
        """That of a run of this recipe."""
        return cls(
            run=run_id(config),
            recipe=config.name,
            title=config.title,
            params={name: v if isinstance(v, str) else json.dumps(v) for name, v in _flat(what_counts(config))},
            answering={
                "methods": list(config.methods),
                **({"method_files": to_data(config.method_files)} if config.method_files else {}),
                "prompt": {k: v for k, v in identity(config.prompt).items() if k != "demonstrations"},
                "sampling": {"max_tokens": config.sampling.max_tokens},
                "model": {"dtype": config.model.dtype},
                "check": {"timeout": config.check.timeout, "memory_mib": config.check.memory_mib},
            },
        )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, v in value.items():
        if isinstance(v, Mapping):
            yield from _flat(v, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", v
