"""What a model's files say of it: architecture, parameters, context, template, licence. No weight is read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmst.core.errors import ModelError
from mmst.models.loading import AGAIN, json_object

HEADER_MOST = 100 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A model in a few words. `context` is 0 and texts are empty where its files do not say."""

    name: str
    architecture: str
    parameters: int
    dtypes: tuple[str, ...]
    context: int
    chat_template: bool
    licence: str


def describe(folder: Path) -> Description:
    """A model folder's own words; `ModelError` for files that hold something else."""
    config = json_object(folder / "config.json")
    inner = config.get("text_config")
    text: dict[str, Any] = inner if isinstance(inner, dict) else {}
    parameters, dtypes = 0, set[str]()
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in header(path).items():
            if name != "__metadata__":
                parameters += math.prod(whole(size) for size in tensor["shape"])
                dtypes.add(str(tensor["dtype"]))
    limits = [found for source in (config, text) for key in CONTEXT if (found := whole(source.get(key)))]
    named = config.get("architectures")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return Description(
        name=folder.name,
        architecture=", ".join(names) or str(config.get("model_type", "")),
        parameters=parameters,
        dtypes=tuple(sorted(dtypes)),
        context=min(limits, default=0),
        chat_template=has_template(folder),
        licence=_licence(folder),
    )


def has_template(folder: Path) -> bool:
    """Whether the folder's tokenizer has a chat template."""
    tokenizer = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (
        tokenizer.is_file() and bool(json_object(tokenizer).get("chat_template"))
    )


CONTEXT = ("max_position_embeddings", "n_positions", "seq_length")


def whole(value: object) -> int:
    """A size that a file states; 0 for anything else."""
    return value if type(value) is int and value > 0 else 0


def header(path: Path) -> dict[str, Any]:
    """The names, types and shapes of a safetensors file's tensors."""
    try:
        with path.open("rb") as f:
            size = int.from_bytes(f.read(8), "little")
            header = json.loads(f.read(size)) if size <= HEADER_MOST else None
        if not isinstance(header, dict):
            raise ValueError("no header")
        for name, tensor in header.items():
            if name == "__metadata__":
                continue
            if not isinstance(tensor["shape"], list) or not isinstance(tensor["dtype"], str):
                raise ValueError(f"no shape and dtype of {name}")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as e:
        raise ModelError(f"{path} cannot be read as safetensors ({e})", remedy=AGAIN) from e
    return header


def _licence(folder: Path) -> str:
    """What the model card's head says, or that there is a file of it."""
    card = folder / "README.md"
    if card.is_file():
        head = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        if found := re.search(r"^license(?:_name)?:\s*(\S.*)$", head, re.MULTILINE):
            return found[1].strip("\"' ")
    return next((f"see {path.name}" for path in sorted(folder.glob("LICENSE*"))), "")
