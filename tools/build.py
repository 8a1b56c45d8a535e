"""Train the shipped base model from its seed, in one run, measure it, and write its folder.

    python -m tools.build --out mmst/models/tiny        (make base-model)

Runs on a GPU when there is one, else on the processor. The same device gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tools import card, data, tokenizer
from tools.training import Training, save, trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Training):
    """Every choice that the weights depend on."""

    problems: int = 30_000
    drills: int = 20_000
    mix: tuple[tuple[str, float], ...] = (("solve", 0.5), ("pair", 0.1), ("translation", 0.25), ("facts", 0.15))


def made(recipe: Recipe, device: str) -> tuple[Any, Any, dict[str, int]]:
    """Tokenizer, trained model, and counts of its documents."""
    tok = tokenizer.build()
    problems = data.problems(recipe.problems, recipe.seed)
    data.refuse_held_out(problems)
    documents = data.documents(problems, recipe.drills, recipe.seed)
    model = trained(documents, tok, recipe, device)
    return tok, model, {"problems": len(problems), **{k: len(ds) for k, ds in documents.items()}}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("mmst/models/tiny"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the recipe, e.g. steps=100")
    options = parser.parse_args(arguments)
    recipe = Recipe(**{k: json.loads(v) for k, v in (s.split("=", 1) for s in options.set)})
    wall, cpu = time.monotonic(), time.process_time()
    tok, model, counts = made(recipe, options.device)
    spent = f"{time.monotonic() - wall:.0f} s ({time.process_time() - cpu:.0f} s of processor time) on {options.device}"
    save(tok, model, options.out)
    text = card.write(tok, model, asdict(recipe), counts, spent)
    (options.out / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
