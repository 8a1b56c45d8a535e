"""Whether a model folder is whole and its parts fit together, found in seconds: no weight is read or loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmst.core.errors import ModelError
from mmst.models.description import has_template, header, whole
from mmst.models.loading import AGAIN, json_object

_EMBEDDING = re.compile(r"(.*\.)?(embed_tokens|wte|word_embeddings|embed_in|tok_embeddings)\.weight")
_LAYER = re.compile(r"(?:.*\.)?(?:layers|h|blocks)\.(\d+)\..+")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers")
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}


def check(folder: Path, *, chat: bool = False) -> None:
    """`ModelError` for the first thing in the folder that sampling or training would stumble over later.

    Truncated or missing files of weights; a configuration or tokenizer that does not fit them; with `chat`, no
    chat template.
    """
    config = json_object(folder / "config.json")
    shapes = dict(_tensors(folder))
    _check_config(folder / "config.json", config, shapes)
    _check_tokenizer(folder, shapes)
    if chat and not has_template(folder):
        remedy = "use the instruction-tuned model, or --set prompt.style=plain"
        raise ModelError(f"prompt.style=chat needs a chat template, and {folder} has none", remedy=remedy)


def _tensors(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The tensors' names and shapes; every file of weights is there and as long as it says."""
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    listed = json_object(index).get("weight_map", {}) if index.is_file() else {}
    names = set(map(str, listed.values())) if isinstance(listed, Mapping) else set()
    if lost := sorted(names - {path.name for path in files}):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise ModelError(f"{folder} lacks {lost[0]}{more} of the weights that {index.name} lists", remedy=AGAIN)
    found = set[str]()
    for path in files:
        tensors = header(path)
        tensors.pop("__metadata__", None)
        _check_size(path, tensors)
        for name, tensor in tensors.items():
            found.add(name)
            yield name, tensor["shape"]
    if isinstance(listed, Mapping) and (lost := sorted(set(map(str, listed)) - found)):
        raise ModelError(f"{folder} lacks the weights {lost[0]} that {index.name} lists", remedy=AGAIN)


def _check_size(path: Path, tensors: Mapping[str, Any]) -> None:
    """The file has all the bytes of its tensors."""
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    needed = start
    for name, tensor in tensors.items():
        try:
            begin, end = tensor["data_offsets"]
            bits = _BITS.get(tensor["dtype"], 0) * math.prod(tensor["shape"])
            if not 0 <= begin <= end or (bits and 8 * (end - begin) != bits):
                raise ValueError
        except (LookupError, TypeError, ValueError):
            raise ModelError(f"{path}: the place of the weights {name} is wrong", remedy=AGAIN) from None
        needed = max(needed, start + end)
    if (size := path.stat().st_size) < needed:
        raise ModelError(f"{path} is cut off: {size:,} of {needed:,} bytes", remedy=AGAIN)


def _check_config(path: Path, config: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> None:
    """The sizes in a configuration are those of the weights."""
    inner = config.get("text_config")
    sizes = {**config, **(inner if isinstance(inner, dict) else {})}
    remedy = "use the config.json that was saved with these weights"
    for name, stated, real in _sizes(sizes, shapes):
        if stated != real:
            raise ModelError(f"{path}: {name} is {stated:,}, and the weights have {real:,}", remedy=remedy)
    layers = [int(found[1]) for name in shapes if (found := _LAYER.fullmatch(name))]
    key, stated = _stated(sizes, _LAYERS)
    if layers and stated > max(layers) + 1:
        raise ModelError(f"{path}: {key} is {stated}, and the weights have {max(layers) + 1} layers", remedy=remedy)


def _sizes(config: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> Iterator[tuple[str, int, int]]:
    """Sizes that a configuration states, beside those of the input embedding."""
    rows, width = _embedding(shapes)
    for keys, real in ((("vocab_size",), rows), (_HIDDEN, width)):
        key, stated = _stated(config, keys)
        if stated and real:
            yield key, stated, real


def _embedding(shapes: Mapping[str, list[int]]) -> tuple[int, int]:
    """The input embedding's tokens and width; zeros where it cannot be told which weights it is."""
    found = [shape for name, shape in shapes.items() if _EMBEDDING.fullmatch(name)]
    return (found[0][0], found[0][1]) if len(found) == 1 and len(found[0]) == 2 else (0, 0)


def _stated(config: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, int]:
    return next(((key, size) for key in keys if (size := whole(config.get(key)))), ("", 0))


def _check_tokenizer(folder: Path, shapes: Mapping[str, list[int]]) -> None:
    """No token of the vocabulary is beyond the embedding, and no added one that prompts and answers are made of.

    Others may be: the text models of Gemma 3 have 262,144 rows and an `<image_soft_token>` of that number.
    """
    path, (rows, _) = folder / "tokenizer.json", _embedding(shapes)
    if not path.is_file():
        return
    data = json_object(path)
    model, added = data.get("model"), data.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
    if isinstance(vocabulary, list):
        ids.append(len(vocabulary) - 1)
    tokens = [t for t in added if isinstance(t, dict)] if isinstance(added, list) else []
    used = _template(folder) if tokens else ""
    ids += [t.get("id") for t in tokens if isinstance(text := t.get("content"), str) and text in used]
    most = max((n for n in ids if type(n) is int), default=-1)
    if rows and most >= rows:
        what = f"{path} is another model's: it has a token {most:,}, and the weights have {rows:,} tokens"
        raise ModelError(what, remedy="use the tokenizer that was saved with these weights")


def _template(folder: Path) -> str:
    """The chat template and the tokens that begin and end a text; empty where there are none."""
    config, template = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    stated = json_object(config) if config.is_file() else {}
    texts = [str(stated.get(key, "")) for key in ("chat_template", "bos_token", "eos_token")]
    return "\n".join([*texts, template.read_text("utf-8", "replace") if template.is_file() else ""])
