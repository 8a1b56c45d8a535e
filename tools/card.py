"""The model card: what the base model was trained on, how well it does, what is imposed on it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers

from mmst.core.records import Problem, Split
from mmst.datasets.generated import ANNOTATIONS, generate
from tools import measure

TEST = (12_000, 7)
"""Count and seed of the problems that are generated to measure on; those of the test split are used."""
RELATED = (400, 8)
GROUPS = {"in words only": ("text",), "as programs only": ("code",), "both ways": ("text", "code")}


def write(tok: Any, model: Any, recipe: Mapping[str, Any], counts: Mapping[str, int], spent: str) -> str:
    """Measure the model and describe it."""
    test = [p for p in generate(*TEST) if p.split is Split.TEST]
    related = list(generate(*RELATED, "related"))
    solved, otherwise = (measure.solve(model, tok, ps) for ps in (test, related))
    translated = measure.translate(model, tok, test, solved)
    passes = {name: [ok for _, ok in found] for name, found in solved.items()}
    parameters = sum(p.numel() for p in model.parameters())
    return f"""---
license: apache-2.0
library_name: transformers
---

# The small base model

A Llama of {parameters:,} parameters (bfloat16) that solves generated word problems in words
(`text`) and with programs (`code`), and rewrites a solution of one kind into the other. It is the
start of the demonstration of MMST, and small enough to learn on two processor cores in minutes.
It is of no use for anything else.

Written by `make base-model` (`tools/` in the repository); this page too.

## What is imposed

The families of its problems are annotated on purpose in different ways (`ANNOTATIONS` in
`mmst/datasets/generated.py`): {_families()}.
So it is good at different problems with different methods **by construction**, and translation has
something to teach. That the loop then gains says that the loop works; it says nothing about how
much it would gain on problems that people wrote. Training and held-out problems come from the same
families: other names, things, numbers and choices of wording, not other stories. The related task
has other stories.

## What it was trained on

One run from random weights, on {counts["problems"]:,} generated problems (seed {recipe["seed"]}), all of the
training split; the build stops if one is held out or annotated in a way that its family may not be.

| documents | how many | share of a batch |
|---|---|---|
{_mix(recipe, counts)}

*translation*: the steps have nothing to do with the question before them, so that rewriting is
learnt as copying, whatever the story. *pair*: families annotated both ways. *facts*: single steps
of arithmetic with numbers as the stories have them; those of held-out problems may be among them.

Recipe: {", ".join(f"{k} {v}" for k, v in recipe.items() if k != "mix")}.
Took {spent}, under load; torch {torch.__version__}, transformers {transformers.__version__},
Python {sys.version.split()[0]}.

## How it does

Greedy, {len(test)} held-out problems of the test split (seed {TEST[1]}) and {len(related)} of the related task
(seed {RELATED[1]}), 95 % Wilson intervals. Programs were run by a small interpreter here, in gVisor by MMST.
Hyper-parameters were chosen on the dev split.

| | text | code |
|---|---|---|
| held out | {" | ".join(measure.rate(passes[m]) for m in measure.METHODS)} |
{_by_group(test, passes)}
| related task | {" | ".join(measure.rate([ok for _, ok in otherwise[m]]) for m in measure.METHODS)} |

| held out: solved by | both | text only | code only | neither |
|---|---|---|---|---|
| problems | {" | ".join(str(n) for n in _overlap(passes))} |

| translation of own correct solutions | passes | of problems that the target method fails |
|---|---|---|
{_translations(test, passes, translated)}
"""


def _families() -> str:
    parts = [f"{', '.join(f for f, a in ANNOTATIONS.items() if a == kind)} {how}" for how, kind in GROUPS.items()]
    return "; ".join(parts)


def _mix(recipe: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    return "\n".join(f"| {kind} | {counts[kind]:,} | {share:.0%} |" for kind, share in recipe["mix"])


def _by_group(test: Sequence[Problem], passes: Mapping[str, Sequence[bool]]) -> str:
    lines = []
    for how, kind in GROUPS.items():
        at = [i for i, p in enumerate(test) if ANNOTATIONS[p.family] == kind]
        cells = (measure.rate([passes[m][i] for i in at]) for m in measure.METHODS)
        lines.append(f"| – annotated {how} ({len(at)}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _overlap(passes: Mapping[str, Sequence[bool]]) -> list[int]:
    found = Counter(zip(*(passes[m] for m in measure.METHODS), strict=True))
    return [found[True, True], found[True, False], found[False, True], found[False, False]]


def _translations(
    test: Sequence[Problem],
    passes: Mapping[str, Sequence[bool]],
    translated: Mapping[str, Sequence[tuple[Problem, bool]]],
) -> str:
    lines = []
    for direction, found in translated.items():
        target = direction.split("→")[1]
        failed = {p.id for p, ok in zip(test, passes[target], strict=True) if not ok}
        new = [ok for p, ok in found if p.id in failed]
        all_, new_ = (f"{measure.rate(x)} of {len(x)}" for x in ([ok for _, ok in found], new))
        lines.append(f"| {direction} | {all_} | {new_} |")
    return "\n".join(lines)
