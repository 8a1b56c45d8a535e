"""Reading model files, and what the libraries that do raise for unexpected content."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from mmst.core.errors import ModelError

UNREADABLE = (
    OSError, ValueError, LookupError, ImportError, TypeError, AttributeError, RecursionError, OverflowError,
    struct.error,
)  # fmt: skip
"""Errors of transformers and gguf."""
AGAIN = "copy or download it again"


def first_line(error: BaseException) -> str:
    """The beginning of an error's text, for messages of our own."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def json_object(path: Path) -> dict[str, Any]:
    """The object in a model's JSON file; `ModelError` for anything else. Native loaders would crash on some of it."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as e:
        raise ModelError(f"{path} cannot be read as JSON ({first_line(e)})", remedy=AGAIN) from e
    if not isinstance(found, dict):
        raise ModelError(f"{path} contains no JSON object", value=found, remedy=AGAIN)
    return found
