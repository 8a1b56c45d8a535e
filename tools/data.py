"""What the base model is trained on. Nothing of it is held out: `refuse_held_out` proves that.

Four kinds of documents, all in the prompts that the product uses:

    solve        a question and an annotated solution, by the method that its family is annotated for
    pair         a question, its solution by one method, the same by the other (families with both)
    translation  a question, and steps *that have nothing to do with it* in both methods: rewriting
                 a solution is copying, whatever the story
    facts        single steps of arithmetic, the loss on their results alone
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmst.core.records import Problem, Split
from mmst.datasets.generated import ANNOTATIONS, MAIN, MOST, VARIABLES, Step, generate, program, text_solution, work_out
from tools.documents import Document, pairs, solve

FACTS = 8
"""Facts a document."""
WRITTEN = {"text": text_solution, "code": program}


def problems(count: int, seed: int) -> list[Problem]:
    """The generated problems of the training split."""
    return [p for p in generate(count, seed) if p.split is Split.TRAIN]


def refuse_held_out(trained: Sequence[Problem]) -> None:
    """Exit when a problem to train on is held out, or annotated as its family may not be."""
    related = {p.id for p in generate(5_000, 0, "related")}
    for p in trained:
        if p.split is not Split.TRAIN or p.task != "main" or p.id in related:
            raise SystemExit(f"held out, and yet to be trained on: {p.question}")
        if tuple(p.solutions) != ANNOTATIONS[p.family]:
            raise SystemExit(f"family {p.family} is not annotated for {', '.join(p.solutions)}: {p.question}")


def documents(trained: Sequence[Problem], drills: int, seed: int) -> dict[str, list[Document]]:
    """All documents by kind; `drills` each of translations and facts."""
    rng = random.Random(f"drills/{seed}")
    return {
        "solve": [d for p in trained for d in solve(p)],
        "pair": [d for p in trained for d in pairs(p.question, p.solutions, "pair")],
        "translation": [
            d
            for _ in range(drills // 2)
            for d in pairs(rng.choice(trained).question, _both(_chain(rng)), "translation")
        ],
        "facts": [_facts(rng) for _ in range(drills)],
    }


def _both(steps: list[Step]) -> dict[str, str]:
    return {name: write(steps) for name, write in WRITTEN.items()}


def _fact(rng: random.Random) -> tuple[int, str, int, int]:
    """A step with numbers as a story has them."""
    while True:
        family = rng.choice(MAIN)
        numbers = {letter: rng.randint(low, high) for letter, (low, high) in family.ranges.items()}
        if steps := work_out(family.steps, numbers):
            return rng.choice(steps)[:4]


def _facts(rng: random.Random) -> Document:
    lines = [f"So {x} {op} {y} = {value} ." for x, op, y, value in (_fact(rng) for _ in range(FACTS))]
    return Document("facts", "Text:\n", "\n".join(lines))


def _chain(rng: random.Random) -> list[Step]:
    """One to three steps at random; each later one takes up an earlier result, on either side."""
    x, op, y, value = _fact(rng)
    steps: list[Step] = [(x, op, y, value, str(x), str(y))]
    for _ in range(rng.choice((0, 1, 1, 2, 2))):
        while (step := _next(rng, steps)) is None:
            pass
        steps.append(step)
    return steps


def _next(rng: random.Random, steps: list[Step]) -> Step | None:
    if rng.random() < 0.15:  # a step of its own, as in a sum of two products
        x, op, y, value = _fact(rng)
        return x, op, y, value, str(x), str(y)
    at = len(steps) - 1
    earlier, op = steps[at][3], rng.choice("+-*/")
    if at and rng.random() < 0.3:
        x, y, shown = steps[0][3], earlier, (VARIABLES[0], VARIABLES[at])
    elif rng.random() < 0.3:
        x, y = rng.randint(2, 100), earlier
        shown = (str(x), VARIABLES[at])
    else:
        x, y = earlier, rng.randint(2, 9 if op in "*/" else 40)
        shown = (VARIABLES[at], str(y))
    if op == "/" and x % y:
        return None
    value = {"+": x + y, "-": x - y, "*": x * y, "/": x // y}[op]
    return (x, op, y, value, *shown) if 1 <= value <= MOST else None
