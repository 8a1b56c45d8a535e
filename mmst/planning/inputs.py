"""The model that a plan is for: its shape and tokenizer, from its folder if it is on this machine.

Shapes are read from, in this order: the `config.json` that is asked for; the one in `model.base`;
a shipped one (`mmst/planning/architectures`) with the same name as the last part of `model.base`.
"""

from __future__ import annotations

import json
from pathlib import Path

from mmst import wiring
from mmst.core.errors import ModelError
from mmst.models.sources import model_files
from mmst.planning.architecture import architecture
from mmst.planning.plan import Model
from mmst.planning.work import CHARACTERS, Count

FOLDER = Path(__file__).parent / "architectures"


def names() -> list[str]:
    """The names of the shipped shapes, as on the Hugging Face Hub."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def model_and_tokens(base: str, config: str = "") -> tuple[Model, Count]:
    """The model in `model.base` or in `config` (a file, or a shipped name), and a function that counts its tokens.

    Without a tokenizer here, tokens are estimated from characters, and the model's name says so.
    """
    path = Path(base).expanduser()
    if base.startswith("mmst:") or (path / "config.json").is_file() or path.is_file():
        folder: Path | None = model_files(base).folder
    else:
        folder = None
    file = _file(base, config, folder)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{file} cannot be read ({e})", remedy="pass a Hugging Face config.json") from None
    if not isinstance(data, dict):
        raise ModelError(f"{file} is not a mapping of keys", remedy="pass a Hugging Face config.json")
    shape = architecture(data, str(file))
    name = file.stem if file.parent == FOLDER or file.name != "config.json" else file.parent.name
    if folder is None:
        about = f"{name}, not on this machine: tokens estimated as {CHARACTERS} characters each"
        return Model(shape, about), lambda texts: [-(-len(t) // CHARACTERS) for t in texts]
    sizes = {p: p.stat().st_size for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")}
    weights = sum(size for path, size in sizes.items() if path.suffix == ".safetensors")
    return Model(shape, name, weights, sum(sizes.values()) - weights), wiring.token_counter(folder)


def _file(base: str, config: str, folder: Path | None) -> Path:
    shipped = {name.casefold(): FOLDER / f"{name}.json" for name in names()}
    if config:
        path = Path(config).expanduser()
        if path.is_file():
            return path
        if config.casefold() in shipped:
            return shipped[config.casefold()]
    elif folder:
        return folder / "config.json"
    elif (last := base.rstrip("/").rsplit("/", 1)[-1].partition("@")[0].casefold()) in shipped:
        return shipped[last]
    raise ModelError(
        "there is no model with this name or path",
        value=config or base,
        remedy=f"pass its config.json with --model-config, or the name of a shipped one: {', '.join(names())}",
    )
