r"""What answer a solution in words commits to. Pure.

1. An answer is committed to by "the answer is X", "Answer: X", "Ans: X", "X is the answer", "the correct option is
   X", "#### X", `<answer>X</answer>` or `\boxed{X}` (also `\boxed 2`, `\boxed\frac12`). The last one counts; a solution
   that says none of it has no answer: its last number is not taken for one.
2. "Answer 18", "A: 18", "Solution: 18", "Result: 18" commit where they begin a line and a bare value is all that
   follows on it, for such words also begin a derivation; "A: Ann has 18 apples." where it is the last line.
   "A: 18" beside "B: 20" lists choices and says nothing.
3. "Answer:" at the end of a line, and a heading "Answer" or "Final Answer", mean what follows: the next line that is
   not empty, or the display mathematics on the next lines (its last row). Behind a heading it must be a value, or be
   all that the section says.
4. The last line commits when it is a value in bold ("**18**", "So that makes **18**.") or "Therefore, 18.".
5. X ends with its sentence; not at a point inside a formula or number. A clause behind it ("42 because …", "42, which
   is …", "42 (the sum of …)", "42, not 43") is left out, a list ("1, 2, and 3") is not. Where X is itself a sentence
   ("the largest n is 34"), what is behind its last "is" counts, else its only number or formula.
   Quotes, markdown, HTML tags and math delimiters around it are dropped.
6. Boxes that belong together are one list: side by side, or with "and", "or" and a few words between. Words in a box
   that say "the answer is" are left out.
7. What only says that there is no answer ("unknown", "I don't know", "not …"), supposes one ("if the answer is 7"), or
   denies one ("the wrong answer is 7", "Answer: 5 is a trap", "the answer is 7, but this is wrong"), is none; nor is
   what others say ("a student says the answer is 7"), and a box that is never closed. Beside a value, what tells how
   the answer is ("the answer is approximate", "the answer is in simplest form") is none either.
8. What is put right behind the last statement counts instead of it ("The answer is 7. Wait, that is wrong. It is 8."),
   and what is taken back without another value leaves none. That it is checked once more ("Wait, let me double-check …
   yes") changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmst.methods.boxes import Box, boxed, boxes, grouped
from mmst.methods.retracted import affirmed, denied, put_right, reported
from mmst.methods.values import bare, is_value, sentence

__all__ = ["answer_in", "boxed"]

_WRAP = r"[*_`\"'\])}]{0,6}"
_MARKER = re.compile(
    r"(?:(?:\bans\b\.?|answers?|(?:correct|right|best) (?:option|choice)|\bfinal (?:result|value))" + _WRAP + r""
    r"(?![\w-])(?:[ \t]+(?:to|of|for)[ \t][^.:\n]{1,80}?|[ \t]?\#?\d{1,2}(?=[ \t]?:))?"
    r"(?:[ \t]+(?:would|must|should|will|therefore|thus|then|hence|simply|indeed|also|again))*"
    r"(?:[ \t]*(?:[:：]|=>?|-{1,2}>|→)|[ \t]+(?:is|are|be)\b|[ \t]+(?:comes|works|turns)[ \t]out[ \t]to[ \t]be\b)"
    r"(?:[ \t]+(?:given by|equal to)\b)?[*_`]*[ \t]*[:：]?)",
    re.IGNORECASE,
)
_HASHES = re.compile(r"####(?!#)")
_DIRECT = re.compile(
    r"(?:^[^\w\n<\\]{0,12}|(?<=[.!?] ))(?:(?:the )?(?:final |correct )?answer\b"
    + _WRAP
    + r"(?:[ \t]+[-–—]?[ \t]*)(?=[-+−$\\(]{0,4}(?:\d|\\))"
    r"|(?P<letter>(?-i:A))[*_]{0,3}[ \t]?[:.][*_]{0,3}(?=[ \t*$\\(\d-])|(?-i:Ans|ANS)\.(?=[ \t$\d])"
    r"|(?:solution|(?:final |end )?result|final)[*_]{0,3}[ \t]?[:=][*_]{0,3}(?=[ \t\d$\\])"
    r"|solution[ \t]+(?=[-+−$\\(]{0,4}\d)"
    r"|(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:final )?solution (?:is|are):?(?= ))"
    r"[ \t]*([^\n]{1,1000})$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^(?:[^\w\n<]|_){0,12}(?:\d{1,2}[.)][ \t]?)?(?:the[ \t])?(?:final[ \t]|correct[ \t])?answers?"
    r"[*_]{0,3}[ \t]{0,9}[#=]{0,6}[ \t]{0,9}$",
    re.IGNORECASE | re.MULTILINE,
)
_REVERSED = re.compile(
    r"(\S[^.!?\n:]{0,60}?)[ \t](?:is|are|as)[ \t](?:the|our|my)[ \t](?:final |correct |right )?answers?\b"
    r"(?![ \t]*(?:to|:|is|=))",
    re.IGNORECASE,
)
_TAGGED = re.compile(
    r"<(answer|final_answer|final)>([^<]{0,1000}(?:<(?!/\1>)[^<]{0,1000}){0,20})(?:</\1>|\Z)", re.IGNORECASE
)
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|assum(?:e|es|ing)|whether|unless|think (?:that )?the|pretend)\b[^.!?\n]{0,40}$"
    r"|\b(?:wrong|incorrect|mistaken|false)[ \t]{1,3}$",
    re.I,
)
_THOUGHT_SO = re.compile(r"\b(?:i|we) think\b[^.!?\n]{0,40}$", re.I)
_CHOICES = re.compile(r"^[^\w\n]{0,4}B[.:)]", re.MULTILINE)
_CHAIN = re.compile(r"[-+−*/×÷().,$\s\d]+=[-+−*/×÷().,$=\s\d]*\d[.%]?")
_CLOSING_BOLD = re.compile(r"(?:^|[^*\n]{0,300}[^*\n\d])\*\*([^*\n]{1,100})\*\*[.!]?$")
_CLOSING = re.compile(
    r"(?:therefore|thus|hence|so|∴|consequently|finally|=>|⇒|that is|in conclusion)[,:]?[ \t]+([^\n]{1,100})$",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(r"\s*\\text(?:bf|it)?\s?\{[^{}]*(?:\b(?:is|are|equals)|[:=])\s*\}")
_LINE = re.compile(r"[ \t]*([^\n]{0,1000})")
_FOLLOWING = re.compile(r"\s*+(?:`{3,}[^\n]{0,20}\n\s*+)?(?:[-*•>][ \t]+)?([^\n]{0,1000})")
_DISPLAY = re.compile(
    r"\s*+(?:\\\[|\$\$|\\begin\{(?:equation|align|aligned|gather|eqnarray|multline|displaymath|math)\*?\})(.{0,2000}?)"
    r"(?:\\\]|\$\$|\\end\{)",
    re.DOTALL,
)
_NONE = re.compile(
    r"(?:not|none of (?!the above)|unknown|unclear|undetermined|uncertain|undefined yet|i (?:do not|don't|am not)|n/?a"
    r"|cannot|can't|could not|impossible to (?:say|tell|determine)|to be determined|tbd|missing)\b|[?…]+$|\.{2,}$",
    re.IGNORECASE,
)
_VALUES_IN_WORDS = frozenset((
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand "
    "million half third quarter dozen negative minus plus about approximately around nearly roughly exactly "
    "just only pi infinity infinite undefined none no both all neither never always sometimes every each twice "
    "double triple once option choice the an"
).split())  # fmt: skip
_TAIL = 50_000
"""How many characters at the end of a solution are looked at, so that any takes bounded time."""


def answer_in(solution: str) -> str | None:
    r"""The answer that a solution commits to, or None.

    >>> answer_in("So \Delta E = 3. Answer: D"), answer_in(r"\boxed{1} and \boxed{2}"), answer_in("3 + 4 = 7")
    ('D', '1, 2', None)
    """
    text = _untagged(solution[-_TAIL:])
    found = boxes(text)
    words = ((at, _unworded(content)) for at, content in grouped(found, text))
    given = [*_marked(text, found), *_direct(text), *_headed(text), *_tagged(text), *_closing(text), *words]
    given.sort(key=lambda pair: pair[0])
    valued = any(is_value(said) for _, said in given)
    for at, said in reversed(given):
        if (not any(c.isalnum() for c in said) and "\\" not in said) or (valued and _remark(said)):
            continue
        taken_back, instead = put_right(text[max(at, text.find(said, at) + len(said) - 1) :])
        return instead if taken_back else said
    return None


def _remark(said: str) -> bool:
    """Whether it tells how an answer is, not which: "the answer is approximate", "… in simplest form"."""
    first = re.match(r"[a-z]{2,}\b", said)
    return first is not None and first[0] not in _VALUES_IN_WORDS and not is_value(said)


def _untagged(text: str) -> str:
    """The text without HTML's marks of type, and with line feeds for its line breaks."""
    text = re.sub(r"<sup>([^<>\n]{1,40})</sup>", r"^{\1}", text.replace("&nbsp;", " "), flags=re.IGNORECASE)
    text = re.sub(r"<br[ ]?/?>|</?(?:p|div|li|ul|ol|h[1-6])>", "\n", text, flags=re.IGNORECASE)
    return re.sub(r"</?(?:b|i|u|em|strong|mark|big|code|center|span|font)(?:[ ][^<>\n]{0,99})?>", "", text, flags=re.I)


def _marked(text: str, found: list[Box]) -> Iterator[tuple[int, str]]:
    """What stands behind the words that announce an answer."""
    for mark in [*_MARKER.finditer(text), *_HASHES.finditer(text)]:
        if any(box.start < mark.start() < box.end for box in found[-50:]) or _supposed(text, mark.start()):
            continue
        line = _LINE.match(text, mark.end())
        said = "" if line is None else line[1]
        if line is not None and not said.strip(" \t*_`\"'$:\\[()]}"):
            said = _following(text, line.end() if said.strip(" \t*_`\"':}") == "" else mark.end())
        elif display := _DISPLAY.match(text, mark.end()):
            said = _row(display[1]) + text[display.end() :].split("\n", 1)[0] if "\n" in display[1] else said
        if any(not _supposed(said, again.start()) for again in _MARKER.finditer(sentence(said))) or (
            mark[0] == "####" and not _hashed(said)
        ):
            continue  # "Final answer: the answer is 7" says it again
        said, after = bare(sentence(said.split("</", 1)[0])), text[mark.end() : mark.end() + 400]
        if denied(after) or (reported(text[max(0, mark.start() - 120) : mark.start()]) and not affirmed(after)):
            continue
        if not _NONE.match(said):
            yield mark.start(), said
    for mark in _REVERSED.finditer(text):
        said = bare(re.split(r"[,;]\s|\b(?:so|that|thus|therefore|hence|gives?|us|get|have)\s", mark[1])[-1])
        if is_value(said) and not _supposed(text, mark.start(1)):
            yield mark.start(), said


def _supposed(text: str, at: int) -> bool:
    before = text[max(0, at - 60) : at]
    return bool(_SUPPOSED.search(before)) and not _THOUGHT_SO.search(before)


def _hashed(said: str) -> bool:
    """Whether what stands behind `####` is an answer, and no heading of the fourth rank."""
    title = re.match(r"\W*(?:step|final|answer|solution)\b|\W*\d+[.)]\s", said, re.IGNORECASE)
    return not title and (is_value(said) or len(said.split()) <= 3)


def _direct(text: str) -> Iterator[tuple[int, str]]:
    """Values behind "Answer", "A:" or "Solution:" at the beginning of a line."""
    choices = bool(_CHOICES.search(text))
    last = len(text.rstrip())
    for mark in _DIRECT.finditer(text):
        written = mark[2].strip()
        if (mark["letter"] and choices) or re.match(r"\W{0,3}\d{1,2}[*_]{0,3}[:)][ \t]*\S", written):
            continue
        said = sentence(written)
        whole = written.rstrip(".!*_ ") == said.rstrip(".!*_ ")
        ends = mark.end() >= last and (_CHAIN.fullmatch(said) or (mark["letter"] and is_value(bare(said))))
        if whole and (is_value(said) or ends):
            yield mark.start(), bare(said)


def _headed(text: str) -> Iterator[tuple[int, str]]:
    """What stands below a heading "Answer"."""
    for mark in _HEADING.finditer(text):
        said = _following(text, mark.end())
        if not said or _MARKER.search(said):
            continue
        section = re.split(r"\n\s{0,9}#|\n\s{0,9}\*\*[^*\n]+\*\*\s{0,9}\n", text[mark.end() :].strip(), maxsplit=1)[0]
        first = bare(sentence(said))
        if (is_value(first) if "\n" not in section.strip() else is_value(said)) and not _NONE.match(first):
            yield mark.start(), first


def _tagged(text: str) -> Iterator[tuple[int, str]]:
    for mark in _TAGGED.finditer(text):
        said = mark[2].strip()
        if said and not _MARKER.search(said) and not boxes(said) and not _NONE.match(said):
            yield mark.start(), bare(sentence(said.rsplit("\n", 1)[-1]))


def _closing(text: str) -> Iterator[tuple[int, str]]:
    """The last line, where it is a value in bold or behind "Therefore"."""
    whole = text.rstrip()
    start = whole.rfind("\n") + 1
    line = whole[start:].strip()
    if len(line) > 400 or _MARKER.search(line):
        return
    plain = re.sub(r"\*\*([^*]+)\*\*", r"\1", line)
    alone = re.fullmatch(r"([*_]{1,3})([^*_]{1,100})\1[.!]?", line)
    mark = _CLOSING_BOLD.match(line) or _CLOSING.match(plain) or alone
    if (
        mark
        and is_value(said := sentence(mark[mark.lastindex or 1]).strip("*_ "))
        and not re.match(r"(?:step|part|case)\b", said, re.I)
    ):
        yield start, bare(said)


def _following(text: str, at: int) -> str:
    """The display mathematics that follow, or the next line that is not empty."""
    if display := _DISPLAY.match(text, at):
        return _row(display[1])
    line = _FOLLOWING.match(text, at)
    return "" if line is None else line[1]


def _row(mathematics: str) -> str:
    """The last row of display mathematics, on one line."""
    rows = [r.strip() for r in re.split(r"\\\\(?:\[[^\]]*\])?", mathematics) if r.strip()]
    row = (
        " ".join((rows[-1] if rows else "").replace("&", "").split())
        if "&" in mathematics
        else " ".join(mathematics.split())
    )
    return re.sub(r"^=\s*", "", row).strip()


def _unworded(content: str) -> str:
    r"""What a box holds, without words that only announce it: `\text{The answer is } 7`."""
    if r"\text" not in content and not _MARKER.search(content):
        return content
    plain = re.sub(r"\\(?:text|textbf|mathrm|mbox|textit)\s?\{([^{}]*)\}", r"\1", content)
    if (mark := _MARKER.search(plain)) and plain[mark.end() :].strip():
        return bare(plain[mark.end() :])
    return bare(plain) if _ANNOUNCES.match(content) else content
