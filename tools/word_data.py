"""What the base model of `word-problems` is trained on: the recipe's annotated problems, and drills.

    solve        an annotated question and its solution, most often with its numbers drawn anew
    pair         the same for problems annotated both ways: one solution rewritten into the other
    translation  a question, and steps *that have nothing to do with it* in both methods
    facts        single steps of arithmetic, the loss on their results alone
    generated    generated problems (mmst/datasets/generated.py), solved by either method

Nothing else of the recipe's files is looked at but to refuse what is held out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from mmst.core.config import ProblemsConfig
from mmst.core.records import Problem, Split
from mmst.core.sections import ROLES
from mmst.datasets import load
from mmst.datasets.equations import Step, from_steps
from mmst.datasets.generated import generate
from mmst.datasets.near import NearIndex
from mmst.grading import written
from mmst.stages.prepare import clean, read, unique
from tools.documents import Document, pairs, solve
from tools.redraw import MOST, redrawn, steps_of, work_out
from tools.word_tokenizer import UNKNOWN

FACTS = 12
"""Facts a document."""
LARGEST_DRAWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How many documents, and how far they are from the annotated problems as they stand."""

    copies: int = 20
    """Documents of each annotated solution."""
    as_it_is: float = 0.3
    """Share of them with the problem's own numbers."""
    words_dropped: float = 0.1
    """Share of a question's words that become unknown ones."""
    drills: int = 20_000
    generated: int = 10_000


def annotated_problems(config: ProblemsConfig) -> list[Problem]:
    """The annotated problems of a recipe, without what its run would leave out; `LeakError` when one is held out."""
    sets, _ = clean({role: read(role, getattr(config, role)) for role in ROLES}, config.near_duplicate)
    return sets["annotated"]


def refuse_held_out(trained: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    """Exit when a problem to train on is one of `heldout`."""
    ids = {p.id for p in heldout}
    for p in trained:
        if p.id in ids:
            raise SystemExit(f"held out, and yet to be trained on: {p.question}")


def development(config: ProblemsConfig) -> list[Problem]:
    """The dev split of the files that the annotated problems are of: what choices are made on."""
    sources = dict.fromkeys(replace(s, split="dev", part="0-100", annotated=(), limit=0) for s in config.annotated)
    return unique(p for source in sources for p in load(source))


def held_out(config: ProblemsConfig) -> list[Problem]:
    """What may not be trained on: the test, the related and the dev problems."""
    return unique([*read("test", config.test), *read("related", config.related), *development(config)])


def documents(
    annotated: Sequence[Problem], heldout: Sequence[Problem], drawing: Drawing, near: float, seed: int
) -> dict[str, list[Document]]:
    """All documents by kind. A drawn question that is held out, or nearly so, is left out."""
    rng = random.Random(f"words/{seed}")
    numbers = drawn_from(annotated)
    index = NearIndex(near)
    index.add(p.question for p in heldout)
    drawn = []
    for p in annotated:
        for _ in range(drawing.copies):
            other = None if rng.random() < drawing.as_it_is else redrawn(p, numbers, rng)
            if other is not None and index.nearest(other.question) is not None:
                continue
            drawn.append(_with_words_dropped(other or p, drawing.words_dropped, rng))
    made = {
        "solve": [d for p in drawn for d in solve(p)],
        "pair": [d for p in drawn for d in pairs(p.question, p.solutions, "pair")],
        "translation": [
            d
            for _ in range(drawing.drills // 2)
            for d in pairs(rng.choice(drawn).question, _chain(numbers, rng), "translation")
        ],
        "facts": [_facts(numbers, rng) for _ in range(drawing.drills)],
        "generated": [replace(d, kind="generated") for p in generated(drawing.generated, seed) for d in solve(p)],
    }
    refuse_held_out(drawn, heldout)
    return made


def drawn_from(annotated: Sequence[Problem]) -> list[int]:
    """Numbers to draw: those of the annotated solutions up to `LARGEST_DRAWN`, and each of these once more.

    So small ones are drawn most often, as people write them, and every one is seen.
    """
    own = [v for p in annotated for s in steps_of(p) for v in (s.left, s.right) if isinstance(v, Fraction)]
    whole = sorted(int(v) for v in own if v.denominator == 1 and 2 <= v <= LARGEST_DRAWN)
    return [*whole, *range(2, LARGEST_DRAWN + 1)]


def generated(count: int, seed: int) -> list[Problem]:
    """Generated problems of the training split with both solutions, written as equations are.

    Those whose only solution is a text that can be read in two ways are left out.
    """
    problems = [p for p in generate(count, seed) if p.split is Split.TRAIN] if count else []
    return [replace(p, solutions=from_steps(steps, p.answer)) for p in problems if (steps := steps_of(p))]


def _with_words_dropped(p: Problem, share: float, rng: random.Random) -> Problem:
    words = [UNKNOWN if w.isalpha() and rng.random() < share else w for w in p.question.split()]
    return replace(p, question=" ".join(words))


def _fact(numbers: Sequence[int], rng: random.Random) -> Step:
    while True:
        x, op, y = rng.choice(numbers), rng.choice("+-*/"), rng.choice(numbers)
        if op == "/":
            x *= y
        if steps := work_out([(Fraction(x), op, Fraction(y))]) if x <= MOST else None:
            return steps[0]


def _facts(numbers: Sequence[int], rng: random.Random) -> Document:
    lines = []
    for _ in range(FACTS):
        s = _fact(numbers, rng)
        assert isinstance(s.left, Fraction)
        assert isinstance(s.right, Fraction)
        lines.append(f"{written(s.left)} {s.op} {written(s.right)} = {written(s.result)} .")
    return Document("facts", "Text:\n", "\n".join(lines))


def _chain(numbers: Sequence[int], rng: random.Random) -> dict[str, str]:
    """One to three steps at random in both methods; each later one takes up an earlier result."""
    wanted = rng.choice((1, 2, 2, 3))
    steps = [_fact(numbers, rng)]
    while len(steps) < wanted:
        fresh, earlier = Fraction(rng.choice(numbers)), rng.randrange(len(steps))
        operands: Iterator[Fraction | int] = iter((earlier, fresh) if rng.random() < 0.6 else (fresh, earlier))
        operation = (next(operands), rng.choice("+-*/"), next(operands))
        steps = work_out([*((s.left, s.op, s.right) for s in steps), operation]) or steps
    return from_steps(steps, written(steps[-1].result))
