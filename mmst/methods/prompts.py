"""How a problem, or a solution to be translated, is put to a model. Pure.

Plain style (what the shipped model was trained on), to solve and to translate::

    Question: Ann has 3 apples …        Question: Ann has 3 apples …
    Python:                             Text:
                                        3 + 4 = 7 .
                                        The answer is 7
                                        Python:

The completion follows on the next line and ends with the end token or a blank line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mmst.methods import Method

STOP = ("\n\n", "\nQuestion:")
"""Where a plain or few-shot completion ends when the model writes no end token."""

Render = Callable[[Sequence[Mapping[str, str]]], str]
"""A tokenizer's chat template as a function from messages to a prompt."""


def solve_prompt(m: Method, question: str, style: str, shots: int, render: Render | None = None) -> str:
    """The prompt that asks for a solution of `question` by method `m`."""
    if style == "plain":
        return f"Question: {question}\n{m.label}:\n"
    if style == "chat":
        assert render is not None, "chat prompts need the tokenizer's template"
        return render([{"role": "user", "content": f"{m.instruction}\n\nQuestion: {question}"}])
    worked = m.shots[:shots] if style == "few-shot" else ()
    parts = [m.instruction, *(f"Question: {q}\n{m.label}:\n{s}" for q, s in worked)]
    return "\n\n".join([*parts, f"Question: {question}\n{m.label}:\n"])


def translate_prompt(
    source: Method, target: Method, question: str, solution: str, style: str, shots: int, render: Render | None = None
) -> str:
    """The prompt that asks for `solution` (by `source`) rewritten as a solution by `target`."""
    given = f"Question: {question}\n{source.label}:\n{solution}"
    if style == "plain":
        return f"{given}\n{target.label}:\n"
    if style == "chat":
        assert render is not None, "chat prompts need the tokenizer's template"
        return render([{"role": "user", "content": f"{target.translation}\n\n{given}"}])
    worked = zip(source.shots[:shots], target.shots[:shots], strict=False) if style == "few-shot" else ()
    parts = [
        target.translation,
        *(f"Question: {q}\n{source.label}:\n{a}\n{target.label}:\n{b}" for (q, a), (_, b) in worked),
    ]
    return "\n\n".join([*parts, f"{given}\n{target.label}:\n"])


def stop_strings(style: str) -> tuple[str, ...]:
    """The stop strings of a style; chat models end by themselves."""
    return () if style == "chat" else STOP
