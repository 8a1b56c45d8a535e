r"""The answer that a reference solution marks with `\boxed{…}`. Pure.

- The different boxes of a solution make one answer ("3, -3"), because a reference solution boxes only answers.
- If the last one is announced ("the answer is …"), only that one counts.

`mmst.methods.boxes` reads the content of a box, with or without braces.
"""

from __future__ import annotations

import re

from mmst.methods.boxes import Box, boxes

_ANNOUNCED = re.compile(r"answers?(?: \w+)?(?: is| are|:)(?:(?![.!?]\s)[^\n]){0,40}\Z", re.IGNORECASE)


def answer_in_boxes(solution: str) -> str:
    r"""The answer that a reference solution boxes; "" if there is none.

    >>> answer_in_boxes(r"$x = \boxed{3}$ or $x = \boxed{-3}$"), answer_in_boxes(r"It is $\boxed\frac12$.")
    ('3, -3', '\\frac12')
    """
    return ", ".join(answers_in_boxes(solution))


def answers_in_boxes(solution: str) -> list[str]:
    """The different answers that a reference solution boxes, in order."""
    found = boxed(solution)
    if found and _ANNOUNCED.search(solution[found[-2].end if len(found) > 1 else 0 : found[-1].start]):
        found = found[-1:]
    return list(dict.fromkeys(box.content.strip() for box in found))


def boxed(text: str) -> list[Box]:
    """The boxes that are not empty."""
    return [box for box in boxes(text) if box.content.strip()]
