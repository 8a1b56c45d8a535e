"""Prompts: how a problem, or a solution to translate, is presented to a model. Pure.

Plain style (what the shipped model was trained on), to solve and to translate::

    Question: Ann has 3 apples …        Question: Ann has 3 apples …
    Python:                             Text:
                                        3 + 4 = 7 .
                                        The answer is 7
                                        Python:

The completion follows on the next line and ends with the end token or a blank line. "Python:" and "Text:"
are the headings of the methods' first phrasings; the others have headings and instructions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mmst.core.config import PromptConfig
from mmst.core.errors import ConfigError
from mmst.core.ports import Message
from mmst.methods import Method, Phrasing

STOP = {"plain": ("\n\n", "\nQuestion:"), "instruct": ("\nQuestion:",), "few-shot": ("\nQuestion:",), "chat": ()}
"""Where a completion of each style ends when the model writes no end token. Only a model that is trained on
plain prompts writes no blank lines within a solution; chat models end by themselves."""

Render = Callable[[Sequence[Message]], str]
"""A tokenizer's chat template as a function from messages to a prompt."""
Worked = tuple[str, ...]
"""A worked example of a few-shot prompt: a question and a solution; to translate, the solution by either method."""


def solve_prompt(
    m: Method,
    question: str,
    style: str,
    shots: int,
    render: Render | None = None,
    phrasing: int = 1,
    worked: Sequence[Worked] | None = None,
) -> str:
    """The prompt that asks for a solution of `question` by method `m`.

    A few-shot prompt has the examples `worked`, or the first `shots` of the method's own if that is None.
    """
    words = phrased(m, phrasing)
    if style == "chat":
        assert render is not None, "chat prompts need the tokenizer's template"
        return render(solve_messages(m, question, phrasing))
    return f"{solve_head(m, style, shots, phrasing, worked)}Question: {question}\n{words.heading}\n"


def solve_head(m: Method, style: str, shots: int, phrasing: int = 1, worked: Sequence[Worked] | None = None) -> str:
    """What all prompts for solutions by `m` begin with: instruction, worked examples. Empty in plain and chat style."""
    if style in ("plain", "chat"):
        return ""
    words = phrased(m, phrasing)
    shown = () if style != "few-shot" else m.shots[:shots] if worked is None else worked
    return "".join(
        f"{part}\n\n" for part in (words.instruction, *(f"Question: {q}\n{words.heading}\n{s}" for q, s in shown))
    )


def solve_messages(m: Method, question: str, phrasing: int = 1) -> tuple[Message, ...]:
    """What `solve_prompt` renders in the style `chat`."""
    return ({"role": "user", "content": f"{phrased(m, phrasing).instruction}\n\nQuestion: {question}"},)


def translate_prompt(
    source: Method,
    target: Method,
    question: str,
    solution: str,
    style: str,
    shots: int,
    render: Render | None = None,
    phrasing: int = 1,
    worked: Sequence[Worked] | None = None,
) -> str:
    """The prompt that asks to rewrite `solution` (by `source`) as a solution by `target`. See `solve_prompt`."""
    under, wanted = phrased(source, phrasing).heading, phrased(target, phrasing)
    given = f"Question: {question}\n{under}\n{solution}"
    if style == "chat":
        assert render is not None, "chat prompts need the tokenizer's template"
        return render(translate_messages(source, target, question, solution, phrasing))
    return f"{translate_head(source, target, style, shots, phrasing, worked)}{given}\n{wanted.heading}\n"


def translate_head(
    source: Method,
    target: Method,
    style: str,
    shots: int,
    phrasing: int = 1,
    worked: Sequence[Worked] | None = None,
) -> str:
    """What all prompts for translations from `source` to `target` begin with; see `solve_head`.

    Their own examples are those of the source whose questions the target has solved too.
    """
    if style in ("plain", "chat"):
        return ""
    under, wanted = phrased(source, phrasing).heading, phrased(target, phrasing)
    theirs = dict(target.shots)
    own = [(q, a, theirs[q]) for q, a in source.shots if q in theirs][:shots]
    shown = () if style != "few-shot" else own if worked is None else worked
    examples = (f"Question: {q}\n{under}\n{a}\n{wanted.heading}\n{b}" for q, a, b in shown)
    return "".join(f"{part}\n\n" for part in (wanted.translation, *examples))


def translate_messages(
    source: Method, target: Method, question: str, solution: str, phrasing: int = 1
) -> tuple[Message, ...]:
    """What `translate_prompt` renders in the style `chat`."""
    given = f"Question: {question}\n{phrased(source, phrasing).heading}\n{solution}"
    return ({"role": "user", "content": f"{phrased(target, phrasing).translation}\n\n{given}"},)


def phrased(m: Method, number: int) -> Phrasing:
    """The phrasing of a method by its number, from 1; `ConfigError` if there is none."""
    if not 1 <= number <= len(m.phrasings):
        remedy = f"prompt.phrasing from 1 to {len(m.phrasings)}"
        raise ConfigError(f"method '{m.name}' does not have this phrasing", value=number, remedy=remedy)
    return m.phrasings[number - 1]


def stop_strings(style: str, chosen: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The stop strings of a recipe (`prompt.stop`), or else those of its style."""
    return STOP[style] if chosen is None else chosen


def asked(prompt: PromptConfig) -> PromptConfig:
    """How a problem is put, with the stop strings where they are not what they always were: what samples depend on."""
    same = prompt.stop is None and prompt.style in ("plain", "chat")
    return prompt if same else replace(prompt, stop=stop_strings(prompt.style, prompt.stop))
