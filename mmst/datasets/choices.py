"""Multiple-choice questions: a question shows its options, and its gold answer is the label of one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mmst.core.rows import Row
from mmst.grading import choice


def offered(question: str, options: Mapping[str, str]) -> str:
    r"""The question with its options, a line each; as it is if it shows them already.

    >>> offered("How many?", {"A": "36", "B": "38"})
    'How many?\n(A) 36\n(B) 38'
    >>> offered("How many? a) 36 b) 38", {"A": "36", "B": "38"})
    'How many? a) 36 b) 38'
    """

    def shown(label: str, text: str) -> bool:
        return re.search(rf"(?<!\w)\(?{label}\s?[).:\]]\s*{re.escape(text)}", question, re.IGNORECASE) is not None

    if all(shown(label, text) for label, text in options.items()):
        return question
    return "\n".join([question.strip(), *(f"({label}) {text}" for label, text in options.items())])


def label_of(row: Row, field: str, gold: str, options: Mapping[str, str]) -> str:
    """The label of the option that the gold answer names; refuses its answer if it names none, or more than one."""
    if gold.strip().upper() in options:
        return gold.strip().upper()
    return choice(options, gold) or row.no_gold(
        field, f"names none of the options {', '.join(options)}", "give the label of the right option"
    )
