"""Model folders: the shipped ones, and what a folder must hold to be one."""

from __future__ import annotations

from pathlib import Path

from mmst.core.config import ModelConfig
from mmst.core.errors import ModelError
from mmst.models.loading import json_object

MADE_BY = {"word-base": "make word-base", "~/.cache/mmst/models/qwen-0.5b": "make qwen-base"}
"""Base models of shipped recipes that are not shipped with them, and the command that trains or fetches each."""
SHIPPED = Path(__file__).parent


def model_folder(name: str) -> Path:
    """The folder of a model by its name in a recipe, with all that is needed in it.

    `mmst:NAME` is a shipped model. Checked here, before anything is loaded: configuration,
    safetensors weights (pickled weights are refused: loading one runs its code), tokenizer.
    """
    if name.startswith("mmst:"):
        folder = SHIPPED / name.removeprefix("mmst:")
        if not folder.is_dir():
            shipped = ", ".join(f"mmst:{p.name}" for p in sorted(SHIPPED.iterdir()) if p.is_dir())
            raise ModelError("no such shipped model", value=name, remedy=f"shipped: {shipped}")
    else:
        folder = Path(name).expanduser()
    remedy = "set model.base to a folder that `save_pretrained` wrote, a .gguf file, or hub:OWNER/NAME@REVISION"
    if name in MADE_BY:
        remedy = f"make it with `{MADE_BY[name]}`, or {remedy}"
    if not folder.is_dir():
        raise ModelError("model.base is not a folder", value=name, remedy=remedy)
    if not (folder / "config.json").is_file():
        raise ModelError(f"model folder {folder} has no config.json", remedy=remedy)
    if _encodes(folder / "config.json"):
        raise ModelError(
            f"{folder} is an encoder-decoder model, and MMST takes decoders alone", remedy="a causal language model"
        )
    if not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"model folder {folder} has no .safetensors weights",
            remedy=(
                "save it again with model.save_pretrained(folder, safe_serialization=True); pickled weights run code"
            ),
        )
    if not any((folder / f).is_file() for f in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelError(f"model folder {folder} has no tokenizer", remedy="tokenizer.save_pretrained(folder)")
    return folder


def _encodes(config: Path) -> bool:
    """Whether the model has an encoder. What loads a configuration that cannot be read says what is wrong with it."""
    try:
        return json_object(config).get("is_encoder_decoder") is True
    except ModelError:
        return False


def trusted(model: ModelConfig) -> str:
    """The model whose own Python code may run: `model.base`, where the recipe names it; empty for none."""
    return model.trust_remote_code if model.trust_remote_code == model.base else ""
