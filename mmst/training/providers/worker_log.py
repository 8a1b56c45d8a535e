"""Reading the log of the training worker (`mmst.training.worker`) and the reason of its failure. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mmst.core.errors import DivergedError, TrainingError, UserError

MARK = "MMST "
TAIL = 20
"""Number of lines of a failed worker's log that are shown."""


def event(line: str) -> dict[str, Any] | None:
    """What a line of the log tells (`{"step": 7, "loss": 0.52}`, `{"failed": 1, …}`); None for other lines."""
    if not line.startswith(MARK):
        return None
    try:
        found = json.loads(line.removeprefix(MARK))
    except ValueError:
        return None  # a line cut by whoever passed it on
    return found if isinstance(found, dict) else None


def failure(died: str, failures: Sequence[dict[str, Any]], tail: Iterable[str], where: str) -> Exception:
    """The error of a failed worker: from its last message, or else from its exit code and last lines."""
    if not failures:
        lines = "\n    ".join(tail)
        return TrainingError(f"the training worker died ({died}); see {where}. Its last lines:\n    {lines}")
    first = failures[0]
    if first["kind"] == "diverged":
        return DivergedError(first["message"])
    if first["kind"] == "user":
        return UserError(first["message"].rstrip("."))
    lines = "\n    ".join(first["trace"].rstrip().splitlines()[-TAIL:])
    return TrainingError(
        f"rank {first['failed']} of the training worker failed; see {where}. Its last lines:\n    {lines}"
    )
