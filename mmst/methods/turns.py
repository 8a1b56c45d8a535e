r"""Which part of a completion is the model's own turn, and which part of that is not thoughts. Pure.

1. A turn ends at an end mark (`</s>`, `<|im_end|>`, `<end_of_turn>`, …) or where another turn begins: at a line that
   starts with "Question:", "Problem 2:", "Q:", "Human:" or "User:", at "### Instruction", "[INST]", or a line "user".
   At the very beginning of a completion these belong to the model's own turn: a restated "Problem: …", "Assistant:",
   a chat's header.
2. A title such as "### Problem 2", "**Question:**" or "Example 3:" may be part of a solution. It begins another turn
   only after an answer. The same holds for a second `#### X`.
3. Thoughts do not count: `<think> … </think>` and similar marks, also if the opening mark is missing (the prompt
   held it) or the closing one (the completion was cut). Marks inside thoughts end nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_THOUGHT = re.compile(
    r"<(?P<end1>/?)(?:[a-z]{1,9}:)?(?:think|thinking|thoughts?|reasoning|scratchpad|reflection|analysis)[ ]?>"
    r"|\[(?P<end2>/?)THINK(?:ING)?\]|◁(?P<end3>/?)think▷"
    r"|<\|(?P<end6>/?)(?:think|thinking)\|>|<\|(?:begin|start|(?P<end4>end))_(?:of_)?(?:thought|thinking|think)\|>"
    r"|<\|channel\|>\s{0,9}(?:analysis|commentary|(?P<end5>final))(?:\s{0,9}<\|message\|>)?",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\s{0,99}(?:<s>|<bos>|<\|begin_of_text\|>|\[/INST\]|<\|assistant\|>"
    r"|<\|im_start\|>\s{0,9}assistant\b|<start_of_turn>\s{0,9}model\b|<\|start\|>assistant(?=<\|)"
    r"|<\|start_header_id\|>\s{0,9}assistant\s{0,9}<\|end_header_id\|>"
    r"|(?:assistant|model)[ \t]{0,9}(?=\n)|(?:\#{1,6}[ \t]?)?(?:Assistant|Response):)"
)
_ENDS = re.compile(
    r"</?s>|</?(?:end_of_turn|start_of_turn|eos|bos)>|\[/?INST\]|\[EOS\]|<<SYS>>|<EOT>"
    r"|<[|｜](?!python_tag|(?:begin|end)_of_solution)[\w▁]{2,40}[|｜]>"
    r"|^[ \t]{0,20}(?:(?:Question|Problem|Exercise|Human|User|HUMAN|USER|System|Instruction|Q)"
    r"(?:[ \t]?#?\d{1,4})?[ \t]?:"
    r"(?![ \t]?(?:int|float|str|bool|list|dict|tuple|set|Fraction|Decimal)\b[^=\n]{0,40}=)"
    r"|\#{2,6}[ \t]?(?:Instruction|Input|Human|User)s?[ \t]?(?:\d{0,4}[ \t]{0,9}$|:)"
    r"|\*\*(?:Human|User)(?::\*\*|\*\*:)|(?:user|human|assistant)[ \t]{0,9}$|Q\.(?=[ \t][A-Z])|\[(?:Question|Q)\])",
    re.MULTILINE,
)
_TITLE = re.compile(
    r"^[ \t]{0,20}(?:"
    r"(?:\#{2,6}[ \t]?(?:\*\*)?|\*\*)(?:(?:Next|New|Another)[ \t])?(?:Question|Problem|Exercise|Example|Q)"
    r"(?:[ \t]?\#?\d{1,4})?(?:[ \t]{0,9}(?:\*\*)?[ \t]{0,9}$|[ \t]?\*{0,2}[:.])"
    r"|(?:(?:(?:here(?:['’]s|[ ]is)[ ])?(?:the[ ]next|a[ ]new|a[ ]similar|next|new|another|similar)[ \t])?"
    r"(?:question|problem|exercise|example)(?:[ \t]?\#?\d{1,4})?|Q[ \t]?\d{1,4})[ \t]?[:.)]"
    r"|(?:Input|Text|Python|Assistant|AI|Bot|\#{1,6}[ \t]?Response)[ \t]?:)",
    re.MULTILINE | re.IGNORECASE,
)
_HASHES = re.compile(
    r"^[ \t]{0,20}####(?!#)[ \t]{0,9}(?!\d{1,2}[.)][ \t])[-+$\\(]{0,4}\d[\d,./%$\\)]*+"
    r"(?:[ \t][a-zA-Z%$\\]{1,20}){0,2}[ \t.]{0,9}$",
    re.MULTILINE,
)
_ANSWERED = re.compile(
    r"answers?\b[*_]{0,3}(?:[ \t]{0,9}[:=]|[ \t](?:is|are)\b|[ \t][-$\d])|\bans\b|\\boxed|####|^A:|\bprint\b",
    re.IGNORECASE | re.MULTILINE,
)
_LITERAL = re.compile(
    r'"""[^\\"]*+(?:(?:\\.|"(?!""))[^\\"]*+)*+"""'
    r"|'''[^\\']*+(?:(?:\\.|'(?!''))[^\\']*+)*+'''"
    r'|(?<!\w)[rRbBfFuU]{0,2}(?:"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"' + r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+')",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Turn:
    """The position of the own turn in a completion, and its parts outside thoughts, as pairs of start and end."""

    start: int
    end: int
    aloud: tuple[tuple[int, int], ...]

    def said(self, text: str) -> str:
        """The parts outside thoughts, of the completion or of a text of the same length."""
        return "".join(text[a:b] for a, b in self.aloud)


def lines_of(completion: str) -> str:
    """The text with line feeds as its only line ends."""
    return completion.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def hide_literals(program: str) -> str:
    """The text with everything between quotes blanked, at the same length: a mark in a string means nothing.

    >>> hide_literals("print('</s>')")
    'print(______)'
    """
    return _LITERAL.sub(lambda m: "_" * len(m[0]), program)


def own_turn(seen: str) -> Turn:
    r"""The model's own turn in a completion, by its visible marks.

    >>> turn = own_turn("<think>3 or 4?</think>The answer is 3\nQuestion: And 8?")
    >>> turn.end, turn.aloud
    (38, ((22, 38),))
    """
    start = 0
    while header := _HEADER.match(seen, start):
        start = header.end()
    aloud: list[tuple[int, int]] = []
    spoken = False
    for span in _outside_thoughts(seen, start):
        if span is None:
            aloud, spoken = [], False
            continue
        first, last = span
        end = _turn_end(seen, first, last, spoken)
        aloud.append((first, last if end is None else end))
        if end is not None:
            return Turn(start, end, tuple(aloud))
        spoken = spoken or bool(seen[first:last].strip())
    return Turn(start, len(seen), tuple(aloud))


def _outside_thoughts(seen: str, start: int) -> Iterator[tuple[int, int] | None]:
    """The parts outside thoughts, in order; None means that everything before was a thought after all."""
    marks = [(m.start(), m.end(), any(m.group(f"end{i}") for i in range(1, 7))) for m in _THOUGHT.finditer(seen, start)]
    within, at, written = bool(marks) and marks[0][2], start, len(seen.rstrip())
    for first, behind, closes in marks:
        if not within and at < first:
            yield at, first
        if closes and not within:
            if behind >= written:
                return
            yield None
        within, at = not closes, behind
    if not within and at < len(seen):
        yield at, len(seen)


def _turn_end(seen: str, first: int, last: int, spoken: bool) -> int | None:
    """Where the turn ends between `first` and `last`; not at its beginning, unless it has `spoken` before."""
    begin = first if spoken else first + len(seen[first:last]) - len(seen[first:last].lstrip()) + 1
    ends = [_ENDS.search(seen, begin, last)]
    if answered := _ANSWERED.search(seen, begin - 1, last):
        ends.append(_TITLE.search(seen, answered.end(), last))
    if hashes := _HASHES.search(seen, begin - 1, last):
        ends.append(_HASHES.search(seen, hashes.end(), last))
    return min((m.start() for m in ends if m), default=None)
