r"""Which answer a solution in words commits to. Pure.

1. A solution commits to X with "the answer is X", "Answer: X", "Ans: X", "X is the answer", "the correct option is
   X", "#### X", `<answer>X</answer>` or `\boxed{X}` (also `\boxed 2`, `\boxed\frac12`). The last of these counts. A
   solution with none of them has no answer: its last number is not used instead.
2. "Answer 18", "A: 18", "Solution: 18" and "Result: 18" commit if they begin a line and only a bare value follows on
   it, because such words also begin a derivation. "A: Ann has 18 apples." commits on the last line.
   "A: 18" beside "B: 20" is a list of choices and commits to nothing.
3. "Answer:" at the end of a line, and a heading "Answer" or "Final Answer", refer to what follows: the next line that
   is not empty, or the display mathematics on the next lines (its last row). After a heading it must be a value, or
   be the whole section.
4. The last line commits if it is a value in bold ("**18**", "So that makes **18**.") or "Therefore, 18.".
5. X ends with its sentence, but not at a point inside a formula or number. A clause after it ("42 because …", "42,
   which is …", "42 (the sum of …)", "42, not 43", "42; that is all") is dropped, unless it changes the value ("10 (in
   binary)", "5 (thousand)"); a list ("1, 2, and 3", "5; 6") is kept. Of a calculation ("7 minus 2, i.e. 5") the
   result counts. If X is itself a sentence ("the largest n is 34"), the part after its last
   "is" counts, or else its only number, time or formula. Words of confidence ("definitely 42", "of course") are
   dropped, and so are surrounding quotes, markdown, HTML tags and math delimiters, and text that is struck out.
6. Boxes that belong together make one list: side by side, or joined by "and", "or" and a few words. Words in a box
   such as "the answer is" are dropped. "42. That is the answer." commits to 42.
7. A statement is no answer if it says that there is none ("unknown", "I don't know", "not …"), supposes one ("if the
   answer is 7", "had we used degrees we would get 7"), denies one ("the wrong answer is 7", "Answer: 5 is a trap",
   "it is false that …", "a common mistake gives 7"), recalls an earlier one ("at first I thought 7"), asks ("the
   answer is 7?"), or reports what others say ("a student says the answer is 7", "according to Tom, …", "…, said
   Tom"). Nor is a box that is never closed. This holds however the answer is written. If a statement is only doubtful
   ("if she had 3 more she would have 7", "many students get 7"), any other statement wins over it. A statement about
   the form of the answer ("the answer is approximate", "the answer is in simplest form") does not count beside a
   value.
8. A correction after the last statement replaces it ("The answer is 7. Wait, that is wrong. It is 8."). A retraction
   without another value leaves no answer ("Ignore that."). "The answer is not 7 but 8" commits to 8. Checking the
   answer again ("Wait, let me double-check … yes") changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mmst.core.number_words import COUNTED, DECADES, SIGNS, SMALL
from mmst.methods.boxes import Box, boxed, boxes, grouped
from mmst.methods.conditions import left_open, other_case
from mmst.methods.disowned import Standing, borrowed, questioned, standing, supposed
from mmst.methods.retracted import instead_of, put_right
from mmst.methods.values import bare, is_value, listed, sentence

__all__ = ["answer_in", "boxed"]

_WRAP = r"[*_`\"'\])}]{0,6}"
_ANSWER = (
    r"(?:\bans\b\.?|answers?|(?:correct|right|best) (?:option|choice)|\bfinal (?:result|value))" + _WRAP + r"(?![\w-])"
    r"(?:[ \t]+(?:to|of|for)[ \t][^.:\n]{1,80}?|[ \t]?\#?\d{1,2}(?=[ \t]?:)"
    r"|[ \t]*,[ \t]+(?P<aside>[a-zA-Z'’][a-zA-Z'’ \t]{1,40}),"
    r"|[ \t]+(?P<whose>here|now|in[ \t](?:this|our|that)[ \t]\w+|(?:(?:that|which)[ \t]+)?(?:we|you|I)(?:['’](?:re"
    r"|ve|m))?"
    r"(?:[ \t]+[a-z]+){1,4}?))?"
    r"(?:[ \t]+(?:would|must|should|will|therefore|thus|then|hence|simply|indeed|also|again|definitely|certainly"
    r"|clearly"
    r"|surely|obviously|really|actually))*"
)
_MARKER = re.compile(
    rf"(?:{_ANSWER}"
    r"(?:[ \t]*(?:[:：]|=>?|-{1,2}>|→)|[ \t]+(?:is|are|be)\b"
    r"|[ \t]+(?:comes|works|turns)[ \t]out[ \t](?:to(?:[ \t]be)?|as)\b"
    r"|[ \t]+(?:comes[ \t]to|equals)\b)"
    r"(?:[ \t]+(?:given by|equal to)\b)?[*_`]*[ \t]*[:：]?)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    rf"{_ANSWER}(?:[ \t]+(?:is|are)(?:n['’]t|[ \t]+(?:not|no longer|never))|[ \t]*(?:cannot|can['’]t"
    rf"|could[ \t]+not)[ \t]+be)"
    r"[ \t]+",
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
    r"([^\s.!?:][^.!?\n:]{0,60}?)[ \t](?:is|are|as)[ \t](?:the|our|my)[ \t](?:final |correct |right )?answers?\b"
    r"(?![ \t]*(?:to|:|is|=))",
    re.IGNORECASE,
)
_TAGGED = re.compile(
    r"<(answer|final_answer|final)>([^<]{0,1000}(?:<(?!/\1>)[^<]{0,1000}){0,20})(?:</\1>|\Z)", re.IGNORECASE
)
_CHOICES = re.compile(r"^[^\w\n]{0,4}B[.:)]", re.MULTILINE)
_CHAIN = re.compile(r"[-+−*/×÷().,$\s\d]+=[-+−*/×÷().,$=\s\d]*\d[.%]?")
_CLOSING_BOLD = re.compile(r"(?:^|[^*\n]{0,300}[^*\n\d])\*\*([^*\n]{1,100})\*\*[.!]?$")
_CLOSING = re.compile(
    r"(?:therefore|thus|hence|so|∴|consequently|finally|=>|⇒|that is|in conclusion)[,:]?[ \t]+([^\n]{1,100})$",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(r"\s*\\text(?:bf|it)?\s?\{[^{}]*(?:\b(?:is|are|equals)|[:=])\s*\}")
_STRUCK = re.compile(
    r"(?<![\w~])~~(?=[^\s~])[^~\n]{1,500}(?<=[^\s~])~~(?![\w~])|<(?P<tag>del|strike)>[^<]{0,500}</(?P=tag)>|\\sout\{[^{}\n]{0,500}\}",
    re.IGNORECASE,
)
_LINE = re.compile(r"[ \t]*([^\n]{0,1000})")
_FOLLOWING = re.compile(r"\s*+(?:`{3,}[^\n]{0,20}\n\s*+)?(?:[-*•>][ \t]+)?([^\n]{0,1000})")
_DISPLAY = re.compile(
    r"\s*+(?:\\\[|\$\$|\\begin\{(?:equation|align|aligned|gather|eqnarray|multline|displaymath|math)\*?\})(.{0,2000}?)"
    r"(?:\\\]|\$\$|\\end\{)",
    re.DOTALL,
)
_POINTED_AT = re.compile(
    r"(?:[.!][*_$)]{0,3}\s{1,4}|,?[ \t]{1,4}(?:and|so|which)?[ \t]{0,4}|:[ \t]{0,4})(?:and[ \t]{1,4}|so[ \t]{1,4})?"
    r"(?:(?:this|that|it|which)[ \t]{1,4}(?:is|gives)|(?:that|it)['’]s)[ \t]{1,4}(?:the|our|my)[ \t]{1,4}"
    r"(?:final |correct |right )?answer"
    r"(?=[ \t]{0,4}(?:[.!*_)]|$))",
    re.IGNORECASE | re.MULTILINE,
)
_GIVES = re.compile(
    r".*(?:=|\b(?:is|are|get|gets|gives?|have|obtain|find|makes?|equals?|leaves?|left with|to)\b)[ \t]*:?[ \t]*(.+)"
)
_NO_VALUE = re.compile(
    r"[\W_]*(?:\\text\w*\s?\{)?\s*(?:not|never|neither|anything but|no longer|far from|hardly|by no means"
    r"|in no way)\b[^\d\n]{0,20}\d",
    re.IGNORECASE,
)
"""A value that is only denied: "(not 7)"."""
_NONE = re.compile(
    r"(?:not|none of (?!the above)|unknown|unclear|undetermined|uncertain|undefined yet|i (?:do not|don't|am not)|n/?a"
    r"|cannot|can't|could not|impossible to (?:say|tell|determine)|to be determined|tbd|missing)\b|[?…]+$|\.{2,}$",
    re.IGNORECASE,
)
_VALUES_IN_WORDS = frozenset({*SMALL, *DECADES, *COUNTED, *SIGNS}) | frozenset((
    "half third quarter plus about approximately around nearly roughly exactly just only pi infinity infinite "
    "undefined "
    "none no both all neither never always sometimes every each twice double triple once option choice the an"
).split())  # fmt: skip
_SIGNS = frozenset("\\∞∅")
"""What is a value though no letter and no digit stands in it."""
_NEAR, _ASKED = 400, 1200
_TAIL = 50_000
"""How many characters at the end of a solution are examined, so that time is bounded."""


class _Given(NamedTuple):
    """A stated answer: where the statement begins, where its value begins and ends, and the value."""

    at: int
    start: int
    end: int
    said: str


def answer_in(solution: str) -> str | None:
    r"""The answer that a solution commits to, or None.

    >>> answer_in("So \Delta E = 3. Answer: D"), answer_in(r"\boxed{1} and \boxed{2}"), answer_in("3 + 4 = 7")
    ('D', '1, 2', None)
    """
    text = _untagged(solution[-_TAIL:])
    found = boxes(text)
    given = [
        *_marked(text, found), *_negated(text), *_reversed(text), *_direct(text), *_headed(text), *_tagged(text),
        *_closing(text), *_boxed(found, text),
    ]  # fmt: skip
    given.sort(key=lambda one: one.at)
    valued = any(is_value(one.said) for one in given)
    doubtful: str | None = None
    for one in reversed(given):
        said = one.said
        if not any(c.isalnum() or c in _SIGNS for c in said) or (valued and _remark(said)):
            continue
        whose = standing(_before(text, one.at), text[one.start : one.start + _NEAR])
        if whose is Standing.NOT or other_case(_before(text, one.at)):
            continue
        taken_back, instead = put_right(text[max(one.at, text.find(said, one.at) + len(said) - 1) :], said[:-1])
        if taken_back:
            return instead
        if said.endswith("?") or questioned(text[one.end : one.end + _ASKED]):
            continue
        if left_open(said, _behind(text, one)):
            return None
        if whose is Standing.OWN:
            return said
        doubtful = doubtful or said
    return doubtful


def _behind(text: str, one: _Given) -> str:
    """The text after a stated value."""
    found = text.find(one.said, one.start, one.start + _ASKED)
    return text[one.start if found < 0 else found + len(one.said) :]


def _remark(said: str) -> bool:
    """Whether it describes the form of an answer, not the answer: "the answer is approximate", "… in simplest form"."""
    first = re.match(r"[a-z]{2,}\b", said)
    return first is not None and first[0] not in _VALUES_IN_WORDS and not is_value(said)


def _untagged(text: str) -> str:
    """The text without HTML's type marks and struck-out text, and with line feeds for its line breaks."""
    text = _STRUCK.sub("", text)
    text = re.sub(r"<sup>([^<>\n]{1,40})</sup>", r"^{\1}", text.replace("&nbsp;", " "), flags=re.IGNORECASE)
    text = re.sub(r"<br[ ]?/?>|</?(?:p|div|li|ul|ol|h[1-6])>", "\n", text, flags=re.IGNORECASE)
    return re.sub(r"</?(?:b|i|u|em|strong|mark|big|code|center|span|font)(?:[ ][^<>\n]{0,99})?>", "", text, flags=re.I)


def _marked(text: str, found: list[Box]) -> Iterator[_Given]:
    """Answers after words that announce one."""
    for mark in [*_MARKER.finditer(text), *_HASHES.finditer(text)]:
        if any(box.start < mark.start() < box.end for box in found[-50:]) or supposed(_before(text, mark.start())):
            continue
        if mark.re is _MARKER and borrowed(mark["aside"] or mark["whose"] or ""):
            continue
        line = _LINE.match(text, mark.end())
        said = "" if line is None else line[1]
        if line is not None and not said.strip(" \t*_`\"'$:\\[()]}"):
            said = _following(text, line.end() if said.strip(" \t*_`\"':}") == "" else mark.end())
        elif display := _DISPLAY.match(text, mark.end()):
            said = _row(display[1]) + text[display.end() :].split("\n", 1)[0] if "\n" in display[1] else said
        if (mark[0] == "####" and not _hashed(said)) or any(
            not supposed(said[: again.start()]) for again in _MARKER.finditer(sentence(said))
        ):
            continue  # "Final answer: the answer is 7" says it again
        written = sentence(said.split("</", 1)[0])
        said = bare(written)
        if not _NONE.match(said) and not _NO_VALUE.match(written):
            yield _given(text, mark.start(), mark.end(), written, said)


def _given(text: str, at: int, behind: int, written: str, said: str) -> _Given:
    """An answer whose announcement ends at `behind`, and which is `written` there or further down."""
    start = text.find(written, behind) if written else -1
    return _Given(at, behind, behind, said) if start < 0 else _Given(at, behind, start + len(written), said)


def _negated(text: str) -> Iterator[_Given]:
    """The answer that replaces a denied one: "The answer is not 7 but 8"."""
    for mark in _NEGATED.finditer(text):
        said = instead_of(text[mark.end() : mark.end() + _NEAR])
        if said is not None and not supposed(_before(text, mark.start())):
            start = text.find(said, mark.end())
            yield _Given(start, start, start + len(said), said)


def _reversed(text: str) -> Iterator[_Given]:
    """Answers that are stated before the words: "7 is the answer", "7. That is the answer."."""
    for mark in _REVERSED.finditer(text):
        parts = re.split(r"[,;]\s|\b(?:so|that|thus|therefore|hence|gives?|us|get|have)\s", mark[1])
        said = bare(mark[1] if listed(mark[1]) else parts[-1])
        if is_value(said) and not supposed(_before(text, mark.start(1))):
            yield _Given(mark.start(), mark.start(1), mark.end(1), said)
    for mark in _POINTED_AT.finditer(text):
        line = _before(text, mark.start()).rsplit("\n", 1)[-1]
        said = re.split(r"[.!?;][*_$)]{0,3}\s", line)[-1].strip()
        if not is_value(bare(said)) or not re.match(r"[^\w\s]{0,6}[\d.A-Z]", said):
            gives = _GIVES.fullmatch(said)
            said = gives[1] if gives else ""
        start = mark.start() - len(said)
        if (value := bare(said)) and is_value(value) and not supposed(_before(text, start)):
            yield _Given(start, start, mark.start(), value)


def _boxed(found: list[Box], text: str) -> Iterator[_Given]:
    """Answers in boxes; boxes that belong together are one list."""
    for box in grouped(found, text):
        if not _NO_VALUE.match(box.content):
            yield _Given(box.start, box.start, box.end, _unworded(box.content))


def _before(text: str, at: int) -> str:
    """The text shortly before."""
    return text[max(0, at - _NEAR) : at]


def _hashed(said: str) -> bool:
    """Whether the text after `####` is an answer, and not a heading of the fourth level."""
    title = re.match(r"\W*(?:step|final|answer|solution)\b|\W*\d+[.)]\s", said, re.IGNORECASE)
    return not title and (is_value(said) or len(said.split()) <= 3)


def _direct(text: str) -> Iterator[_Given]:
    """Values after "Answer", "A:" or "Solution:" at the beginning of a line."""
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
            yield _Given(mark.start(), mark.start(2), mark.start(2) + len(said), bare(said))


def _headed(text: str) -> Iterator[_Given]:
    """Answers below a heading "Answer"."""
    for mark in _HEADING.finditer(text):
        said = _following(text, mark.end())
        if not said or _MARKER.search(said):
            continue
        section = re.split(r"\n\s{0,9}#|\n\s{0,9}\*\*[^*\n]+\*\*\s{0,9}\n", text[mark.end() :].strip(), maxsplit=1)[0]
        first = bare(sentence(said))
        if (is_value(first) if "\n" not in section.strip() else is_value(said)) and not _NONE.match(first):
            yield _given(text, mark.start(), mark.end(), sentence(said), first)


def _tagged(text: str) -> Iterator[_Given]:
    for mark in _TAGGED.finditer(text):
        said = mark[2].strip()
        if said and not said.endswith("?") and not _MARKER.search(said) and not boxes(said) and not _NONE.match(said):
            yield _Given(mark.start(), mark.start(2), mark.end(2), bare(sentence(said.rsplit("\n", 1)[-1])))


def _closing(text: str) -> Iterator[_Given]:
    """The last line, if it is a value in bold or after "Therefore"."""
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
        yield _Given(start, start, len(whole), bare(said))


def _following(text: str, at: int) -> str:
    """The display mathematics that follow, or else the next line that is not empty."""
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
    r"""The content of a box, without words that only announce it: `\text{The answer is } 7`."""
    if r"\text" not in content and not _MARKER.search(content):
        return content
    plain = re.sub(r"\\(?:text|textbf|mathrm|mbox|textit)\s?\{([^{}]*)\}", r"\1", content)
    if (mark := _MARKER.search(plain)) and plain[mark.end() :].strip():
        return bare(plain[mark.end() :])
    return bare(plain) if _ANNOUNCES.match(content) else content
