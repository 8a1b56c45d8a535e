"""Train the base model of `word-problems` from nothing on the recipe's annotated problems.

    python -m tools.words --recipe word-problems --out word-base        (make word-base)

Prints its accuracy on the dev split and writes its folder, which the recipe names as `model.base`.
With `--ceiling` the answers-only part is annotated as well: the accuracy that all annotations give.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mmst import recipes
from mmst.core.config import ProblemsConfig
from mmst.core.errors import UserError
from tools import measure, word_data, word_tokenizer
from tools.training import Training, save, trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Training):
    """Every choice that the weights depend on; docs/experiments.md says how each was made."""

    steps: int = 900
    parts: int = 4
    drawing: word_data.Drawing = field(default_factory=word_data.Drawing)
    mix: tuple[tuple[str, float], ...] = (
        ("solve", 0.45),
        ("pair", 0.08),
        ("translation", 0.17),
        ("facts", 0.2),
        ("generated", 0.1),
    )


def with_all_annotations(problems: ProblemsConfig) -> ProblemsConfig:
    """The same recipe with every training problem annotated both ways."""
    sources = (*problems.annotated, *problems.train)
    return replace(problems, annotated=tuple(replace(s, annotated=()) for s in sources))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--recipe", default="word-problems")
    parser.add_argument("--out", type=Path, default=Path("word-base"))
    parser.add_argument("--ceiling", action="store_true", help="train on all annotations")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the recipe, e.g. steps=100")
    options = parser.parse_args(arguments)
    changes = {k: json.loads(v) for k, v in (s.split("=", 1) for s in options.set)}
    if "drawing" in changes:
        changes["drawing"] = word_data.Drawing(**changes["drawing"])
    recipe = Recipe(**changes)
    wall, cpu = time.monotonic(), time.process_time()
    problems = recipes.load(options.recipe).problems
    if options.ceiling:
        problems = with_all_annotations(problems)
    annotated = word_data.annotated_problems(problems)
    heldout = word_data.held_out(problems)
    word_data.refuse_held_out(annotated, heldout)
    made = word_data.documents(annotated, heldout, recipe.drawing, problems.near_duplicate, recipe.seed)
    texts = [text for p in annotated for text in (p.question, *p.solutions.values())]
    tok = word_tokenizer.build([*texts, *(d.prompt for d in made["generated"])])
    print(
        f"{len(annotated)} annotated problems, vocabulary {len(tok)}, documents:",
        ", ".join(f"{len(ds)} {kind}" for kind, ds in made.items()),
        flush=True,
    )
    model = trained(made, tok, recipe, options.device)
    save(tok, model, options.out)
    spent = f"{time.monotonic() - wall:.0f} s ({time.process_time() - cpu:.0f} s of processor time)"
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {spent}")
    dev = word_data.development(problems)
    for name, solved in measure.solve(model, tok, dev).items():
        print(f"dev {name}: {measure.rate([ok for _, ok in solved])} of {len(dev)}")


if __name__ == "__main__":
    try:
        main()
    except UserError as e:
        sys.exit(f"error: {e}")
