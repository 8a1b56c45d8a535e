r"""The method `text`: the model reasons in words, does the arithmetic itself, and states an answer.

    3 + 4 = 7 .
    The answer is 7

A solution that states no answer has none: its last number is not used instead (`mmst.methods.extraction`). Thoughts
are part of a solution, but an answer inside them does not count (`mmst.methods.turns`).
"""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from mmst.methods import REMEMBERED, Phrasing
from mmst.methods.extraction import answer_in
from mmst.methods.turns import lines_of, own_turn


class TextMethod:
    """Fulfils `mmst.methods.Method`."""

    name: ClassVar[str] = "text"
    executes: ClassVar[bool] = False
    phrasings: ClassVar[tuple[Phrasing, ...]] = (
        Phrasing(
            heading="Text:",
            instruction="Solve the problem. Reason step by step and do the arithmetic yourself, then end with a line "
            '"The answer is X" where X is the final number or expression alone.',
            translation="Here is a problem with a correct solution. Rewrite the solution as reasoning in words: the "
            'same steps, each with its result, and a last line "The answer is X". Write no program.',
        ),
        Phrasing(
            heading="Answer step by step:",
            instruction="Answer the question in words, one step a sentence, and calculate each step where it stands. "
            'The last line says "The answer is X", with nothing but the number or expression for X.',
            translation="A question and its correct solution follow. Answer the question in words, by the steps of "
            'that solution, one a sentence, without a program. The last line says "The answer is X".',
        ),
        Phrasing(
            heading="Let's think step by step.",
            instruction="Think aloud about the problem below, in small steps, as a teacher does at the blackboard, and "
            'work every number out. When you are done, write "The answer is X" on a line of its own; X is the bare '
            "answer.",
            translation="Below is a problem that somebody solved correctly. Explain that solution aloud in small "
            'steps, with every number worked out and no code. When you are done, write "The answer is X" on a line '
            "of its own.",
        ),
    )
    shots: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "A bakery sold 14 loaves in the morning and 9 in the afternoon. How many loaves did it sell?",
            "The bakery sold 14 + 9 = 23 loaves.\nThe answer is 23",
        ),
        (
            "Noor had 50 stickers. She gave 8 stickers to each of her 4 cousins. How many are left?",
            "She gave away 8 * 4 = 32 stickers. She has 50 - 32 = 18 left.\nThe answer is 18",
        ),
        (
            "A rope of 45 metres is cut into 6 equal parts. How many metres long is each part?",
            "Each part is 45 / 6 = 7.5 metres long.\nThe answer is 7.5",
        ),
        (
            "Tickets cost $12, and children pay half. What do 2 adults and 3 children pay together, in dollars?",
            "A child pays 12 / 2 = 6 dollars. The adults pay 2 * 12 = 24 and the children 3 * 6 = 18 dollars. "
            "Together that is 24 + 18 = 42 dollars.\nThe answer is 42",
        ),
        (
            "A tank holds 80 litres and is 35% full. How many litres are missing?",
            "There are 80 * 35 / 100 = 28 litres in it. So 80 - 28 = 52 litres are missing.\nThe answer is 52",
        ),
        (
            "Ivo is 3 years older than twice Mara's age. Mara is 11. How old is Ivo?",
            "Twice Mara's age is 2 * 11 = 22. Ivo is 22 + 3 = 25.\nThe answer is 25",
        ),
        (
            "A bus needs 40 minutes for 30 km. At the same speed, how many km does it drive in 2 hours?",
            "2 hours are 120 minutes, 120 / 40 = 3 times as long. So it drives 3 * 30 = 90 km.\nThe answer is 90",
        ),
        (
            "Three friends share 7 bars of chocolate equally. How many bars does each get?",
            "Each gets 7 / 3 of a bar, which is 2 1/3 bars.\nThe answer is 7/3",
        ),
    )

    def solution(self, completion: str) -> str:
        """The reasoning with its thoughts, up to the end of the model's own turn."""
        return _solution(completion)

    def answer(self, solution: str, stdout: str | None) -> str | None:
        """The answer that the solution commits to; `stated` has the rules."""
        return _answer(solution)

    def canonical(self, solution: str) -> str:
        """The text in lower case, with single spaces and none before punctuation."""
        text = " ".join(solution.casefold().split())
        return re.sub(r"\s+([.,;:!?])", r"\1", text)


@functools.lru_cache(REMEMBERED)
def _solution(completion: str) -> str:
    text = lines_of(completion)
    turn = own_turn(text)
    return text[turn.start : turn.end].strip()


@functools.lru_cache(REMEMBERED)
def _answer(solution: str) -> str | None:
    text = lines_of(solution)
    return answer_in(own_turn(text).said(text))


METHOD = TextMethod()
