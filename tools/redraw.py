"""The same story with other numbers: an annotated problem's equation, worked out anew.

    Ann has 3 apples and buys 4 .  3 + 4 = 7 .   →   Ann has 12 apples and buys 9 .  12 + 9 = 21 .

Every written number of the question changes, the same one to the same one everywhere; a constant of
the solution that is not in the question (12 for a dozen) stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from fractions import Fraction

from mmst.core.records import Problem
from mmst.datasets import make_problem
from mmst.datasets.equations import NAMES, Step, Unusable, from_steps, worked
from mmst.grading import written

MOST = 400
"""No result is larger."""
TRIES = 100
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CODE = re.compile(r"[a-z] = (\S+) ([-+*/]) (\S+)")
_TEXT = re.compile(r"(?:So )?(\S+) ([-+*/]) (\S+) = (\S+) \.")


def redrawn(problem: Problem, numbers: Sequence[int], rng: random.Random) -> Problem | None:
    """The problem with numbers drawn from `numbers`, its results whole and from 1 to `MOST`.

    It keeps the methods that it is annotated for. None when its solution cannot be read, or when
    no draw of `TRIES` fits.
    """
    steps = steps_of(problem)
    old = sorted({Fraction(n) for n in _NUMBER.findall(problem.question)})
    if not steps or not old:
        return None
    for _ in range(TRIES):
        new = dict(zip(old, map(Fraction, rng.choices(numbers, k=len(old))), strict=True))
        anew = work_out([(_put(s.left, new), s.op, _put(s.right, new)) for s in steps])
        if anew and len(set(new.values())) == len(new):
            answer = written(anew[-1].result)
            solutions = from_steps(anew, answer)
            return make_problem(
                _NUMBER.sub(lambda n, new=new: written(new[Fraction(n[0])]), problem.question),  # type: ignore[misc]
                answer,
                problem.source,
                solutions={name: solutions[name] for name in problem.solutions},
            )
    return None


def work_out(operations: Sequence[tuple[Fraction | int, str, Fraction | int]]) -> list[Step] | None:
    """The operations (operand: a number, or an earlier one by its index) with their results.

    None when one is no whole number from 1 to `MOST`.
    """
    steps: list[Step] = []
    for left, op, right in operations:
        try:
            step = worked(left, op, right, steps)
        except Unusable:
            return None
        if step.result.denominator != 1 or not 1 <= step.result <= MOST:
            return None
        steps.append(step)
    return steps


def steps_of(problem: Problem) -> list[Step]:
    """The steps of the annotated program, else of the text; empty when they cannot be read.

    A number of the text that is an earlier result is taken for it; where it stands in the question
    too, what is meant cannot be known.
    """
    if "code" in problem.solutions:
        return _steps_of_code(problem.solutions["code"])
    return _steps_of_text(problem.solutions.get("text", ""), {Fraction(n) for n in _NUMBER.findall(problem.question)})


def _steps_of_code(solution: str) -> list[Step]:
    steps: list[Step] = []
    for line in solution.replace("//", "/").split("\n")[:-1]:
        found = _CODE.fullmatch(line)
        if found is None:
            return []
        left, right = (_operand(found[i], len(steps)) for i in (1, 3))
        if left is None or right is None:
            return []
        try:
            steps.append(worked(left, found[2], right, steps))
        except Unusable:
            return []
    return steps


def _operand(shown: str, known: int) -> Fraction | int | None:
    if shown in NAMES[:known]:
        return NAMES.index(shown)
    return Fraction(shown) if _NUMBER.fullmatch(shown) else None


def _steps_of_text(solution: str, in_question: set[Fraction]) -> list[Step]:
    steps: list[Step] = []
    for line in solution.split("\n")[:-1]:
        found = _TEXT.fullmatch(line)
        if found is None or not all(_NUMBER.fullmatch(found[i]) for i in (1, 3, 4)):
            return []
        results = {s.result: i for i, s in enumerate(steps)}
        values = [Fraction(found[i]) for i in (1, 3)]
        if any(v in results and v in in_question for v in values):
            return []
        left, right = (results.get(v, v) for v in values)
        steps.append(Step(left, found[2], right, Fraction(found[4])))
    return steps


def _put(operand: Fraction | int, new: dict[Fraction, Fraction]) -> Fraction | int:
    return operand if isinstance(operand, int) else new.get(operand, operand)
